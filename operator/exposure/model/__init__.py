"""Frozen values: what the cluster has, what users ask for, and what follows. No I/O, no clock."""
