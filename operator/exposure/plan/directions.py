"""Ingress and egress, one after the other if the order matters.

A connection inside a namespace needs both ends. Where one direction only grants and the other only withdraws, writing
both at once could let a connection pass for a moment that neither before nor after allows: its sender has not lost it
yet, and its receiver already has it. So then one direction goes first. Where both directions grant and withdraw at
once, no order is right for every pair of pods, and each end by itself is all that is promised (docs/adr/0003).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from exposure.networkpolicy.values import DIRECTIONS, Direction, PolicySpec
from exposure.plan.transition import Specs, Transition, Write, rules_of

#: Whether a change grants connections of the pods that a policy selects, and whether it withdraws any.
Effect: TypeAlias = tuple[bool, bool]
ONLY_GRANTS, ONLY_WITHDRAWS = (True, False), (False, True)


def writes_by_direction(whole: Transition) -> list[Write]:
    """The writes of a transition; in two groups, one for each direction, where they must not mix."""
    first = _first_direction(whole)
    if first is None:
        return whole.writes()
    between = _with_one_direction(whole.before, whole.after, first)
    later = replace(whole, before=between).writes()
    return [*replace(whole, after=between).writes(), *(replace(write, group=1) for write in later)]


def _first_direction(whole: Transition) -> Direction | None:
    """The direction that has to be done before the other one begins; None: they may be written together."""
    before, after = whole.before, whole.after
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    moved = any(before[name].pod_selector != after[name].pod_selector for name in before.keys() & after.keys())
    if len(changed) < 2 or moved:
        return None
    ingress, egress = (_effect(whole, direction) for direction in DIRECTIONS)
    if not any(ingress) or not any(egress) or ingress == egress in (ONLY_GRANTS, ONLY_WITHDRAWS):
        return None
    # What only withdraws goes before the other direction, what only grants goes after it.
    if egress == ONLY_WITHDRAWS or ingress == ONLY_GRANTS:
        return "egress"
    if ingress == ONLY_WITHDRAWS or egress == ONLY_GRANTS:
        return "ingress"
    return None


def _effect(whole: Transition, direction: Direction) -> Effect:
    """What the change does in one direction, as far as rules and selectors tell."""
    before, after = whole.before, whole.after
    grants = withdraws = False
    for name in {*before, *after}:
        old, new = rules_of(before.get(name), direction), rules_of(after.get(name), direction)
        if old is None and new is not None:
            more, fewer = _isolating(after[name], direction, whole.isolating(before, direction))
        elif old is not None and new is None:
            fewer, more = _isolating(before[name], direction, whole.isolating(after, direction))
        else:
            more, fewer = not set(new or ()) <= set(old or ()), not set(old or ()) <= set(new or ())
        grants, withdraws = grants or more, withdraws or fewer
    return grants, withdraws


def _isolating(added: PolicySpec, direction: Direction, others: Sequence[PolicySpec]) -> Effect:
    """The effect of adding a policy: it withdraws where it is the first to isolate its pods, else it may grant."""
    covered = any(other.pod_selector.covers(added.pod_selector) for other in others)
    return bool(added.rules(direction) and others), not covered


def _with_one_direction(before: Specs, after: Specs, first: Direction) -> Specs:
    """`before`, with one direction as it is afterwards."""
    between = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        ingress, egress = (rules_of(new if direction == first else old, direction) for direction in DIRECTIONS)
        if (ingress, egress) != (None, None):
            between[name] = PolicySpec((old or after[name]).pod_selector, ingress, egress)
    return between
