"""Plans carried out write by write on random namespaces: nothing opens, nothing is cut, and it settles."""

from __future__ import annotations

import random
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from exposure.addresses import block, network
from exposure.labels import EVERYTHING, LabelSelector, Requirement, selecting
from exposure.model.exposures import Resolution
from exposure.model.objects import Pod
from exposure.model.plans import Change, Plan
from exposure.networkpolicy.values import MANAGED_BY, NetworkPolicy, Peer, PolicyPort, PolicySpec, Rule
from exposure.plan.changes import make_plan, same
from exposure.resolve.network_policies import DEFAULT_DENY, SAME_NAMESPACE
from tests.examples import examples
from tests.plan.evaluator import Party
from tests.plan.simulator import HOME, End, Live, Room, carry_out

LABELS = {"app": ("web", "db"), "tier": ("edge", "core"), "color": ("blue", "green")}
BLOCKS = (
    block(network("0.0.0.0/0")),
    block(network("203.0.113.0/24")),
    block(network("0.0.0.0/0"), [network("10.0.0.0/8")]),
    block(network("10.0.1.0/24")),
)
PEERS = (
    *map(Peer, BLOCKS),
    Peer(pods=EVERYTHING),
    Peer(pods=selecting({"app": "db"})),
    Peer(namespaces=EVERYTHING, pods=EVERYTHING),
    Peer(namespaces=selecting({"kubernetes.io/metadata.name": "bank"})),
)
OPEN_PORTS = (None, (PolicyPort("TCP", 8080),), (PolicyPort("TCP", 8443),))
Policies: TypeAlias = dict[str, NetworkPolicy]
NAMES = ("exposure-to-a", "exposure-to-b", "exposure-to-c")

label_sets = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in LABELS.items()})
rules = st.builds(Rule, st.one_of(st.none(), st.tuples(st.sampled_from(PEERS))), st.sampled_from(OPEN_PORTS))
sides = st.lists(rules, max_size=2, unique=True).map(tuple)
service_selectors = label_sets.filter(bool).map(selecting)
any_selectors = st.one_of(
    st.just(EVERYTHING),
    service_selectors,
    st.just(LabelSelector((), (Requirement("app", "In", ("db", "web")),))),
    st.just(LabelSelector((), (Requirement("tier", "DoesNotExist"),))),
)


def ours(name: str, spec: PolicySpec) -> NetworkPolicy:
    return NetworkPolicy(HOME, name, spec, (MANAGED_BY,), (("exposure.dev/explanation", f"{spec}"[:40]),))


@st.composite
def granted(draw: st.DrawFn, egress: bool = True) -> Policies:
    """What the operator may want in a namespace: a wall or none, neighbours or none, up to three Services."""
    walls = draw(st.sampled_from(["", "i", "i", "e", "ie"] if egress else ["", "i"]))
    found = {}
    if walls:
        found[DEFAULT_DENY] = PolicySpec(EVERYTHING, () if "i" in walls else None, () if "e" in walls else None)
        if draw(st.booleans()):
            near = (Rule((Peer(pods=EVERYTHING),), None),)
            found[SAME_NAMESPACE] = PolicySpec(
                EVERYTHING, near if "i" in walls else None, near if "e" in walls else None
            )
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        out = draw(st.one_of(st.none(), sides)) if egress else None
        found[name] = PolicySpec(draw(service_selectors), draw(sides), out)
    return {name: ours(name, spec) for name, spec in found.items()}


@st.composite
def foreign(draw: st.DrawFn) -> Policies:
    found = {}
    for name in draw(st.lists(st.sampled_from(["theirs", "others", *NAMES[:1]]), unique=True, max_size=2)):
        ways = draw(st.sampled_from(["i", "i", "e", "ie"]))
        spec = PolicySpec(
            draw(any_selectors), draw(sides) if "i" in ways else None, draw(sides) if "e" in ways else None
        )
        found[name] = NetworkPolicy(HOME, name, spec)
    return found


rooms = st.lists(label_sets, min_size=1, max_size=4).map(
    lambda sets: Room(
        tuple(Party(f"10.0.1.{n}", HOME, tuple(sorted(labels.items()))) for n, labels in enumerate(sets, 1))
    )
)


def pods_of(room: Room) -> list[Pod]:
    return [Pod(HOME, party.address, party.labels, (party.address,)) for party in room.pods]


def planned(room: Room, wanted: Policies, live: Live) -> Plan:
    resolution = Resolution(HOME, tuple(wanted[name] for name in sorted(wanted)), ())
    return make_plan(resolution, live, pods_of(room))


def shuffled(plan: Plan, seed: int) -> list[Change]:
    """The writes in an order that could come about: those of one step leave together, and land as they like."""
    pick = random.Random(seed)
    return sorted(plan.writes, key=lambda change: (change.step, pick.random()))


def goal(plan: Plan, live: Live, wanted: Policies) -> Policies:
    theirs = {name: policy for name, policy in live.items() if not policy.is_ours}
    return {**{name: policy for name, policy in wanted.items() if name not in plan.name_conflicts}, **theirs}


def check(room: Room, live: Live, wanted: Policies, seed: int, crash: bool) -> None:
    plan = planned(room, wanted, live)
    end = goal(plan, live, wanted)
    before, after = room.ends(live), room.ends(end)
    allowed_before, allowed_after = room.connections(before), room.connections(after)
    one_way = ordered(live, end)
    state = live
    for change in shuffled(plan, seed):
        state = carry_out(state, [change])
        now = room.ends(state)
        assert now - before - after == frozenset(), f"{change} opens"
        assert (before & after) - now == frozenset(), f"{change} cuts"
        if one_way:
            passing = room.connections(now)
            assert passing - allowed_before - allowed_after == frozenset(), f"{change} opens for a moment"
        if crash:
            check_again(room, state, wanted, end, before, after)
    assert set(state) == set(end)
    assert all(same(state[name], end[name]) for name in end)
    assert planned(room, wanted, state).writes == ()
    assert {n: p for n, p in state.items() if not p.is_ours} == {n: p for n, p in live.items() if not p.is_ours}


def check_again(
    room: Room,
    live: Live,
    wanted: Policies,
    end: Live,
    before: frozenset[End],
    after: frozenset[End],
) -> None:
    """The same promises, towards the same goal, for a plan that is made after the first was broken off here."""
    state = live
    for change in planned(room, wanted, live).writes:
        state = carry_out(state, [change])
        now = room.ends(state)
        assert now - before - after == frozenset(), f"after a crash {change} opens"
        assert (before & after) - now == frozenset(), f"after a crash {change} cuts"
    assert set(state) == set(end)
    assert all(same(state[name], end[name]) for name in end)


def ordered(live: Live, end: Live) -> bool:
    """Whether one direction at least only gives or only takes, as written, under the same walls and the same subjects.

    Then no connection between two pods opens for a moment either; beyond that, each end by itself is what is promised.
    """
    if any(live[name].spec.pod_selector != end[name].spec.pod_selector for name in live.keys() & end.keys()):
        return False
    return any(monotone([_written(policies, way) for policies in (live, end)]) for way in ("ingress", "egress"))


def monotone(written: list[dict[str, set[Rule]]]) -> bool:
    was, will = written
    if was.keys() != will.keys() and not {DEFAULT_DENY} <= was.keys() & will.keys():
        return False
    rules = [{(name, rule) for name, said in each.items() for rule in said} for each in written]
    return rules[0] <= rules[1] or rules[1] <= rules[0]


def _written(policies: Live, way: str) -> dict[str, set[Rule]]:
    said = {name: getattr(policy.spec, way) for name, policy in policies.items()}
    return {name: set(rules) for name, rules in said.items() if rules is not None}


@examples(200)
@given(rooms, foreign(), granted(), granted(), st.integers(0, 9))
def test_a_plan_opens_nothing_and_cuts_nothing(
    room: Room,
    theirs: Policies,
    live: Policies,
    wanted: Policies,
    seed: int,
) -> None:
    """At every moment each pod consents to what it does before and after, and to nothing that it does at neither."""
    check(room, {**live, **theirs}, wanted, seed, crash=False)


@examples(200)
@given(rooms, foreign(), granted(egress=False), granted(egress=False), st.integers(0, 9))
def test_a_plan_that_is_broken_off_anywhere_is_taken_up_again(
    room: Room,
    theirs: Policies,
    live: Policies,
    wanted: Policies,
    seed: int,
) -> None:
    """From every state in between, a new plan leads to the same goal with the same promises."""
    check(room, {**live, **theirs}, wanted, seed, crash=True)
