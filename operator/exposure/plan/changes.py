"""From what should exist and what is live to ordered changes. How they are ordered, and why: transition.py."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from exposure.model.exposures import Resolution
from exposure.model.objects import Pod
from exposure.model.plans import Change, Plan
from exposure.networkpolicy.values import NetworkPolicy, PolicySpec
from exposure.plan.directions import writes_by_direction
from exposure.plan.transition import BRIDGE, Around, Specs, Write
from exposure.resolve.network_policies import DEFAULT_DENY, EXPLANATION, MANAGED_BY, is_ours

ARRIVING = "with what the other policies of these pods say, until they stand"
LEAVING = "with what the other policies of these pods say, until all are gone"
BRIDGING = "for pods that several policies share, until they stand or all are gone"
STANDING = "the others stand"


def make_plan(resolution: Resolution, live: Mapping[str, NetworkPolicy], pods: Iterable[Pod] = ()) -> Plan:
    """The ordered changes that lead from `live` (every NetworkPolicy of the namespace, by name) to the resolution.

    `pods` of the namespace make it exact where Services' selectors overlap without one holding the other.
    """
    name_conflicts = tuple(policy.name for policy in resolution.policies if _is_name_conflict(live.get(policy.name)))
    ours = {name: policy for name, policy in live.items() if is_ours(policy) and not policy.deleting}
    if resolution.paused:
        keeps = tuple(Change("keep", ours[name], "paused") for name in sorted(ours))
        return Plan(resolution.namespace, keeps, name_conflicts)
    wanted = {
        p.name: p for p in resolution.policies if p.name not in name_conflicts and p.name not in resolution.frozen
    }
    steady = {name: policy for name, policy in ours.items() if name not in resolution.frozen}
    labels = {pod.labels for pod in pods if not pod.finished}
    others = (policy for name, policy in sorted(live.items()) if name not in steady and not policy.deleting)
    around = Around(
        standing=tuple(policy.spec for policy in others),
        pods=tuple(map(dict, sorted(labels))),
        wall=DEFAULT_DENY,
    )
    steps = writes_by_direction(_specs(steady), _specs(wanted), around)
    steps = [step for step in steps if not (step.name.startswith(BRIDGE) and _is_name_conflict(live.get(step.name)))]
    changes = [*_keeps(resolution, ours, wanted, steps), *_dressed(resolution.namespace, steps, steady, wanted)]
    changes[_first_write(changes) :] = _with_meta(changes, steady, wanted)
    return Plan(resolution.namespace, tuple(changes), name_conflicts)


def _is_name_conflict(live: NetworkPolicy | None) -> bool:
    return live is not None and not is_ours(live)


def same(live: NetworkPolicy, wanted: NetworkPolicy) -> bool:
    """Whether what is live already says what is wanted; what others added beside it (labels, say) does not count."""
    return live.spec == wanted.spec and _carries(live, wanted)


def _carries(live: NetworkPolicy, wanted: NetworkPolicy) -> bool:
    return (
        set(wanted.labels) <= set(live.labels)
        and set(wanted.annotations) <= set(live.annotations)
        and set(wanted.owners) <= set(live.owners)
    )


def _specs(policies: Mapping[str, NetworkPolicy]) -> Specs:
    return {name: policies[name].spec for name in sorted(policies)}


def _keeps(
    resolution: Resolution,
    ours: Mapping[str, NetworkPolicy],
    wanted: Mapping[str, NetworkPolicy],
    steps: Iterable[Write],
) -> Iterator[Change]:
    written = {step.name for step in steps}
    for name in sorted(ours):
        if name in resolution.frozen:
            yield Change("keep", ours[name], "paused")
        elif name in wanted and name not in written and same(ours[name], wanted[name]):
            yield Change("keep", wanted[name])


def _with_meta(
    changes: list[Change], live: Mapping[str, NetworkPolicy], wanted: Mapping[str, NetworkPolicy]
) -> list[Change]:
    """The writes, and after them those that change labels, annotations or owners alone."""
    writes = changes[_first_write(changes) :]
    written = {change.name for change in changes}
    last = writes[-1].step + 1 if writes else 0
    rest = [
        Change("update", wanted[name], live=live[name], step=last)
        for name in sorted(wanted)
        if name not in written and name in live
    ]
    return [*writes, *rest]


def _first_write(changes: list[Change]) -> int:
    return next((index for index, change in enumerate(changes) if change.verb != "keep"), len(changes))


def _dressed(
    namespace: str, steps: list[Write], live: Mapping[str, NetworkPolicy], wanted: Mapping[str, NetworkPolicy]
) -> Iterator[Change]:
    """Writes of specs as changes of whole policies, each with the policy that stands before it and the reason."""
    standing = dict(live)
    last = {step.name: index for index, step in enumerate(steps)}
    stage, number = None, -1
    for index, step in enumerate(steps):
        if (step.group, step.stage) != stage:
            stage, number = (step.group, step.stage), number + 1
        before = standing.pop(step.name, None)
        if step.spec is None:
            assert before is not None
            yield Change("delete", before, _why_gone(step.name, wanted), before, step=number)
            continue
        final = index == last[step.name]
        like = wanted.get(step.name) or before or _bridge(namespace, step.name, step.spec)
        policy = replace(like, spec=step.spec)
        reason = _why_interim(step, wanted) if not final else STANDING if before is not live.get(step.name) else ""
        yield Change("create" if before is None else "update", policy, reason, before, interim=not final, step=number)
        standing[step.name] = policy


def _bridge(namespace: str, name: str, spec: PolicySpec) -> NetworkPolicy:
    text = "Holds for a moment what several policies say about the pods that they share, while they come or go."
    return NetworkPolicy(namespace, name, spec, (MANAGED_BY,), ((EXPLANATION, text),))


def _why_interim(step: Write, wanted: Mapping[str, NetworkPolicy]) -> str:
    if step.name.startswith(BRIDGE):
        return BRIDGING
    return ARRIVING if step.name in wanted else LEAVING


def _why_gone(name: str, wanted: Mapping[str, NetworkPolicy]) -> str:
    if name.startswith(BRIDGE):
        return "it has done its part"
    if not wanted:
        return "the namespace is released"
    if name == DEFAULT_DENY:
        return "the namespace is no longer isolated"
    return "nothing asks for it any longer"
