"""A snapshot and what follows from it: Exposures, plans, and the NetworkPolicies that should exist. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, TypeVar

from exposure.model.exposures import Exposure, Resolution
from exposure.model.intent import ClusterSpec, ExposureSpec, Policy
from exposure.model.objects import Ref
from exposure.model.plans import Plan
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan.changes import make_plan
from exposure.resolve import ClusterFacts, cluster_facts, resolve
from exposure.resolve.network_policies import DEFAULT_DENY, SAME_NAMESPACE, TO_SERVICE

S = TypeVar("S")


@dataclass(frozen=True)
class ResolvedSnapshot:
    """Each namespace of the snapshot is resolved once, when it is first asked about."""

    snapshot: Snapshot
    _resolutions: dict[str, Resolution] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def facts(self) -> ClusterFacts:
        return cluster_facts(self.snapshot)

    def resolution(self, namespace: str) -> Resolution:
        if namespace not in self._resolutions:
            self._resolutions[namespace] = resolve(self.snapshot, self.facts, namespace)
        return self._resolutions[namespace]

    def exposures(self, namespaces: Iterable[str]) -> list[Exposure]:
        """The entry points of these namespaces, sorted by namespace and name."""
        exposures = (exposure for namespace in namespaces for exposure in self.resolution(namespace).exposures)
        return sorted(exposures, key=lambda exposure: (exposure.namespace, exposure.name))

    def plan(self, namespace: str) -> Plan:
        """The changes that lead from the NetworkPolicies of the snapshot to those that should exist."""
        live = self.snapshot.network_policies.get(namespace, {})
        return make_plan(self.resolution(namespace), live, self.snapshot.pods.get(namespace, {}).values())

    def policies(self, namespaces: Iterable[str]) -> list[NetworkPolicy]:
        """Every NetworkPolicy that the operator writes there, changed or not, sorted by namespace and name.

        Left out is what a pause leaves as it is, and what cannot be written because of a name conflict.
        """
        live = self.snapshot.network_policies
        written = (self.resolution(namespace).written(live.get(namespace, {})) for namespace in namespaces)
        return sorted(chain.from_iterable(written), key=lambda policy: (policy.namespace, policy.name))

    def policy(self, ref: Ref) -> NetworkPolicy | None:
        """The NetworkPolicy of ours of that name, whether it should exist, is left by a pause, or only planned."""
        resolution = self.resolution(ref.namespace)
        if resolution.paused or ref.name in resolution.frozen:
            return self.snapshot.network_policies.get(ref.namespace, {}).get(ref.name)
        policies = (*resolution.policies, *resolution.audited)
        return next((policy for policy in policies if policy.name == ref.name), None)

    def planned(self, exposure: Exposure) -> list[NetworkPolicy]:
        """The NetworkPolicies that carry an entry point in mode Enforce, and that Audit does not write."""
        if exposure.mode != "Audit":
            return []
        needed = {Ref(to.namespace, TO_SERVICE + to.name) for to in (backend.service for backend in exposure.backends)}
        if exposure.owner.kind == "Service":
            needed |= {Ref(exposure.namespace, DEFAULT_DENY), Ref(exposure.namespace, SAME_NAMESPACE)}
        missing = needed.difference(exposure.network_policies)
        audited = (self.resolution(namespace).audited for namespace in sorted({ref.namespace for ref in missing}))
        return [policy for policies in audited for policy in policies if Ref(policy.namespace, policy.name) in missing]


def as_enforced(snapshot: Snapshot) -> Snapshot:
    """The same snapshot without Audit and Paused: no mode in a policy, no annotation on a namespace."""
    cluster_policies = snapshot.cluster_exposure_policies
    return replace(
        snapshot,
        namespaces={name: replace(namespace, mode=None) for name, namespace in snapshot.namespaces.items()},
        exposure_policies={
            namespace: {name: _enforced(policy) for name, policy in policies.items()}
            for namespace, policies in snapshot.exposure_policies.items()
        },
        cluster_exposure_policies={name: _enforced(policy) for name, policy in cluster_policies.items()},
    )


def _enforced(policy: Policy[S]) -> Policy[S]:
    return replace(policy, spec=_enforced_spec(policy.spec), last_accepted=_enforced_spec(policy.last_accepted))


def _enforced_spec(spec: Any) -> Any:
    """Of the same type as `spec`, which is one of those that a policy may have."""
    match spec:
        case ExposureSpec():
            return replace(spec, mode=None)
        case ClusterSpec():
            return replace(spec, defaults=replace(spec.defaults, mode=None))
        case _:
            return spec
