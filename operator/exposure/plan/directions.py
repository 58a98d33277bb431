"""Ingress and egress, one after the other where that matters.

A connection inside a namespace needs the consent of both ends. Where one direction only gives and the other only takes,
writing both at once could let a connection pass for a moment that neither before nor after allows: its sender has not
lost it yet, its receiver has got it already. So then one direction goes first. Where both directions give and take at
once, no order is right for every pair of pods, and each end by itself is all that is promised (docs/adr).
"""

from dataclasses import replace

from exposure.plan.transition import WAYS, Around, Specs, Way, Write, pod_selectors, rules, with_rules, writes


def writes_by_direction(before: Specs, after: Specs, around: Around) -> list[Write]:
    """The writes from `before` to `after`; in two groups, one for each direction, where they must not mix."""
    first = _first(before, after, around)
    if first is None:
        return writes(before, after, around)
    middle = _with(before, after, first)
    return [
        *writes(before, middle, around),
        *(replace(write, group=1) for write in writes(middle, after, around)),
    ]


def _first(before: Specs, after: Specs, around: Around) -> Way | None:
    """The direction that has to be done before the other one is begun; None: they may be written together."""
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    if len(changed) < 2 or any(len(set(pod_selectors(before.get(n), after.get(n)))) > 1 for n in changed):
        return None
    ingress, egress = (_effects(before, after, around, way) for way in WAYS)
    if len(ingress | egress) < 2 or not ingress or not egress:
        return None
    # What only takes goes before the other, what only gives goes after it.
    if egress == {"takes"} or ingress == {"gives"}:
        return "egress"
    if ingress == {"takes"} or egress == {"gives"}:
        return "ingress"
    return None


def _effects(before: Specs, after: Specs, around: Around, way: Way) -> set[str]:
    """Whether the change gives or takes something in one direction, as far as rules and selectors tell."""
    found: set[str] = set()
    for name in {*before, *after}:
        old, new = rules(before.get(name), way), rules(after.get(name), way)
        if old is not None and new is not None:
            found |= {"gives"} if set(new) - set(old) else set()
            found |= {"takes"} if set(old) - set(new) else set()
        elif new is not None:
            found |= _closing(name, before, after, around, way, "takes", "gives")
        elif old is not None:
            found |= _closing(name, after, before, around, way, "gives", "takes")
    return found


def _closing(name: str, without: Specs, having: Specs, around: Around, way: Way, first: str, further: str) -> set[str]:
    """The effect of a policy on pods that it is the first to close, and on those that something else closes as well."""
    selector = having[name].pod_selector
    others = [s for s in (*without.values(), *around.standing) if rules(s, way) is not None]
    if any(other.pod_selector.covers(selector) for other in others):
        return {further} if rules(having[name], way) else set()
    return {first, further} if others and rules(having[name], way) else {first}


def _with(before: Specs, after: Specs, first: Way) -> Specs:
    """`before`, with one direction as it is afterwards."""
    middle = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        base = old or new
        assert base is not None
        for way in WAYS:
            base = with_rules(base, way, rules(new if way == first else old, way))
        if (base.ingress, base.egress) != (None, None):
            middle[name] = base
    return middle
