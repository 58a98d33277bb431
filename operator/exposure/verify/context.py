"""What verification knows of a cluster: the world, what follows from it, what should stand in each namespace. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from exposure.model.exposures import Exposure, Resolution
from exposure.model.objects import Pod
from exposure.model.plans import Change
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan import is_ours, make_plan
from exposure.resolve import cluster_facts, resolve
from exposure.resolve.facts import ClusterFacts


@dataclass(frozen=True)
class VerificationContext:
    """`namespaces`: those that are asked about."""

    snapshot: Snapshot
    namespaces: tuple[str, ...]

    @cached_property
    def facts(self) -> ClusterFacts:
        return cluster_facts(self.snapshot)

    @cached_property
    def resolutions(self) -> Mapping[str, Resolution]:
        return {name: resolve(self.snapshot, self.facts, name) for name in sorted(self.snapshot.namespaces)}

    @cached_property
    def exposures(self) -> tuple[Exposure, ...]:
        """The entry points of the namespaces asked about, sorted."""
        found = (each for name in self.namespaces for each in self.resolutions[name].exposures)
        return tuple(sorted(found, key=lambda each: (each.namespace, each.name)))

    @cached_property
    def by_name(self) -> Mapping[str, Exposure]:
        return {f"{each.namespace}/{each.name}": each for r in self.resolutions.values() for each in r.exposures}

    def live(self, namespace: str) -> tuple[NetworkPolicy, ...]:
        found = self.snapshot.network_policies.get(namespace, {})
        return tuple(each for _, each in sorted(found.items()) if not each.deleting)

    def foreign(self, namespace: str) -> tuple[NetworkPolicy, ...]:
        return tuple(each for each in self.live(namespace) if not is_ours(each))

    def intended(self, pod: Pod) -> tuple[NetworkPolicy, ...]:
        """The policies that should decide about a pod.

        Ours as planned, if one of them isolates it: then what other people's policies admit beside is a finding. Else,
        as in Audit, under a pause, or where nobody governs: whatever stands.
        """
        resolution = self.resolutions.get(pod.namespace)
        live = self.live(pod.namespace)
        if resolution is None or resolution.paused:
            return live
        frozen = [each for each in live if each.name in resolution.frozen]
        planned = [each for each in resolution.policies if each.name not in resolution.frozen]
        ours = (*planned, *frozen)
        labels = dict(pod.labels)
        isolated = any(each.spec.ingress is not None and each.spec.pod_selector.matches(labels) for each in ours)
        return ours if isolated else live

    def differences(self, namespace: str) -> tuple[Change, ...]:
        """What the operator would still write."""
        live = self.snapshot.network_policies.get(namespace, {})
        return make_plan(self.resolutions[namespace], live, self.snapshot.pods.get(namespace, {}).values()).writes

    @property
    def matches_by_identity(self) -> bool:
        """Whether the CNI's ipBlocks match neither pods nor nodes."""
        return self.facts.cni.pod_ranges == "matched-by-identity"

    def is_node(self, address: str) -> bool:
        return any(address in (*node.internal_ips, *node.external_ips) for node in self.snapshot.nodes.values())


def names(policies: Iterable[NetworkPolicy]) -> str:
    return ", ".join(sorted(f"{each.namespace}/{each.name}" for each in policies))
