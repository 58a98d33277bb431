"""`kubectl exposure`: the map of a cluster's doors, the plan behind it, and why, live or from files."""

from exposure.cli.entry import main

__all__ = ["main"]
