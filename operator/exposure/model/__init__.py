"""Frozen values: what the cluster says, what people ask for, and what follows from both. No I/O, no clock."""
