"""From what should exist and what is live to ordered changes. How they are ordered, and why: transition.py."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from exposure.model.exposures import Resolution
from exposure.model.objects import Pod
from exposure.model.plans import Change, Plan
from exposure.networkpolicy.values import NetworkPolicy, PolicySpec
from exposure.plan.directions import writes_by_direction
from exposure.plan.transition import INTERIM, Specs, Surroundings, Write
from exposure.resolve.network_policies import DEFAULT_DENY, EXPLANATION, MANAGED_BY, is_ours

#: Why a policy is written in an interim form, and why it is written again.
BEFORE_OTHERS = "with what the other policies of these pods allow, until they are written"
AFTER_OTHERS = "with what the other policies of these pods allow, until they are deleted"
FOR_SHARED_PODS = "for pods that several policies share, until these are written or deleted"
FINAL = "the others are written"
INTERIM_EXPLANATION = (
    "Allows, for a moment, what several policies allow for the pods that they share, while they change."
)


def make_plan(resolution: Resolution, live: Mapping[str, NetworkPolicy], pods: Iterable[Pod] = ()) -> Plan:
    """The ordered changes that lead from `live` (every NetworkPolicy of the namespace, by name) to the resolution.

    `pods` of the namespace make it exact where Services' selectors overlap without one covering the other.
    """
    conflicts = tuple(policy.name for policy in resolution.policies if _is_foreign(live.get(policy.name)))
    ours = {name: policy for name, policy in live.items() if is_ours(policy) and not policy.deleting}
    if resolution.paused:
        kept = tuple(Change("keep", ours[name], "paused") for name in sorted(ours))
        return Plan(resolution.namespace, kept, conflicts)
    untouched = {*conflicts, *resolution.frozen}
    wanted = {policy.name: policy for policy in resolution.policies if policy.name not in untouched}
    changeable = {name: policy for name, policy in ours.items() if name not in resolution.frozen}
    others = (policy for name, policy in sorted(live.items()) if name not in changeable and not policy.deleting)
    labels = {pod.labels for pod in pods if not pod.finished}
    surroundings = Surroundings(
        policies=tuple(policy.spec for policy in others),
        pods=tuple(map(dict, sorted(labels))),
        default_deny=DEFAULT_DENY,
    )
    writes = writes_by_direction(_specs(changeable), _specs(wanted), surroundings)
    writes = [write for write in writes if not (write.name.startswith(INTERIM) and _is_foreign(live.get(write.name)))]
    written = {write.name for write in writes}
    kept = tuple(_kept(resolution, ours, wanted, written))
    changes = list(_changes(resolution.namespace, writes, changeable, wanted))
    metadata = _metadata_changes(changeable, wanted, {*written, *(change.name for change in kept)}, changes)
    return Plan(resolution.namespace, (*kept, *changes, *metadata), conflicts)


def _is_foreign(live: NetworkPolicy | None) -> bool:
    return live is not None and not is_ours(live)


def same(live: NetworkPolicy, wanted: NetworkPolicy) -> bool:
    """Whether the live object is what is wanted. What others added beside it, such as labels, does not count."""
    return (
        live.spec == wanted.spec
        and set(wanted.labels) <= set(live.labels)
        and set(wanted.annotations) <= set(live.annotations)
        and set(wanted.owners) <= set(live.owners)
    )


def _specs(policies: Mapping[str, NetworkPolicy]) -> Specs:
    return {name: policies[name].spec for name in sorted(policies)}


def _kept(
    resolution: Resolution, ours: Mapping[str, NetworkPolicy], wanted: Mapping[str, NetworkPolicy], written: set[str]
) -> Iterator[Change]:
    for name in sorted(ours):
        if name in resolution.frozen:
            yield Change("keep", ours[name], "paused")
        elif name in wanted and name not in written and same(ours[name], wanted[name]):
            yield Change("keep", wanted[name])


def _metadata_changes(
    live: Mapping[str, NetworkPolicy], wanted: Mapping[str, NetworkPolicy], done: set[str], before: list[Change]
) -> Iterator[Change]:
    """After all others, the changes of labels, annotations or owners alone."""
    step = before[-1].step + 1 if before else 0
    for name in sorted(wanted):
        if name not in done and name in live:
            yield Change("update", wanted[name], live=live[name], step=step)


def _changes(
    namespace: str, writes: list[Write], live: Mapping[str, NetworkPolicy], wanted: Mapping[str, NetworkPolicy]
) -> Iterator[Change]:
    """Writes of specs as changes of whole policies, each with the policy that is live before it, and the reason."""
    current = dict(live)
    last = {write.name: index for index, write in enumerate(writes)}
    stage, step = None, -1
    for index, write in enumerate(writes):
        if (write.group, write.stage) != stage:
            stage, step = (write.group, write.stage), step + 1
        before = current.pop(write.name, None)
        if write.spec is None:
            assert before is not None
            yield Change("delete", before, _why_deleted(write.name, wanted), before, step=step)
            continue
        interim = index != last[write.name]
        like = wanted.get(write.name) or before or _interim_policy(namespace, write.name, write.spec)
        policy = replace(like, spec=write.spec)
        rewritten = before is not live.get(write.name)
        reason = _why_interim(write, wanted) if interim else FINAL if rewritten else ""
        yield Change("create" if before is None else "update", policy, reason, before, interim=interim, step=step)
        current[write.name] = policy


def _interim_policy(namespace: str, name: str, spec: PolicySpec) -> NetworkPolicy:
    return NetworkPolicy(namespace, name, spec, (MANAGED_BY,), ((EXPLANATION, INTERIM_EXPLANATION),))


def _why_interim(write: Write, wanted: Mapping[str, NetworkPolicy]) -> str:
    if write.name.startswith(INTERIM):
        return FOR_SHARED_PODS
    return BEFORE_OTHERS if write.name in wanted else AFTER_OTHERS


def _why_deleted(name: str, wanted: Mapping[str, NetworkPolicy]) -> str:
    if name.startswith(INTERIM):
        return "an interim policy, no longer needed"
    if not wanted:
        return "no policy of this namespace asks for anything"
    if name == DEFAULT_DENY:
        return "the namespace is no longer isolated"
    return "no policy asks for it"
