"""Services × policies × cluster facts → exposures. Pure: no clock, no network, no Kopf."""

from exposure.resolve.cache import Memo
from exposure.resolve.facts import ClusterFacts, cluster_facts
from exposure.resolve.namespace import cluster_outcomes, resolve

__all__ = ["ClusterFacts", "Memo", "cluster_facts", "cluster_outcomes", "resolve"]
