"""One namespace with everything that was decided for it: what Exposures and the status of policies are made from."""

from dataclasses import dataclass

from exposure.model.objects import Ref
from exposure.resolve.cache import ResolveCache
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.governed import GovernedService, governed_services
from exposure.resolve.inputs import NamespaceInputs
from exposure.resolve.network_policies import (
    DEFAULT_DENY,
    TO_SERVICE,
    PlannedPolicies,
    is_ours,
    isolation_policies,
    planned_policies,
)


@dataclass(frozen=True, slots=True)
class NamespaceView:
    """`isolation_names`: the NetworkPolicies that isolate the namespace.

    `default_deny`: whether a default deny of ours holds for ingress, planned or left standing by a pause.
    """

    inputs: NamespaceInputs
    governed: dict[str, GovernedService]
    planned: PlannedPolicies
    isolation_names: tuple[str, ...]
    default_deny: bool

    def carrying(self, governed: GovernedService) -> tuple[Ref, ...]:
        """The NetworkPolicies that open a Service and isolate its pods: planned, or kept by a pause."""
        return tuple(Ref(self.inputs.name, name) for name in self.names_for(governed) if self._stands(name))

    def names_for(self, governed: GovernedService) -> tuple[str, ...]:
        """The names of the NetworkPolicies that a governed Service needs."""
        own = () if governed.pod_selector is None else (TO_SERVICE + governed.service.name,)
        return (*own, *self.isolation_names)

    def _stands(self, name: str) -> bool:
        if self.inputs.mode == "Paused" or name in self.planned.frozen:
            live = self.inputs.network_policies.get(name)
            return live is not None and is_ours(live)
        return name in self.planned.enforced_names


def view_of(inputs: NamespaceInputs, facts: ClusterFacts, cache: ResolveCache) -> NamespaceView:
    governed = governed_services(inputs, facts, cache)
    isolating = isolation_policies(inputs.name, inputs.isolation("Enforce", "Paused"))
    return NamespaceView(
        inputs=inputs,
        governed=governed,
        planned=planned_policies(inputs, governed, cache),
        isolation_names=tuple(policy.name for policy in isolating),
        default_deny=_default_deny(inputs),
    )


def _default_deny(inputs: NamespaceInputs) -> bool:
    live = inputs.network_policies.get(DEFAULT_DENY)
    stands = live is not None and is_ours(live) and live.spec.ingress is not None
    if inputs.mode == "Audit":
        return False
    if inputs.mode == "Paused":
        return stands
    if live is not None and not is_ours(live):
        # Another NetworkPolicy has this name and is never overwritten, so ours cannot be written.
        return False
    if inputs.isolation("Enforce").ingress:
        return True
    return stands and any(policy.mode == "Paused" for policy in inputs.policies)
