"""From one set of policies of a namespace to another, write by write, opening and cutting nothing in between.

Policies add up, and a pod is isolated in a direction as soon as one policy with that direction selects it. Each write
is atomic; a set of writes is not. So a transition has stages:

0. A policy whose pod selector changes leaves a copy of itself behind, under an interim name.
1. Everything is granted: each policy allows what it did and what it will. Narrow pod selectors come first, and a policy
   that is the first to isolate its pods also allows what those still to come allow for the same pods.
2. The default deny is created, changed, or deleted. Written before the grants, it would cut every connection until its
   grant is written.
3. What is no longer wanted is withdrawn, wide pod selectors first: the last policy that isolates a pod still allows
   what those before it allowed.

At every moment a pod allows, in each direction, at least what it allows both before and after, and at most what it
allows before or after. Writes of one stage with equally many conditions in their selectors may be made at once.

For example, a namespace without policies gets a default deny, allowSameNamespace, and a Service that admits everyone:

    1  exposure-to-web          everyone, and for now the same namespace: this write is the first to isolate its pods
    1  exposure-same-namespace  the same namespace
    2  exposure-default-deny
    3  exposure-to-web          everyone
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from exposure.labels import LabelSelector, Pairs
from exposure.networkpolicy.values import DIRECTIONS, Direction, PolicySpec, Rule
from exposure.resolve.network_policies import DEFAULT_DENY

Specs: TypeAlias = Mapping[str, PolicySpec]
#: The names of policies that exist for the length of one transition only.
INTERIM = "exposure-interim-"


@dataclass(frozen=True, slots=True)
class Write:
    """What the policy `name` is to be; None: it is deleted. Writes of equal `group` and `stage` are independent."""

    name: str
    spec: PolicySpec | None
    stage: tuple[int, int]
    group: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a transition leaves alone: policies of others, frozen ones, and the labels of live pods."""

    policies: tuple[PolicySpec, ...] = ()
    pods: tuple[Pairs, ...] = ()


def rules_of(spec: PolicySpec | None, direction: Direction) -> tuple[Rule, ...] | None:
    return None if spec is None else spec.rules(direction)


@dataclass(frozen=True, slots=True)
class Transition:
    before: Specs
    after: Specs
    surroundings: Surroundings

    def writes(self) -> list[Write]:
        """The writes that lead from `before` to `after`, in order."""
        names = {*self.before, *self.after}
        changed = sorted(name for name in names if self.before.get(name) != self.after.get(name))
        if len(changed) == 1:
            return [Write(changed[0], self.after.get(changed[0]), (1, 0))]
        writes = [write for name in changed if name != DEFAULT_DENY for write in self._of(name, changed)]
        for name, spec in self._for_shared_pods():
            writes.append(Write(name, spec, (1, -conditions(spec.pod_selector))))
            writes.append(Write(name, None, (3, conditions(spec.pod_selector))))
        if DEFAULT_DENY in changed:
            writes.append(Write(DEFAULT_DENY, self.after.get(DEFAULT_DENY), (2, 0)))
        return sorted(writes, key=lambda write: write.stage)

    def _of(self, name: str, changed: Sequence[str]) -> Iterator[Write]:
        before, after = self.before.get(name), self.after.get(name)
        moved = before is not None and after is not None and before.pod_selector != after.pod_selector
        wide = self._wide(None if moved else before, after)
        if (moved or wide not in (before, after)) and self._shares_no_pod(name, changed):
            wide, moved = after or wide, False
        if moved and before is not None:
            interim = self._interim_name(f"{name} {before.pod_selector}")
            yield Write(interim, self._wide(before, None), (0, 0))
            yield Write(interim, None, (3, conditions(before.pod_selector)))
        if wide != before:
            yield Write(name, wide, (1, -conditions(wide.pod_selector)))
        if wide != after:
            yield Write(name, after, (3, conditions(wide.pod_selector)))

    def _shares_no_pod(self, name: str, changed: Sequence[str]) -> bool:
        """Whether no pod can be selected by this policy and another one that changes: then one write is enough."""
        own = self._pod_selectors(name)
        others = [selector for other in changed if other != name for selector in self._pod_selectors(other)]
        return all(selector.disjoint(other) for selector in own for other in others)

    def _pod_selectors(self, name: str) -> list[LabelSelector]:
        return [specs[name].pod_selector for specs in (self.before, self.after) if name in specs]

    def _wide(self, before: PolicySpec | None, after: PolicySpec | None) -> PolicySpec:
        """A policy while others change: it allows what it did and will, and what its pods would miss meanwhile."""
        known = before or after
        assert known is not None
        wide: dict[Direction, tuple[Rule, ...]] = {}
        for direction in DIRECTIONS:
            old, new = rules_of(before, direction), rules_of(after, direction)
            if old is None and new is None:
                continue
            rules = _joined(old or (), new or ())
            if old is None:
                rules = _joined(rules, self._missing(self.before, self.after, known.pod_selector, direction))
            elif new is None:
                rules = _joined(rules, self._missing(self.after, self.before, known.pod_selector, direction))
            # If the old or the new rules are complete, their order is used, so that no second write only reorders.
            complete = (own for own in (new, old) if own is not None and set(own) == set(rules))
            wide[direction] = next(complete, rules)
        return PolicySpec(known.pod_selector, wide.get("ingress"), wide.get("egress"))

    def _missing(
        self, without: Specs, having: Specs, selector: LabelSelector, direction: Direction
    ) -> tuple[Rule, ...]:
        """The rules for all pods of `selector` where something isolates them, if nothing isolates them all without."""
        if any(spec.pod_selector.covers(selector) for spec in self.isolating(without, direction)):
            return ()
        covering = (spec for spec in having.values() if spec.pod_selector.covers(selector))
        return _joined(*(spec.rules(direction) or () for spec in covering))

    def isolating(self, specs: Specs, direction: Direction) -> list[PolicySpec]:
        """Those of the specs, and of the policies that stay, that isolate pods in a direction."""
        every = (*specs.values(), *self.surroundings.policies)
        return [spec for spec in every if spec.rules(direction) is not None]

    def _for_shared_pods(self) -> Iterator[tuple[str, PolicySpec]]:
        """Interim policies for pods that several policies begin (or stop) to select at once, none narrow enough."""
        interim: dict[tuple[str, LabelSelector], dict[Direction, tuple[Rule, ...]]] = {}
        for direction in DIRECTIONS:
            for side, without, having in (("to", self.before, self.after), ("from", self.after, self.before)):
                isolating = self.isolating(without, direction)
                if any(spec.pod_selector.empty for spec in isolating):
                    continue
                changing = [spec for spec in having.values() if spec.rules(direction) is not None]
                for pod in self.surroundings.pods:
                    selecting = [spec for spec in changing if spec.pod_selector.matches(pod)]
                    if _has_narrowest(selecting) or any(spec.pod_selector.matches(pod) for spec in isolating):
                        continue
                    shared = conjunction(spec.pod_selector for spec in selecting)
                    rules = interim.setdefault((side, shared), {})
                    granted = (spec.rules(direction) or () for spec in selecting)
                    rules[direction] = _joined(rules.get(direction, ()), *granted)
        for (side, shared), rules in interim.items():
            spec = PolicySpec(shared, rules.get("ingress"), rules.get("egress"))
            yield self._interim_name(f"{side} {shared}"), spec

    def _interim_name(self, text: str) -> str:
        """A name of its own, also where an interrupted transition left an interim policy behind."""
        number = 0
        while (name := f"{INTERIM}{sha256(f'{text} {number}'.encode()).hexdigest()[:10]}") in self.before:
            number += 1
        return name


def _has_narrowest(specs: Sequence[PolicySpec]) -> bool:
    return not specs or any(all(other.pod_selector.covers(spec.pod_selector) for other in specs) for spec in specs)


def _joined(*parts: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(dict.fromkeys(rule for part in parts for rule in part))


def conditions(selector: LabelSelector) -> int:
    """How many conditions a selector has: more of them select fewer pods."""
    return len(selector.labels) + len(selector.requirements)


def conjunction(selectors: Iterable[LabelSelector]) -> LabelSelector:
    """What all of the selectors select. They are known to select one pod together, so no two labels contradict."""
    every = list(selectors)
    return LabelSelector(
        tuple(sorted({pair for selector in every for pair in selector.labels})),
        tuple(sorted({need for selector in every for need in selector.requirements}, key=str)),
    )
