"""From what should exist and what is live to ordered changes.

Two rules order everything. Grants before denials: a pod must not be walled off before its doors are in the wall. And
the reverse on release: the wall goes before the doors. Each write is atomic, but a policy that newly selects a pod
denies whatever the *other* policies still to come would allow; so such a policy is first written in an interim form
that holds their rules too, and narrowed when they stand. An interim form never admits more than the final state does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from exposure.resolve.overlaps import is_ours
from exposure.resolve.wanted import DEFAULT_DENY, SAME_NAMESPACE
from exposure.values.changes import Change, Plan
from exposure.values.exposures import Resolution
from exposure.values.network_policy import NetworkPolicy, PolicySpec, Rule

INTERIM = "also what the other policies of these pods admit, until they stand"


def make_plan(resolution: Resolution, live: Mapping[str, NetworkPolicy]) -> Plan:
    """The ordered changes that lead from `live` (every NetworkPolicy of the namespace, by name) to the resolution."""
    taken = tuple(policy.name for policy in resolution.policies if _is_taken(live.get(policy.name)))
    ours = {name: policy for name, policy in live.items() if is_ours(policy) and not policy.deleting}
    if resolution.paused:
        keeps = tuple(Change("keep", ours[name], "paused") for name in sorted(ours))
        return Plan(resolution.namespace, keeps, taken)
    wanted = {p.name: p for p in resolution.policies if p.name not in taken and p.name not in resolution.frozen}
    steady = {name: policy for name, policy in ours.items() if name not in resolution.frozen}
    return Plan(resolution.namespace, tuple(_Steps(resolution, wanted, steady, ours).ordered()), taken)


def _is_taken(live: NetworkPolicy | None) -> bool:
    return live is not None and not is_ours(live)


def same(live: NetworkPolicy, wanted: NetworkPolicy) -> bool:
    """Whether what is live already says what is wanted; what others added beside it (labels, say) does not count."""
    return (
        live.spec == wanted.spec
        and set(wanted.labels) <= set(live.labels)
        and set(wanted.annotations) <= set(live.annotations)
        and set(wanted.owners) <= set(live.owners)
    )


@dataclass(frozen=True, slots=True)
class _Steps:
    resolution: Resolution
    wanted: Mapping[str, NetworkPolicy]
    live: Mapping[str, NetworkPolicy]
    ours: Mapping[str, NetworkPolicy]

    def ordered(self) -> Iterable[Change]:
        wall_before, wall_after = self.live.get(DEFAULT_DENY), self.wanted.get(DEFAULT_DENY)
        arriving = self._arriving(wall_before)
        leaving = self._leaving(wall_after)
        loosened = wall_before is not None and _loosens(wall_before, wall_after)
        yield from self._keeps(arriving)
        for name in sorted(leaving):
            yield Change(
                "update",
                leaving[name],
                INTERIM.replace("until they stand", "until all are gone"),
                self.live[name],
                interim=True,
            )
        if loosened:
            yield from self._wall(wall_before, wall_after)
        yield from self._grants(arriving)
        if not loosened:
            yield from self._wall(wall_before, wall_after)
        for name in sorted(arriving):
            yield Change("update", self.wanted[name], "the others stand", self.live.get(name))
        gone = sorted(
            set(self.live) - set(self.wanted) - {DEFAULT_DENY}, key=lambda name: (name != SAME_NAMESPACE, name)
        )
        for name in gone:
            yield Change("delete", self.live[name], self._why_gone(self.live[name]))

    def _keeps(self, arriving: Mapping[str, NetworkPolicy]) -> Iterable[Change]:
        for name in sorted(self.ours):
            wanted = self.wanted.get(name)
            if name in self.resolution.frozen:
                yield Change("keep", self.ours[name], "paused")
            elif wanted is not None and same(self.ours[name], wanted) and name not in arriving:
                yield Change("keep", wanted)

    def _wall(self, before: NetworkPolicy | None, after: NetworkPolicy | None) -> Iterable[Change]:
        if after is None:
            if before is not None:
                yield Change("delete", before, "the namespace is no longer isolated")
        elif before is None:
            yield Change("create", after)
        elif not same(before, after):
            yield Change("update", after, live=before)

    def _grants(self, arriving: Mapping[str, NetworkPolicy]) -> Iterable[Change]:
        """Every grant but the wall: the narrowest subjects first, and widenings before narrowings."""
        due: list[tuple[tuple[int, int, str], Change]] = []
        for name, policy in self.wanted.items():
            live = self.live.get(name)
            if name == DEFAULT_DENY or (live is not None and same(live, policy) and name not in arriving):
                continue
            written = arriving.get(name, policy)
            change = Change(
                "create" if live is None else "update",
                written,
                INTERIM if name in arriving else "",
                live,
                interim=name in arriving,
            )
            due.append(((_narrowing(live, written), -len(policy.spec.subject.labels), name), change))
        yield from (change for _, change in sorted(due, key=lambda each: each[0]))

    def _arriving(self, wall: NetworkPolicy | None) -> dict[str, NetworkPolicy]:
        """Interim forms of policies that newly wall off pods which other new policies select too."""
        fresh = {
            way: [p for p in self._grants_wanted() if _newly(p, self.live.get(p.name), wall, way)]
            for way in ("ingress", "egress")
        }
        return _interim(self._grants_wanted(), fresh)

    def _leaving(self, wall: NetworkPolicy | None) -> dict[str, NetworkPolicy]:
        """Interim forms of policies that go together with others that select the same pods."""
        gone = {
            way: [p for p in self._grants_live() if _newly(p, self.wanted.get(p.name), wall, way)]
            for way in ("ingress", "egress")
        }
        leaving = [policy for policy in self._grants_live() if policy.name not in self.wanted]
        return _interim(leaving, gone)

    def _grants_wanted(self) -> list[NetworkPolicy]:
        return [policy for name, policy in self.wanted.items() if name != DEFAULT_DENY]

    def _grants_live(self) -> list[NetworkPolicy]:
        return [policy for name, policy in self.live.items() if name != DEFAULT_DENY]

    def _why_gone(self, policy: NetworkPolicy) -> str:
        if not self.wanted:
            return "the namespace is released"
        return "nothing asks for it any longer"


def _rules(policy: NetworkPolicy, way: str) -> tuple[Rule, ...] | None:
    return policy.spec.ingress if way == "ingress" else policy.spec.egress


def _newly(policy: NetworkPolicy, other: NetworkPolicy | None, wall: NetworkPolicy | None, way: str) -> bool:
    """Whether a policy walls off its pods in one direction on one side of the plan, and nothing does on the other."""
    if _rules(policy, way) is None:
        return False
    walled = wall is not None and _rules(wall, way) is not None
    return not walled and (other is None or _rules(other, way) is None)


def _interim(policies: Iterable[NetworkPolicy], moving: Mapping[str, list[NetworkPolicy]]) -> dict[str, NetworkPolicy]:
    """Each policy with the rules of every moving policy that selects all of its pods too, where that adds any."""
    found: dict[str, NetworkPolicy] = {}
    for policy in policies:
        ingress = _joined(policy, moving["ingress"], "ingress")
        egress = _joined(policy, moving["egress"], "egress")
        spec = PolicySpec(policy.spec.subject, ingress, egress)
        if spec != policy.spec:
            found[policy.name] = replace(policy, spec=spec)
    return found


def _joined(policy: NetworkPolicy, moving: list[NetworkPolicy], way: str) -> tuple[Rule, ...] | None:
    own = _rules(policy, way)
    if own is None or policy not in moving:
        return own
    others = [p for p in moving if p is not policy and p.spec.subject.covers(policy.spec.subject)]
    return tuple(dict.fromkeys((*own, *(rule for other in others for rule in _rules(other, way) or ()))))


def _loosens(before: NetworkPolicy, after: NetworkPolicy | None) -> bool:
    """Whether the wall goes, in one direction at least."""
    if after is None:
        return True
    return any(_rules(before, way) is not None and _rules(after, way) is None for way in ("ingress", "egress"))


def _narrowing(live: NetworkPolicy | None, wanted: NetworkPolicy) -> int:
    """0 where a write takes no rule away, 1 where it gives and takes, 2 where it only takes: what moves from one policy
    to another is given before it is taken."""
    if live is None:
        return 0
    before, after = set(live.spec.ingress or ()), set(wanted.spec.ingress or ())
    if before <= after:
        return 0
    return 1 if after - before else 2
