"""`kubectl exposure`: the map of a cluster's entry points, the plan behind it, and why, live or from files."""

from exposure.cli.entry import main

__all__ = ["main"]
