"""Plans carried out write by write on random namespaces: no write opens or cuts, and the last one ends the plan."""

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
from tests.plan.simulator import HOME, End, Live, SimulatedNamespace, carry_out

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


def managed(name: str, spec: PolicySpec) -> NetworkPolicy:
    return NetworkPolicy(HOME, name, spec, (MANAGED_BY,), (("exposure.dev/explanation", f"{spec}"[:40]),))


@st.composite
def wanted_policies(draw: st.DrawFn, egress: bool = True) -> Policies:
    """What the operator may want in a namespace: a default deny or none, and policies of up to three Services."""
    directions = draw(st.sampled_from(["", "i", "i", "e", "ie"] if egress else ["", "i"]))
    specs = {}
    if directions:
        specs[DEFAULT_DENY] = PolicySpec(
            EVERYTHING, () if "i" in directions else None, () if "e" in directions else None
        )
        if draw(st.booleans()):
            near = (Rule((Peer(pods=EVERYTHING),), None),)
            specs[SAME_NAMESPACE] = PolicySpec(
                EVERYTHING, near if "i" in directions else None, near if "e" in directions else None
            )
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        out = draw(st.one_of(st.none(), sides)) if egress else None
        specs[name] = PolicySpec(draw(service_selectors), draw(sides), out)
    return {name: managed(name, spec) for name, spec in specs.items()}


@st.composite
def foreign(draw: st.DrawFn) -> Policies:
    policies = {}
    for name in draw(st.lists(st.sampled_from(["others_policies", "others", *NAMES[:1]]), unique=True, max_size=2)):
        ways = draw(st.sampled_from(["i", "i", "e", "ie"]))
        spec = PolicySpec(
            draw(any_selectors), draw(sides) if "i" in ways else None, draw(sides) if "e" in ways else None
        )
        policies[name] = NetworkPolicy(HOME, name, spec)
    return policies


namespaces = st.lists(label_sets, min_size=1, max_size=4).map(
    lambda sets: SimulatedNamespace(
        tuple(Party(f"10.0.1.{n}", HOME, tuple(sorted(labels.items()))) for n, labels in enumerate(sets, 1))
    )
)


def pods_of(simulated: SimulatedNamespace) -> list[Pod]:
    return [Pod(HOME, party.address, party.labels, (party.address,)) for party in simulated.pods]


def planned(simulated: SimulatedNamespace, wanted: Policies, live: Live) -> Plan:
    resolution = Resolution(HOME, tuple(wanted[name] for name in sorted(wanted)), ())
    return make_plan(resolution, live, pods_of(simulated))


def shuffled(plan: Plan, seed: int) -> list[Change]:
    """The writes in a possible order: those of one step are sent together and arrive in any order."""
    pick = random.Random(seed)
    return sorted(plan.writes, key=lambda change: (change.step, pick.random()))


def goal(plan: Plan, live: Live, wanted: Policies) -> Policies:
    others_policies = {name: policy for name, policy in live.items() if not policy.is_ours}
    return {**{name: policy for name, policy in wanted.items() if name not in plan.name_conflicts}, **others_policies}


def check(simulated: SimulatedNamespace, live: Live, wanted: Policies, seed: int, crash: bool) -> None:
    plan = planned(simulated, wanted, live)
    end = goal(plan, live, wanted)
    before, after = simulated.ends(live), simulated.ends(end)
    allowed_before, allowed_after = simulated.connections(before), simulated.connections(after)
    one_way = ordered(live, end)
    state = live
    for change in shuffled(plan, seed):
        state = carry_out(state, [change])
        now = simulated.ends(state)
        assert now - before - after == frozenset(), f"{change} opens"
        assert (before & after) - now == frozenset(), f"{change} cuts"
        if one_way:
            passing = simulated.connections(now)
            assert passing - allowed_before - allowed_after == frozenset(), f"{change} opens for a moment"
        if crash:
            check_again(simulated, state, wanted, end, before, after)
    assert set(state) == set(end)
    assert all(same(state[name], end[name]) for name in end)
    assert planned(simulated, wanted, state).writes == ()
    assert {n: p for n, p in state.items() if not p.is_ours} == {n: p for n, p in live.items() if not p.is_ours}


def check_again(
    simulated: SimulatedNamespace,
    live: Live,
    wanted: Policies,
    end: Live,
    before: frozenset[End],
    after: frozenset[End],
) -> None:
    """The same invariants, with the same result, for a new plan after the first was interrupted here."""
    state = live
    for change in planned(simulated, wanted, live).writes:
        state = carry_out(state, [change])
        now = simulated.ends(state)
        assert now - before - after == frozenset(), f"after a crash {change} opens"
        assert (before & after) - now == frozenset(), f"after a crash {change} cuts"
    assert set(state) == set(end)
    assert all(same(state[name], end[name]) for name in end)


def ordered(live: Live, end: Live) -> bool:
    """Whether one direction only adds or only removes, with the same default deny and the same pod selectors.

    Then no connection between two pods opens for a moment. Else the guarantee is for each end on its own.
    """
    if any(live[name].spec.pod_selector != end[name].spec.pod_selector for name in live.keys() & end.keys()):
        return False
    return any(monotone([_written(policies, way) for policies in (live, end)]) for way in ("ingress", "egress"))


def monotone(written: list[dict[str, set[Rule]]]) -> bool:
    was, will = written
    if was.keys() != will.keys() and not {DEFAULT_DENY} <= was.keys() & will.keys():
        return False
    rules = [{(name, rule) for name, policy_rules in policies.items() for rule in policy_rules} for policies in written]
    return rules[0] <= rules[1] or rules[1] <= rules[0]


def _written(policies: Live, way: str) -> dict[str, set[Rule]]:
    sides = {name: getattr(policy.spec, way) for name, policy in policies.items()}
    return {name: set(rules) for name, rules in sides.items() if rules is not None}


@examples(200)
@given(namespaces, foreign(), wanted_policies(), wanted_policies(), st.integers(0, 9))
def test_a_plan_opens_nothing_and_cuts_nothing(
    simulated: SimulatedNamespace,
    others_policies: Policies,
    live: Policies,
    wanted: Policies,
    seed: int,
) -> None:
    """After every write, each pod is allowed what it is both before and after, and nothing that it is at neither."""
    check(simulated, {**live, **others_policies}, wanted, seed, crash=False)


@examples(200)
@given(namespaces, foreign(), wanted_policies(egress=False), wanted_policies(egress=False), st.integers(0, 9))
def test_a_plan_that_is_interrupted_anywhere_is_continued_by_the_next(
    simulated: SimulatedNamespace,
    others_policies: Policies,
    live: Policies,
    wanted: Policies,
    seed: int,
) -> None:
    """From every state in between, a new plan has the same result, with the same invariants."""
    check(simulated, {**live, **others_policies}, wanted, seed, crash=True)
