"""Services × policies × cluster facts → what should exist, and what is reported. Pure: no clock, no I/O, no Kopf."""

from exposure.resolve.cache import ResolveCache
from exposure.resolve.facts import ClusterFacts, cluster_facts
from exposure.resolve.pipeline import resolve

__all__ = ["ClusterFacts", "ResolveCache", "cluster_facts", "resolve"]
