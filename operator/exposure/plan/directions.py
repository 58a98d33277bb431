"""Ingress and egress, one after the other if the order matters.

A connection inside a namespace needs both ends. Where one direction only grants and the other only withdraws, writing
both at once could let a connection pass for a moment that neither before nor after allows: its sender has not lost it
yet, and its receiver already has it. So then one direction goes first. Where both directions grant and withdraw at
once, no order is right for every pair of pods, and each end by itself is all that is promised (docs/adr/0003).
"""

from dataclasses import replace
from typing import TypeAlias

from exposure.networkpolicy.values import DIRECTIONS, Direction, PolicySpec
from exposure.plan.transition import Specs, Surroundings, Transition, Write, rules_of

#: Whether a change grants connections of the pods that a policy selects, and whether it withdraws any.
Effect: TypeAlias = tuple[bool, bool]
ONLY_GRANTS, ONLY_WITHDRAWS = (True, False), (False, True)


def writes_by_direction(before: Specs, after: Specs, surroundings: Surroundings) -> list[Write]:
    """The writes from `before` to `after`; in two groups, one for each direction, where they must not mix."""
    first = _first_direction(before, after, surroundings)
    if first is None:
        return Transition(before, after, surroundings).writes()
    between = _with_one_direction(before, after, first)
    later = Transition(between, after, surroundings).writes()
    return [*Transition(before, between, surroundings).writes(), *(replace(write, group=1) for write in later)]


def _first_direction(before: Specs, after: Specs, surroundings: Surroundings) -> Direction | None:
    """The direction that has to be done before the other one begins; None: they may be written together."""
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    moved = any(before[name].pod_selector != after[name].pod_selector for name in before.keys() & after.keys())
    if len(changed) < 2 or moved:
        return None
    ingress, egress = (_effect(before, after, surroundings, direction) for direction in DIRECTIONS)
    if not any(ingress) or not any(egress) or ingress == egress in (ONLY_GRANTS, ONLY_WITHDRAWS):
        return None
    # What only withdraws goes before the other direction, what only grants goes after it.
    if egress == ONLY_WITHDRAWS or ingress == ONLY_GRANTS:
        return "egress"
    if ingress == ONLY_WITHDRAWS or egress == ONLY_GRANTS:
        return "ingress"
    return None


def _effect(before: Specs, after: Specs, surroundings: Surroundings, direction: Direction) -> Effect:
    """What the change does in one direction, as far as rules and selectors tell."""
    grants = withdraws = False
    for name in {*before, *after}:
        old, new = rules_of(before.get(name), direction), rules_of(after.get(name), direction)
        if old is None and new is not None:
            more, fewer = _isolating(name, before, after, surroundings, direction)
        elif old is not None and new is None:
            fewer, more = _isolating(name, after, before, surroundings, direction)
        else:
            more, fewer = not set(new or ()) <= set(old or ()), not set(old or ()) <= set(new or ())
        grants, withdraws = grants or more, withdraws or fewer
    return grants, withdraws


def _isolating(name: str, without: Specs, having: Specs, surroundings: Surroundings, direction: Direction) -> Effect:
    """The effect of adding a policy: it withdraws where it is the first to isolate its pods, else it may grant."""
    selector, grants = having[name].pod_selector, bool(having[name].rules(direction))
    every = (*without.values(), *surroundings.policies)
    others = [spec for spec in every if spec.rules(direction) is not None]
    covered = any(other.pod_selector.covers(selector) for other in others)
    return grants and bool(others), not covered


def _with_one_direction(before: Specs, after: Specs, first: Direction) -> Specs:
    """`before`, with one direction as it is afterwards."""
    between = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        ingress, egress = (rules_of(new if direction == first else old, direction) for direction in DIRECTIONS)
        if (ingress, egress) != (None, None):
            between[name] = PolicySpec((old or after[name]).pod_selector, ingress, egress)
    return between
