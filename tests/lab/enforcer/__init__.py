"""A small enforcer of NetworkPolicy, written from the Kubernetes API reference alone.

It checks the operator's work, so it shares no code with it: nothing here may import `exposure`.
"""
