"""From what should exist and what is live to ordered changes. How they are ordered, and why: transition.py."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from exposure.model.exposures import Resolution
from exposure.model.objects import Pod
from exposure.model.plans import Change, Plan
from exposure.networkpolicy.values import MANAGED_BY, NetworkPolicy
from exposure.plan.directions import writes_by_direction
from exposure.plan.transition import INTERIM, Specs, Surroundings, Transition, Write
from exposure.resolve.network_policies import DEFAULT_DENY, EXPLANATION

INTERIM_EXPLANATION = (
    EXPLANATION,
    "Temporary: allows what several policies allow for the pods that they share, while these policies change.",
)


def make_plan(resolution: Resolution, live: Mapping[str, NetworkPolicy], pods: Iterable[Pod] = ()) -> Plan:
    """The ordered changes that lead from `live` (every NetworkPolicy of the namespace, by name) to the resolution.

    `pods` of the namespace make it exact where Services' selectors overlap without one covering the other.
    """
    foreign = {name for name, policy in live.items() if not policy.is_ours}
    conflicts = tuple(policy.name for policy in resolution.policies if policy.name in foreign)
    ours = {name: live[name] for name in sorted(live) if name not in foreign and not live[name].deleting}
    if resolution.paused:
        kept = [Change("keep", policy, "paused") for policy in ours.values()]
        return Plan(resolution.namespace, tuple(kept), conflicts)
    wanted = {policy.name: policy for policy in resolution.written(live)}
    changeable = {name: policy for name, policy in ours.items() if name not in resolution.frozen}
    others = (live[name].spec for name in sorted(live) if name not in changeable and not live[name].deleting)
    labels = {pod.labels for pod in pods if not pod.finished}
    surroundings = Surroundings(tuple(others), tuple(sorted(labels)))
    writes = writes_by_direction(Transition(_specs(changeable), _specs(wanted), surroundings))
    # An interim policy may have the name of a policy that others wrote.
    writes = [write for write in writes if write.name not in foreign]
    changes = list(_changes(resolution.namespace, writes, changeable, wanted))
    step = changes[-1].step + 1 if changes else 0
    written = {write.name for write in writes}
    kept, metadata = [], []
    for name, policy in ours.items():
        if name in resolution.frozen:
            kept.append(Change("keep", policy, "paused"))
        elif name in wanted and name not in written:
            if same(policy, wanted[name]):
                kept.append(Change("keep", wanted[name]))
            else:
                # After all others, the changes of labels, annotations or owners alone.
                metadata.append(Change("update", wanted[name], live=policy, step=step))
    return Plan(resolution.namespace, (*kept, *changes, *metadata), conflicts)


def same(live: NetworkPolicy, wanted: NetworkPolicy) -> bool:
    """Whether the live object is as wanted. What others added, such as labels, does not count."""
    return (
        live.spec == wanted.spec
        and set(wanted.labels) <= set(live.labels)
        and set(wanted.annotations) <= set(live.annotations)
        and set(wanted.owners) <= set(live.owners)
    )


def _specs(policies: Mapping[str, NetworkPolicy]) -> Specs:
    return {name: policies[name].spec for name in sorted(policies)}


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
        interim_policy = NetworkPolicy(namespace, write.name, write.spec, (MANAGED_BY,), (INTERIM_EXPLANATION,))
        policy = replace(wanted.get(write.name) or before or interim_policy, spec=write.spec)
        rewritten = before is not live.get(write.name)
        reason = _why_interim(write, wanted) if interim else "the other policies are written" if rewritten else ""
        yield Change("create" if before is None else "update", policy, reason, before, interim=interim, step=step)
        current[write.name] = policy


def _why_interim(write: Write, wanted: Mapping[str, NetworkPolicy]) -> str:
    if write.name.startswith(INTERIM):
        return "for pods that several policies share, until those are written or deleted"
    others = "written" if write.name in wanted else "deleted"
    return f"with what the other policies of these pods allow, until they are {others}"


def _why_deleted(name: str, wanted: Mapping[str, NetworkPolicy]) -> str:
    if name.startswith(INTERIM):
        return "an interim policy, no longer needed"
    if not wanted:
        return "no policy enforces anything in this namespace"
    if name == DEFAULT_DENY:
        return "the namespace is no longer isolated"
    return "no policy asks for it"
