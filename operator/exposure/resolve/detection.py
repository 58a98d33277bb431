"""Which CNI runs, and on which cloud or platform the nodes run."""

import re

from exposure.catalog.annotations import is_marked
from exposure.catalog.cnis import AGENT_NAMESPACES, CNIS, ENFORCED_ON, ROWS, UNKNOWN, CNIProfile, Mark
from exposure.catalog.providers import NO_CLOUD_IDS
from exposure.catalog.providers import ROWS as LOAD_BALANCER_ROWS
from exposure.model.objects import Node
from exposure.model.snapshot import Snapshot

AGENT_LABELS = ("k8s-app", "app", "app.kubernetes.io/name")
#: A cloud that no row has.
UNKNOWN_PROVIDER = "unknown"


def running_agents(snapshot: Snapshot) -> frozenset[str]:
    """The names of network agents in the labels of pods, in the namespaces in which agents run."""
    return frozenset(
        value
        for namespace, pods in snapshot.pods.items()
        if is_agent_namespace(namespace)
        for pod in pods.values()
        for key, value in pod.labels
        if key in AGENT_LABELS
    )


def detect_cni(snapshot: Snapshot, provider: str | None, agents: frozenset[str]) -> CNIProfile:
    """The configured CNI, else the first row with a mark in the cluster, else `unknown`.

    If no policy engine is detected, the provider may still enforce policies with its own.
    """
    if snapshot.config.cni is not None:
        return CNIS[snapshot.config.cni]
    annotations = {key for node in snapshot.nodes.values() for key, _ in node.annotations}

    def shows(mark: Mark) -> bool:
        if mark.node_annotation:
            return any(is_marked(key, (mark.node_annotation,)) for key in annotations)
        return bool(snapshot.ip_pools) if mark.ip_pools else mark.agent_label in agents

    shown = next((row for row in ROWS if any(map(shows, row.marks))), UNKNOWN)
    if shown is UNKNOWN or not shown.enforces:
        return ENFORCED_ON.get(provider or "", shown)
    return shown


def is_agent_namespace(name: str) -> bool:
    """Whether network agents run there: system namespaces, and those in which a CNI installs its own."""
    return name.startswith("kube-") or name in AGENT_NAMESPACES


def detect_provider(snapshot: Snapshot) -> str | None:
    """By the nodes' providerIDs, else as configured. `unknown`: a cloud that no row has. None: no cloud."""
    clouds = {_provider_of(node) for node in snapshot.nodes.values() if node.provider_id} - {None}
    if len(clouds) == 1 and clouds != {UNKNOWN_PROVIDER}:
        return clouds.pop()
    if clouds:
        # There is a cloud, so the load balancers of clusters without one are never assumed.
        return snapshot.config.provider or UNKNOWN_PROVIDER
    return snapshot.config.provider


def _provider_of(node: Node) -> str | None:
    """None: a platform without a load balancer of its own."""
    if node.provider_id.startswith(NO_CLOUD_IDS):
        return None
    for row in LOAD_BALANCER_ROWS:
        if node.provider_id.startswith(row.provider_ids):
            return row.provider
        if row.provider_id_pattern and re.match(row.provider_id_pattern, node.provider_id):
            return row.provider
    return UNKNOWN_PROVIDER
