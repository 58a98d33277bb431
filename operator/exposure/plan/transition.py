"""From one set of policies of a namespace to another, write by write, opening and cutting nothing in between.

Policies add up, and a pod is closed in a direction as soon as one policy that speaks about it selects the pod. Each
write is atomic, the set of them is not. So a transition has stages:

0. What changes its pod selector leaves a copy of itself behind, under a name of its own.
1. Everything is given: each policy stands with what it had and what it will have. Narrow pod selectors first, and a
   policy that is the first to close its pods brings along the rules of those that are still to come for the same pods.
2. The wall (the default-deny) comes, goes, or changes.
3. What is not wanted is taken, wide pod selectors first: the last policy that closes a pod holds what those before it
   gave.

At every moment a pod admits, in each direction, at least what it admits both before and after, and at most what it
admits before or after. Writes of one stage with equally many conditions in their selectors may be made at once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, TypeAlias

from exposure.labels import Labels, LabelSelector
from exposure.networkpolicy.values import PolicySpec, Rule

Specs: TypeAlias = Mapping[str, PolicySpec]
Way: TypeAlias = Literal["ingress", "egress"]
WAYS: tuple[Way, Way] = ("ingress", "egress")
#: Policies that stand for the length of one transition only, where no pod selector to come is narrow enough.
BRIDGE = "exposure-interim-"


@dataclass(frozen=True, slots=True)
class Write:
    """What `name` is to say; None: it goes. Writes of equal `group` and `stage` are independent of each other."""

    name: str
    spec: PolicySpec | None
    stage: tuple[int, int]
    group: int = 0


@dataclass(frozen=True, slots=True)
class Around:
    """What a transition meets and leaves alone: other people's policies, frozen ones, and the labels of live pods."""

    standing: tuple[PolicySpec, ...] = ()
    pods: tuple[Labels, ...] = ()
    wall: str = ""


def rules(spec: PolicySpec | None, way: Way) -> tuple[Rule, ...] | None:
    return None if spec is None else spec.rules(way)


def with_rules(spec: PolicySpec, way: Way, new: tuple[Rule, ...] | None) -> PolicySpec:
    if way == "ingress":
        return PolicySpec(spec.pod_selector, new, spec.egress)
    return PolicySpec(spec.pod_selector, spec.ingress, new)


def writes(before: Specs, after: Specs, around: Around) -> list[Write]:
    """The writes that lead from `before` to `after`, in order."""
    return list(_Transition(before, after, around).ordered())


@dataclass(frozen=True, slots=True)
class _Transition:
    before: Specs
    after: Specs
    around: Around

    def ordered(self) -> Iterator[Write]:
        changed = sorted(n for n in {*self.before, *self.after} if self.before.get(n) != self.after.get(n))
        if len(changed) == 1:
            yield Write(changed[0], self.after.get(changed[0]), (1, 0))
            return
        widened: list[Write] = []
        narrowed: list[Write] = []
        for name in changed:
            if name == self.around.wall:
                continue
            for write in self._of(name, changed):
                (widened if write.stage[0] < 2 else narrowed).append(write)
        for name, spec in self._bridges():
            widened.append(Write(name, spec, (1, -conditions(spec.pod_selector))))
            narrowed.append(Write(name, None, (3, conditions(spec.pod_selector))))
        yield from sorted(widened, key=lambda write: write.stage)
        if self.around.wall in changed:
            yield Write(self.around.wall, self.after.get(self.around.wall), (2, 0))
        yield from sorted(narrowed, key=lambda write: write.stage)

    def _of(self, name: str, changed: Sequence[str]) -> Iterator[Write]:
        before, after = self.before.get(name), self.after.get(name)
        moved = before is not None and after is not None and before.pod_selector != after.pod_selector
        wide = self._wide(None if moved else before, after)
        if (moved or wide not in (before, after)) and self._alone(name, changed):
            wide, moved = after or wide, False
        if moved and before is not None:
            bridge = self._bridge_name(f"{name} {before.pod_selector}")
            yield Write(bridge, self._wide(before, None), (0, 0))
            yield Write(bridge, None, (3, conditions(before.pod_selector)))
        if wide != before:
            yield Write(name, wide, (1, -conditions(wide.pod_selector)))
        if wide != after:
            yield Write(name, after, (3, conditions(wide.pod_selector)))

    def _alone(self, name: str, changed: Sequence[str]) -> bool:
        """Whether no pod can be selected by this policy and another one that changes: then one write is enough."""
        here = pod_selectors(self.before.get(name), self.after.get(name))
        others = [s for n in changed if n != name for s in pod_selectors(self.before.get(n), self.after.get(n))]
        return all(one.disjoint(other) for one in here for other in others)

    def _wide(self, before: PolicySpec | None, after: PolicySpec | None) -> PolicySpec:
        """What a policy says while others change: what it said and will say, and what its pods would miss meanwhile."""
        wide = before or after
        assert wide is not None
        for way in WAYS:
            old, new = rules(before, way), rules(after, way)
            said = None if old is None and new is None else _joined(old or (), new or ())
            if old is None and new is not None:
                said = _joined(new, self._missing(self.before, self.after, wide.pod_selector, way))
            elif old is not None and new is None:
                said = _joined(old, self._missing(self.after, self.before, wide.pod_selector, way))
            # Where nothing is added to one of the two, it is written as it stands there: no second write for an order.
            said = next((each for each in (new, old) if each is not None and set(each) == set(said or ())), said)
            wide = with_rules(wide, way, said)
        return wide

    def _missing(self, without: Specs, having: Specs, selector: LabelSelector, way: Way) -> tuple[Rule, ...]:
        """The rules for all pods of `selector` where something closes them, if nothing closes them all without."""
        if any(spec.pod_selector.covers(selector) for spec in self._closing(without, way)):
            return ()
        return _joined(*(rules(spec, way) or () for spec in having.values() if spec.pod_selector.covers(selector)))

    def _closing(self, specs: Specs, way: Way) -> Iterator[PolicySpec]:
        return (spec for spec in (*specs.values(), *self.around.standing) if rules(spec, way) is not None)

    def _bridges(self) -> Iterator[tuple[str, PolicySpec]]:
        """Policies for pods that several policies come to (or leave) at once, none of them narrow enough to begin."""
        found: dict[tuple[str, LabelSelector], PolicySpec] = {}
        for way in WAYS:
            for side, without, having in (("to", self.before, self.after), ("from", self.after, self.before)):
                closing = tuple(self._closing(without, way))
                if any(spec.pod_selector.empty for spec in closing):
                    continue
                moving = [spec for spec in having.values() if rules(spec, way) is not None]
                for pod in self.around.pods:
                    meeting = [spec for spec in moving if spec.pod_selector.matches(pod)]
                    if _has_narrowest(meeting) or any(spec.pod_selector.matches(pod) for spec in closing):
                        continue
                    cell = conjunction(spec.pod_selector for spec in meeting)
                    spec = found.get((side, cell), PolicySpec(cell, None, None))
                    joined = _joined(rules(spec, way) or (), *(rules(each, way) or () for each in meeting))
                    found[side, cell] = with_rules(spec, way, joined)
        for (side, cell), spec in found.items():
            yield self._bridge_name(f"{side} {cell}"), spec

    def _bridge_name(self, text: str) -> str:
        """A name of its own, also where a transition that was broken off has left a bridge standing."""
        number = 0
        while (found := f"{BRIDGE}{sha256(f'{text} {number}'.encode()).hexdigest()[:10]}") in self.before:
            number += 1
        return found


def _has_narrowest(specs: Sequence[PolicySpec]) -> bool:
    return not specs or any(all(other.pod_selector.covers(one.pod_selector) for other in specs) for one in specs)


def _joined(*parts: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(dict.fromkeys(rule for part in parts for rule in part))


def pod_selectors(*specs: PolicySpec | None) -> list[LabelSelector]:
    return [spec.pod_selector for spec in specs if spec is not None]


def conditions(selector: LabelSelector) -> int:
    return len(selector.labels) + len(selector.requirements)


def conjunction(selectors: Iterable[LabelSelector]) -> LabelSelector:
    """What all of the selectors select. They are known to select one pod together, so no two labels contradict."""
    every = list(selectors)
    return LabelSelector(
        tuple(sorted({pair for each in every for pair in each.labels})),
        tuple(sorted({need for each in every for need in each.requirements}, key=str)),
    )
