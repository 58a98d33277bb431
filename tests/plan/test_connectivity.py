"""What a plan says would be lost and gained, against an evaluator that reads the policies by itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given

from exposure.addresses import block, inside, network
from exposure.labels import EVERYTHING, LabelSelector, Requirement, selecting
from exposure.model.exposures import Resolution
from exposure.model.objects import ContainerPort, Namespace, Node, Pod, Service
from exposure.model.plans import Plan
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy, Peer, PolicyPort, PolicySpec, Rule
from exposure.plan.changes import make_plan
from exposure.plan.connectivity import Comparison, Difference, after_plan, connectivity, connectivity_lines
from exposure.plan.parties import Party
from tests.examples import examples
from tests.plan.simulator import ABROAD, HOME, NAMESPACES, PORTS, Connection, Live, Room
from tests.plan.test_order import NEIGHBOURS, OFFICE, WALL, WEB, WORLD, to
from tests.plan.test_promises import Policies, foreign, granted, planned, pods_of, rooms

SPACES = {name: Namespace(name, tuple(labels.items())) for name, labels in NAMESPACES.items()}
TELLER = Pod("bank", "teller", ABROAD[2].labels, (ABROAD[2].address,))


def snapshot(live: Live, pods: list[Pod] | None = None, services: tuple[Service, ...] = ()) -> Snapshot:
    return Snapshot(
        namespaces=SPACES,
        pods={HOME: {pod.name: pod for pod in pods or ()}, "bank": {"teller": TELLER}},
        services={HOME: {service.name: service for service in services}},
        network_policies={HOME: live},
    )


@examples(60)
@given(rooms, foreign(), granted(), granted())
def test_what_is_lost_and_gained_is_what_is_lost_and_gained(
    room: Room, theirs: Policies, live: Policies, wanted: Policies
) -> None:
    """For every pair of a pod with a pod or an address, and every port: exactly what the evaluator sees change."""
    before = {**live, **theirs}
    plan = planned(room, wanted, before)
    after = after_plan(plan, before)
    comparison = Comparison(snapshot(before, pods_of(room)), HOME, list(before.values()), list(after.values()), True)
    reported: dict[str, set[Connection]] = {"lost": set(), "gained": set()}
    everyone = [*((HOME, pod) for pod in room.pods), *(("", address) for address in ABROAD)]
    for pair in comparison.pairs():
        for (home, mine), (_, other) in product(everyone, everyone):
            if home != HOME or mine == other or not has_address(pair.workload, mine.address):
                continue
            if not stands_for(pair.peer, other.address, comparison):
                continue
            ends = (other.address, mine.address) if pair.direction == "ingress" else (mine.address, other.address)
            numbers = [
                range(port.port, (port.end_port or port.port) + 1)
                for port in pair.ports
                if port.protocol == "TCP" and isinstance(port.port, int)
            ]
            reported[pair.verb] |= {(*ends, port) for port in PORTS if any(port in each for each in numbers)}
    was, will = (room.connections(room.ends(policies)) for policies in (before, after))
    assert {"lost": was - will, "gained": will - was} == reported


def has_address(party: Party, address: str) -> bool:
    return network(address) in [block.cidr for block in party.end.addresses]


def stands_for(party: Party, address: str, comparison: Comparison) -> bool:
    """A pod stands in its own party; any other address in the narrowest network that holds it."""
    pods = [each for each in (*comparison.own, *comparison.others) if has_address(each, address)]
    if pods:
        return party in pods
    around = [
        each for each in comparison.outside if each.network is not None and inside(network(address), each.network)
    ]
    return party is max(around, key=lambda each: each.network.prefixlen if each.network else -1)


def lines(before: list[NetworkPolicy], after: list[NetworkPolicy], **known: object) -> list[str]:
    live = {each.name: each for each in before}
    cluster = replace(Snapshot(network_policies={"shop": live}), **known)  # type: ignore[arg-type]
    plan = make_plan(Resolution("shop", tuple(after), ()), live)
    return connectivity_lines(connectivity(cluster, plan))


CART = {"shop": {"cart": Service("shop", "cart", selector=(("app", "cart"),))}}
NAMED = to("web", {"app": "web"}, Rule((Peer(pods=selecting({"app": "cart"})),), (PolicyPort("TCP", "http"),)))
WEB_POD = Pod(
    "shop",
    "w",
    (("app", "web"), ("pod-template-hash", "x")),
    ("10.0.1.1",),
    ports=(ContainerPort("http", "TCP", 8080),),
)
HALVES = Rule(
    (
        Peer(block(network("10.0.0.0/25"))),
        Peer(block(network("10.0.0.128/25"))),
        Peer(block(network("10.0.0.0/24"), [network("10.0.0.0/25")])),
    ),
    None,
)
THE_BANK = selecting({"kubernetes.io/metadata.name": "bank"})
BANK = Rule((Peer(namespaces=THE_BANK),), None)
BANK_B = Rule((Peer(namespaces=THE_BANK, pods=selecting({"app": "b"})),), None)
CARTS = Rule((Peer(namespaces=EVERYTHING, pods=selecting({"app": "cart"})),), None)
IN_AB, NOT_OLD = Requirement("tier", "In", ("a", "b")), Requirement("old", "DoesNotExist")
CART_POD = Pod("shop", "c", (("app", "cart"),), ("10.0.1.2",))


@pytest.mark.parametrize(
    "before, after, known, said",
    [
        pytest.param([WALL], [WALL], {}, [], id="nothing-changes"),
        pytest.param(
            [WALL], [WALL, WEB], {},
            ["gained  from 203.0.113.0/24 to app=web tcp/8443"],
            id="a-entry-point-opens",
        ),
        pytest.param(
            [WALL, WEB], [WALL], {},
            ["lost    from 203.0.113.0/24 to app=web tcp/8443"],
            id="a-entry-point-closes",
        ),
        pytest.param(
            [], [WALL, WEB], {"services": CART},
            [
                "lost    from 203.0.113.0/24 to app=web every port but tcp/8443",
                "lost    from every pod in namespace shop, any IPv4 address but 203.0.113.0/24 to app=web every port",
                "lost    from every pod in namespace shop, any IPv4 address to app=cart, other pods every port",
            ],
            id="adoption-says-what-neighbours-lose-without-any-pod-known",
        ),
        pytest.param(
            [WALL, to("web", {"app": "web"}, WORLD)], [WALL, to("web", {"app": "web"}, OFFICE)], {},
            ["lost    from any IPv4 address but 203.0.113.0/24 to app=web tcp/8443"],
            id="narrower-clients",
        ),
        pytest.param(
            [WALL], [WALL, NAMED], {},
            ["gained  from pods app=cart in namespace shop to app=web tcp/http"],
            id="a-name-stays-a-name-where-its-number-is-not-known",
        ),
        pytest.param(
            [WALL], [WALL, NAMED], {"pods": {"shop": {"w": WEB_POD, "c": CART_POD}}},
            ["gained  from pods app=cart in namespace shop to app=web tcp/8080"],
            id="and-is-a-number-where-pods-tell",
        ),
        pytest.param(
            [WALL], [WALL, to("web", {"app": "web"}, Rule((Peer(block(network("192.0.2.0/24"))),), None))],
            {"nodes": {"n": Node("n", ("192.0.2.9",))}},
            ["gained  from the nodes, 192.0.2.0/24 to app=web every port"],
            id="nodes-are-named",
        ),
        pytest.param(
            [WALL], [WALL, to("web", {"app": "web"}, Rule(None, (PolicyPort("UDP"), PolicyPort("TCP", 1, 99))))],
            {"services": {"shop": {}}},
            ["gained  from every pod in namespace shop, any IPv4 address to app=web udp/* tcp/1-99"],
            id="ranges-and-whole-protocols",
        ),
        pytest.param(
            [WALL],
            [WALL, to("web", {"app": "web"}, CARTS)],
            {
                "namespaces": {n: Namespace(n) for n in ("shop", "a", "b", "c", "d")},
                "services": {"shop": {}},
            },
            [
                "gained  from 4 workloads in namespaces a, b, c and 1 more, pods app=cart in namespace shop to app=web "
                "every port"
            ],
            id="namespaces-that-nothing-tells-apart-are-one",
        ),
        pytest.param(
            [WALL], [WALL, to("web", {"app": "web"}, HALVES)], {},
            ["gained  from 10.0.0.0/25, 10.0.0.128/25 to app=web every port"],
            id="two-halves-leave-nothing-of-the-whole",
        ),
        pytest.param(
            [WALL], [WALL, to("web", {"app": "web"}, BANK)],
            {"namespaces": SPACES, "pods": {"bank": {n: Pod("bank", n, (("app", n),)) for n in "abcd"}}},
            ["gained  from 4 pods in namespace bank to app=web every port"],
            id="pods-that-nothing-tells-apart-are-counted",
        ),
        pytest.param(
            [WALL], [WALL, to("web", {"app": "web"}, BANK, BANK_B)],
            {"namespaces": SPACES, "pods": {"bank": {n: Pod("bank", n, (("app", n),)) for n in "ab"}}},
            ["gained  from pods app=a, app=b in namespace bank to app=web every port"],
            id="workloads-of-one-namespace-share-its-name",
        ),
        pytest.param(
            [WALL],
            [
                WALL,
                to(
                    "web",
                    {"app": "web"},
                    Rule((Peer(pods=LabelSelector((), (IN_AB,))),), None),
                ),
            ],
            {},
            ["gained  from pods tier in (a,b) in namespace shop to app=web every port"],
            id="an-expression-stands-for-what-it-selects",
        ),
        pytest.param(
            [WALL],
            [WALL, to("web", {"app": "web"}, Rule((Peer(pods=LabelSelector((), (IN_AB, NOT_OLD))),), None))],
            {},
            ["gained  from pods tier in (a,b),!old in namespace shop to app=web every port"],
            id="an-expression-may-say-what-is-not",
        ),
    ],
)  # fmt: skip
def test_what_is_said(
    before: list[NetworkPolicy], after: list[NetworkPolicy], known: dict[str, object], said: list[str]
) -> None:
    """One line for each thing that changes, losses first, in terms of labels and ranges."""
    assert said == lines(before, after, **known)


def test_a_way_out_that_closes_is_lost_for_the_sender() -> None:
    """Egress is reported from the pod that calls."""
    out = to("web", {"app": "web"}, egress=())
    open_before = NetworkPolicy("shop", out.name, PolicySpec(out.spec.pod_selector, (), None), out.labels)
    assert ["lost    from app=web to any IPv4 address every port"] == lines([WALL, open_before], [WALL, out])


def test_a_way_out_that_closes_is_lost_inside_the_namespace_too() -> None:
    """The pod that is called keeps its policies; the pod that calls is isolated."""
    closed = NetworkPolicy("shop", "exposure-to-cart", PolicySpec(selecting({"app": "cart"}), None, ()))
    services = {"shop": {name: Service("shop", name, selector=(("app", name),)) for name in ("cart", "web")}}
    assert [
        "lost    from app=cart to any IPv4 address every port",
        "lost    from pods app=cart in namespace shop to app=cart, app=web, other pods every port",
    ] == lines([], [closed], services=services)


def test_addresses_that_are_none_are_passed_over() -> None:
    """A Node's InternalIP may be a host name, and what a pod reports is not checked by everything that reports it."""
    office = to("web", {"app": "web"}, OFFICE)
    pods = {"shop": {"w": Pod("shop", "w", (("app", "web"),), ("nonsense", ""))}}
    nodes = {"n": Node("n", ("node-1.example",)), "m": Node("m", ("203.0.113.9",))}
    assert ["gained  from the nodes, 203.0.113.0/24 to app=web tcp/8443"] == lines(
        [WALL], [WALL, office], pods=pods, nodes=nodes
    )


def test_workloads_elsewhere_that_nothing_admits_are_one() -> None:
    """Whether a pod's address is outside of every ipBlock, or not known: neither pod is admitted."""
    spaces = {name: Namespace(name) for name in ("shop", "known", "unknown")}
    pods = {"known": {"p": Pod("known", "p", (("app", "p"),), ("192.0.2.1",))}}
    gained = lines([WALL], [WALL, to("web", {"app": "web"}, OFFICE)], namespaces=spaces, pods=pods)
    lost = lines([], [WALL, to("web", {"app": "web"}, OFFICE)], namespaces=spaces, pods=pods)
    assert ["gained  from 203.0.113.0/24 to app=web tcp/8443"] == gained
    assert any("2 workloads in namespaces known, unknown" in line for line in lost)


def test_long_lists_are_cut_and_counted() -> None:
    """As many lines as a status may hold; the last one says how many more there are."""
    many = [Difference("lost", (f"10.0.0.{n}/32",), ("app=web",), "tcp/80") for n in range(5)]
    assert [str(many[0]), "and 4 more"] == connectivity_lines(many, 2)
    assert "lost    from a, b, c, d and 1 more to x every port" == str(
        Difference("lost", tuple("abcde"), ("x",), "every port")
    )
    assert {"verb": "lost", "from": ["10.0.0.0/32"], "to": ["app=web"], "ports": "tcp/80"} == many[0].as_json()


def test_neighbours_are_known_to_be_needed() -> None:
    """A same-namespace rule keeps what neighbours do, and so nothing of it is lost."""
    near = to("web", {"app": "web"}, NEIGHBOURS)
    assert ["lost    from any IPv4 address to app=web every port"] == lines([], [near])


def test_a_plan_that_writes_nothing_changes_nothing() -> None:
    assert () == connectivity(Snapshot(), Plan("shop", ()))
