"""One namespace with everything that was decided for it: what Exposures and the status of policies are made from."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from exposure.model.objects import Ref
from exposure.networkpolicy.values import NetworkPolicy
from exposure.resolve.governed import GovernedService
from exposure.resolve.inputs import NamespaceInputs
from exposure.resolve.network_policies import DEFAULT_DENY, TO_SERVICE, PlannedPolicies


@dataclass(frozen=True)
class NamespaceView:
    inputs: NamespaceInputs
    governed: dict[str, GovernedService]
    planned: PlannedPolicies

    def in_force_after(self, planned: Iterable[NetworkPolicy]) -> dict[str, NetworkPolicy]:
        """All NetworkPolicies in force after `planned` is written: these, those of others, and what a pause keeps."""
        paused, frozen = self.inputs.paused, self.planned.frozen
        live = self.inputs.network_policies.items()
        kept = {name: policy for name, policy in live if paused or name in frozen or not policy.is_ours}
        written = {policy.name: policy for policy in planned if not paused and policy.name not in frozen}
        return written | kept

    @cached_property
    def ours(self) -> dict[str, NetworkPolicy]:
        """Our NetworkPolicies in force after the plan is carried out, by name."""
        return {name: policy for name, policy in self.in_force_after(self.planned.enforced).items() if policy.is_ours}

    @cached_property
    def default_deny(self) -> bool:
        """Whether a default deny of ours holds for ingress."""
        return DEFAULT_DENY in self.ours and self.ours[DEFAULT_DENY].spec.ingress is not None

    def names_for(self, governed: GovernedService) -> tuple[str, ...]:
        """The names of the NetworkPolicies that a governed Service needs."""
        own = () if governed.pod_selector is None else (TO_SERVICE + governed.service.name,)
        return (*own, *self.planned.isolation_names)

    def network_policies_of(self, governed: GovernedService) -> tuple[Ref, ...]:
        """The NetworkPolicies of ours that hold for a governed Service."""
        return tuple(Ref(self.inputs.name, name) for name in self.names_for(governed) if name in self.ours)
