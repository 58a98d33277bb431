"""What verification compares with: a resolved snapshot, the live policies, and those that should decide. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from exposure.model.exposures import Exposure
from exposure.model.objects import Pod
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan.resolved import ResolvedSnapshot


@dataclass(frozen=True)
class VerificationContext(ResolvedSnapshot):
    """A resolved snapshot, with the policies that apply to a pod that receives connections."""

    @cached_property
    def by_name(self) -> Mapping[str, Exposure]:
        """Every Exposure of the cluster by `namespace/name`."""
        every = self.exposures(self.snapshot.namespaces)
        return {str(exposure.ref): exposure for exposure in every}

    def live(self, namespace: str) -> tuple[NetworkPolicy, ...]:
        """The NetworkPolicies of a namespace as they stand, sorted by name."""
        policies = self.snapshot.network_policies.get(namespace, {})
        return tuple(policy for _, policy in sorted(policies.items()) if not policy.deleting)

    def intended(self, pod: Pod) -> tuple[NetworkPolicy, ...]:
        """The policies that should decide about a pod.

        If one of ours isolates the pod, ours as planned: what policies of others admit beside them is a mismatch.
        Else the live ones, as in Audit, under a pause, and where no policy governs.
        """
        live, resolution = self.live(pod.namespace), self.resolution(pod.namespace)
        if resolution.paused:
            return live
        planned = (policy for policy in resolution.policies if policy.name not in resolution.frozen)
        ours = (*planned, *(policy for policy in live if policy.name in resolution.frozen))
        isolating = (policy.spec.pod_selector for policy in ours if policy.spec.ingress is not None)
        isolated = any(selector.matches(pod.labels) for selector in isolating)
        return ours if isolated else live

    @property
    def matches_by_identity(self) -> bool:
        """Whether the CNI's ipBlocks match neither pods nor nodes."""
        return self.facts.cni.pod_ranges == "matched-by-identity"


def names(policies: Iterable[NetworkPolicy]) -> str:
    return ", ".join(sorted(f"{policy.namespace}/{policy.name}" for policy in policies))
