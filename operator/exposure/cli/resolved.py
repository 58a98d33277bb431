"""From a world to what follows: the same resolve and plan that the operator runs, for the namespaces asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from exposure.model.exposures import Exposure, Resolution
from exposure.model.intent import ClusterSpec, ExposureSpec, Unreadable
from exposure.model.objects import Ref
from exposure.model.plans import Plan
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan import connectivity, is_ours, make_plan
from exposure.plan.connectivity import Difference
from exposure.resolve import cluster_facts, resolve


@dataclass(frozen=True)
class ResolvedSnapshot:
    """What follows for each of `namespaces`, resolved once, when first asked."""

    snapshot: Snapshot
    namespaces: tuple[str, ...]

    @cached_property
    def resolutions(self) -> tuple[Resolution, ...]:
        facts = cluster_facts(self.snapshot)
        return tuple(resolve(self.snapshot, facts, namespace) for namespace in self.namespaces)

    def exposures(self) -> list[Exposure]:
        found = [exposure for resolution in self.resolutions for exposure in resolution.exposures]
        return sorted(found, key=lambda each: (each.namespace, each.name))

    def plans(self) -> list[Plan]:
        return [
            make_plan(
                resolution,
                self.snapshot.network_policies.get(resolution.namespace, {}),
                self.snapshot.pods.get(resolution.namespace, {}).values(),
            )
            for resolution in self.resolutions
        ]

    def differences(self, plan: Plan) -> tuple[Difference, ...]:
        """Which connections the plan would take and give."""
        return connectivity(self.snapshot, plan)

    def policies(self) -> list[NetworkPolicy]:
        """Every NetworkPolicy of ours that should exist afterwards, changed or not, sorted by namespace and name."""
        found = [policy for resolution in self.resolutions for policy in self._enforced(resolution)]
        return sorted(found, key=lambda each: (each.namespace, each.name))

    def meant(self) -> dict[Ref, NetworkPolicy]:
        """Every NetworkPolicy of ours that follows from what people ask for, those included that Audit only plans."""
        return {
            Ref(policy.namespace, policy.name): policy
            for resolution in self.resolutions
            for policy in (*resolution.audited, *resolution.policies)
        }

    def held_back(self) -> list[str]:
        """A sentence for each namespace in which Audit or Paused keeps something from being written."""
        found = []
        for resolution in self.resolutions:
            name, planned = resolution.namespace, {policy.name for policy in resolution.audited}
            only_planned = planned - {policy.name for policy in resolution.policies}
            if only_planned:
                found.append(f"{name}: in Audit, planned only: {', '.join(sorted(only_planned))}")
            if resolution.frozen or (resolution.paused and resolution.policies):
                found.append(f"{name}: paused, left as it stands")
        return found

    def _enforced(self, resolution: Resolution) -> Iterator[NetworkPolicy]:
        if resolution.paused:
            return
        live = self.snapshot.network_policies.get(resolution.namespace, {})
        for policy in resolution.policies:
            standing = live.get(policy.name)
            # What a pause leaves as it is, and what somebody else holds under our name, is not ours to write.
            if policy.name not in resolution.frozen and (standing is None or is_ours(standing)):
                yield policy


def as_enforced(snapshot: Snapshot) -> Snapshot:
    """The same world, in which nobody asked for Audit or Paused: no mode in a policy, no annotation on a namespace."""
    return replace(
        snapshot,
        namespaces={name: replace(each, mode=None) for name, each in snapshot.namespaces.items()},
        exposure_policies={
            namespace: {
                name: replace(
                    each,
                    spec=_enforce(each.spec),
                    last_accepted=(
                        each.last_accepted and replace(each.last_accepted, spec=_enforce(each.last_accepted.spec))
                    ),
                )
                for name, each in policies.items()
            }
            for namespace, policies in snapshot.exposure_policies.items()
        },
        cluster_exposure_policies={
            name: replace(
                each,
                spec=_enforce_defaults(each.spec),
                last_accepted=(
                    each.last_accepted and replace(each.last_accepted, spec=_enforce_defaults(each.last_accepted.spec))
                ),
            )
            for name, each in snapshot.cluster_exposure_policies.items()
        },
    )


def _enforce(spec: ExposureSpec | Unreadable) -> ExposureSpec | Unreadable:
    return spec if isinstance(spec, Unreadable) else replace(spec, mode=None)


def _enforce_defaults(spec: ClusterSpec | Unreadable) -> ClusterSpec | Unreadable:
    return spec if isinstance(spec, Unreadable) else replace(spec, defaults=replace(spec.defaults, mode=None))
