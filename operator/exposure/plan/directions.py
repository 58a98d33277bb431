"""Ingress and egress, one after the other where that matters.

A connection inside a namespace needs both ends. Where one direction only grants and the other only withdraws, writing
both at once could let a connection pass for a moment that neither before nor after allows: its sender has not lost it
yet, and its receiver already has it. So then one direction goes first. Where both directions grant and withdraw at
once, no order is right for every pair of pods, and each end by itself is all that is promised (docs/adr/0003).
"""

from dataclasses import replace
from enum import Flag, auto

from exposure.networkpolicy.values import DIRECTIONS, Direction
from exposure.plan.transition import Specs, Surroundings, Write, ordered_writes, pod_selectors, rules_of, with_rules


class Effect(Flag):
    """What a change does to the connections of the pods that a policy selects."""

    NONE = 0
    GRANTS = auto()
    WITHDRAWS = auto()


def writes_by_direction(before: Specs, after: Specs, surroundings: Surroundings) -> list[Write]:
    """The writes from `before` to `after`; in two groups, one for each direction, where they must not mix."""
    first = _first_direction(before, after, surroundings)
    if first is None:
        return ordered_writes(before, after, surroundings)
    between = _with_one_direction(before, after, first)
    return [
        *ordered_writes(before, between, surroundings),
        *(replace(write, group=1) for write in ordered_writes(between, after, surroundings)),
    ]


def _first_direction(before: Specs, after: Specs, surroundings: Surroundings) -> Direction | None:
    """The direction that has to be done before the other one begins; None: they may be written together."""
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    moved = any(len(set(pod_selectors(before.get(name), after.get(name)))) > 1 for name in changed)
    if len(changed) < 2 or moved:
        return None
    ingress, egress = (_effect(before, after, surroundings, direction) for direction in DIRECTIONS)
    if not ingress or not egress or ingress == egress in (Effect.GRANTS, Effect.WITHDRAWS):
        return None
    # What only withdraws goes before the other direction, what only grants goes after it.
    if egress == Effect.WITHDRAWS or ingress == Effect.GRANTS:
        return "egress"
    if ingress == Effect.WITHDRAWS or egress == Effect.GRANTS:
        return "ingress"
    return None


def _effect(before: Specs, after: Specs, surroundings: Surroundings, direction: Direction) -> Effect:
    """What the change does in one direction, as far as rules and selectors tell."""
    effect = Effect.NONE
    for name in {*before, *after}:
        old, new = rules_of(before.get(name), direction), rules_of(after.get(name), direction)
        if old is not None and new is not None:
            effect |= Effect.GRANTS if set(new) - set(old) else Effect.NONE
            effect |= Effect.WITHDRAWS if set(old) - set(new) else Effect.NONE
        elif new is not None:
            effect |= _isolating(name, before, after, surroundings, direction)
        elif old is not None:
            effect |= _reverse(_isolating(name, after, before, surroundings, direction))
    return effect


def _isolating(name: str, without: Specs, having: Specs, surroundings: Surroundings, direction: Direction) -> Effect:
    """The effect of adding a policy: it withdraws where it is the first to isolate its pods, else it may grant."""
    selector, grants = having[name].pod_selector, bool(rules_of(having[name], direction))
    every = (*without.values(), *surroundings.policies)
    others = [spec for spec in every if rules_of(spec, direction) is not None]
    if any(other.pod_selector.covers(selector) for other in others):
        return Effect.GRANTS if grants else Effect.NONE
    return Effect.WITHDRAWS | Effect.GRANTS if others and grants else Effect.WITHDRAWS


def _reverse(effect: Effect) -> Effect:
    """What it does to take back what has this effect."""
    grants, withdraws = Effect.GRANTS in effect, Effect.WITHDRAWS in effect
    return (Effect.WITHDRAWS if grants else Effect.NONE) | (Effect.GRANTS if withdraws else Effect.NONE)


def _with_one_direction(before: Specs, after: Specs, first: Direction) -> Specs:
    """`before`, with one direction as it is afterwards."""
    between = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        spec = old or new
        assert spec is not None
        for direction in DIRECTIONS:
            spec = with_rules(spec, direction, rules_of(new if direction == first else old, direction))
        if (spec.ingress, spec.egress) != (None, None):
            between[name] = spec
    return between
