"""What NetworkPolicies allow: the examples of the documentation, and questions of which only a part is known.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import random
from ipaddress import ip_network
from itertools import product
from typing import Any

import pytest
import yaml

from exposure.addresses import Block, network
from exposure.labels import EVERYTHING, NAMESPACE_LABEL, LabelSelector, Requirement, selecting
from exposure.model.connection_ends import address_blocks, addresses_end, pods_end
from exposure.model.objects import ContainerPort, Namespace, Pod
from exposure.networkpolicy.evaluate import Evaluator, Verdict
from exposure.networkpolicy.matching import (
    ConnectionEnd,
    Match,
    allowed_within,
    ip_block_matches,
    peer_matches,
    port_matches,
    ports_match,
    selector_matches,
)
from exposure.networkpolicy.parse import network_policy
from exposure.networkpolicy.port_sets import PROTOCOLS, PortClasses
from exposure.networkpolicy.values import Direction, Peer, PolicyPort, Rule
from tests.lab.generate import NUMBERS, OUTSIDE, generate
from tests.oracle.asked import Asked, both_ends, namespace_labels, parties
from tests.plan.evaluator import Cluster, Party

ALLOWED, DENIED, UNKNOWN = Verdict.ALLOWED, Verdict.DENIED, Verdict.UNKNOWN
NO, PERHAPS, YES = Match.NO, Match.UNKNOWN, Match.YES

DOCUMENTED = {
    policy.name: policy
    for policy in map(
        network_policy,
        yaml.safe_load_all(
            """
metadata: {name: the-resource, namespace: default}
spec:
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
    - namespaceSelector: {matchLabels: {project: myproject}}
    - podSelector: {matchLabels: {role: frontend}}
    ports: [{protocol: TCP, port: 6379}]
  egress:
  - to: [{ipBlock: {cidr: 10.0.0.0/24}}]
    ports: [{protocol: TCP, port: 5978}]
---
metadata: {name: and, namespace: default}
spec:
  podSelector: {}
  ingress: [{from: [{namespaceSelector: {matchLabels: {user: alice}}, podSelector: {matchLabels: {role: client}}}]}]
---
metadata: {name: or, namespace: default}
spec:
  podSelector: {}
  ingress:
  - from: [{namespaceSelector: {matchLabels: {user: alice}}}, {podSelector: {matchLabels: {role: client}}}]
---
metadata: {name: default-deny-ingress, namespace: default}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
metadata: {name: allow-all-ingress, namespace: default}
spec: {podSelector: {}, ingress: [{}], policyTypes: [Ingress]}
---
metadata: {name: default-deny-egress, namespace: default}
spec: {podSelector: {}, policyTypes: [Egress]}
---
metadata: {name: allow-all-egress, namespace: default}
spec: {podSelector: {}, egress: [{}], policyTypes: [Egress]}
---
metadata: {name: multi-port-egress, namespace: default}
spec:
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/24}}], ports: [{protocol: TCP, port: 32000, endPort: 32768}]}]
---
metadata: {name: egress-namespaces, namespace: default}
spec:
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchExpressions: [{key: tier, operator: In, values: [frontend, backend]}]}}]
---
metadata: {name: by-port-name, namespace: default}
spec: {podSelector: {}, ingress: [{ports: [{port: redis}]}]}
"""
        ),
    )
}


def pod(labels: dict[str, str], namespace: str = "default", *, address: str = "", **of_namespace: str) -> ConnectionEnd:
    known = [Pod(namespace, "p", ips=(address,), ports=(ContainerPort("redis", "TCP", 6379),))] if address else []
    return pods_end(known, Namespace(namespace, tuple(of_namespace.items())), tuple(labels.items()))


def at(*addresses: str) -> ConnectionEnd:
    return addresses_end(address_blocks(addresses))


DB = pod({"role": "db"}, address="10.244.1.5")
FRONTEND = pod({"role": "frontend"}, address="10.244.1.6")
MYPROJECT = pod({}, "elsewhere", project="myproject")
ALICE = {"user": "alice"}


@pytest.mark.parametrize(
    "names, direction, peer, port, by",
    [
        # "The NetworkPolicy resource"
        pytest.param("the-resource", "ingress", FRONTEND, 6379, "the-resource", id="frontend"),
        pytest.param("the-resource", "ingress", MYPROJECT, 6379, "the-resource", id="a-namespace"),
        pytest.param("the-resource", "ingress", at("172.17.0.255"), 6379, "the-resource", id="cidr"),
        pytest.param("the-resource", "ingress", at("172.17.2.0"), 6379, "the-resource", id="beyond"),
        pytest.param("the-resource", "ingress", at("172.17.1.7"), 6379, None, id="the-except"),
        pytest.param("the-resource", "ingress", FRONTEND, 6380, None, id="another-port"),
        pytest.param("the-resource", "ingress", pod({}, address="10.0.0.2"), 6379, None, id="another-role"),
        pytest.param(
            "the-resource", "ingress", pod({"role": "frontend"}, "b", address="10.0.0.2"), 6379, None,
            id="a-pod-selector-alone-is-for-this-namespace",
        ),
        pytest.param("the-resource", "egress", at("10.0.0.7"), 5978, "the-resource", id="egress"),
        pytest.param("the-resource", "egress", at("10.0.1.7"), 5978, None, id="egress-to-others"),
        # "Behavior of to and from selectors"
        pytest.param("and", "ingress", pod({"role": "client"}, "a", **ALICE), 80, "and", id="both"),
        pytest.param("and", "ingress", pod({}, "a", **ALICE), 80, None, id="only-the-namespace"),
        pytest.param("and", "ingress", pod({"role": "client"}), 80, None, id="only-the-pod"),
        pytest.param("or", "ingress", pod({}, "a", **ALICE), 80, "or", id="either-the-namespace"),
        pytest.param("or", "ingress", pod({"role": "client"}), 80, "or", id="or-the-pod"),
        # "Default policies"
        pytest.param("", "ingress", FRONTEND, 80, "", id="not-isolated"),
        pytest.param("default-deny-ingress", "ingress", FRONTEND, 80, None, id="deny-ingress"),
        pytest.param("default-deny-ingress", "egress", FRONTEND, 80, "", id="deny-ingress-leaves-egress"),
        pytest.param("allow-all-ingress", "ingress", at("198.51.100.7"), 80, "allow-all-ingress", id="allow-all"),
        pytest.param(
            "default-deny-ingress allow-all-ingress", "ingress", FRONTEND, 80, "allow-all-ingress",
            id="policies-add-up",
        ),
        pytest.param("default-deny-egress", "egress", FRONTEND, 80, None, id="deny-egress"),
        pytest.param("allow-all-egress", "egress", at("198.51.100.7"), 80, "allow-all-egress", id="allow-egress"),
        # "Targeting a range of ports", "Targeting multiple namespaces by label"
        pytest.param("multi-port-egress", "egress", at("10.0.0.7"), 32000, "multi-port-egress", id="first-port"),
        pytest.param("multi-port-egress", "egress", at("10.0.0.7"), 32768, "multi-port-egress", id="last-port"),
        pytest.param("multi-port-egress", "egress", at("10.0.0.7"), 32769, None, id="past-the-range"),
        pytest.param(
            "egress-namespaces", "egress", pod({}, "b", tier="backend"), 80, "egress-namespaces",
            id="one-of-two-namespaces",
        ),
        pytest.param("egress-namespaces", "egress", pod({}, "c", tier="other"), 80, None, id="a-third"),
        # The API reference: a port may be a name, and TCP is the default protocol.
        pytest.param("by-port-name", "ingress", FRONTEND, 6379, "by-port-name", id="a-named-port"),
        pytest.param("by-port-name", "ingress", FRONTEND, 6380, None, id="what-the-name-does-not-stand-for"),
    ],
)  # fmt: skip
def test_the_documentation(names: str, direction: Direction, peer: ConnectionEnd, port: int, by: str | None) -> None:
    """A pod with role=db in namespace default, under the documentation's policies: allowed by which one, or denied."""
    policies = [DOCUMENTED[name] for name in names.split()]
    decision = Evaluator(policies).decide(direction, DB, peer, PolicyPort("TCP", port))
    assert decision.allowed is (by is not None)
    assert (DENIED if by is None else ALLOWED) is decision.verdict
    assert (by or "") == " ".join(policy.name for policy, _ in decision.allowing)


def test_a_decision_names_policies_and_rules() -> None:
    """All that isolate the pod; of those that allow the connection, the rule too."""
    policies = [DOCUMENTED[name] for name in ("default-deny-ingress", "or", "allow-all-egress")]
    decision = Evaluator(policies).decide("ingress", DB, pod({"role": "client"}), PolicyPort("TCP", 80))
    assert ["default-deny-ingress", "or"] == [policy.name for policy in decision.isolating]
    assert [(policies[1], (policies[1].spec.ingress or ())[0])] == list(decision.allowing)


def test_a_policy_is_for_pods_of_its_own_namespace() -> None:
    """An address outside of the cluster is isolated by none, nor is a pod elsewhere."""
    evaluator = Evaluator([DOCUMENTED["default-deny-ingress"]])
    for end in (at("198.51.100.7"), pod({}, "elsewhere")):
        assert evaluator.decide("ingress", end, FRONTEND, PolicyPort("TCP", 80)).allowed
    assert UNKNOWN is evaluator.decide("ingress", ConnectionEnd(), FRONTEND, PolicyPort("TCP", 80)).verdict


def block(cidr: str, *excepts: str) -> Block:
    return Block(network(cidr), tuple(map(network, excepts)))


@pytest.mark.parametrize(
    "ip_block, addresses, expected",
    [
        pytest.param(block("10.0.0.0/8"), block("10.1.0.0/16"), YES, id="inside"),
        pytest.param(block("10.0.0.0/8"), block("10.0.0.0/8"), YES, id="equal"),
        pytest.param(block("10.1.0.0/16"), block("10.0.0.0/8"), PERHAPS, id="around"),
        pytest.param(block("10.0.0.0/8"), block("192.168.0.0/16"), NO, id="elsewhere"),
        pytest.param(block("0.0.0.0/0"), block("2001:db8::/32"), NO, id="the-other-family"),
        pytest.param(block("10.0.0.0/8", "10.1.0.0/16"), block("10.1.2.3/32"), NO, id="in-an-except"),
        pytest.param(block("10.0.0.0/8", "10.1.0.0/16"), block("10.2.2.3/32"), YES, id="beside-an-except"),
        pytest.param(block("10.0.0.0/8", "10.1.0.0/16"), block("10.0.0.0/15"), PERHAPS, id="around-an-except"),
        pytest.param(
            block("10.0.0.0/8", "10.1.0.0/16"), block("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"), YES, id="less-cut"
        ),
        pytest.param(block("10.0.0.0/8", "10.0.0.0/9"), block("10.0.0.0/8", "10.128.0.0/9"), NO, id="the-other-half"),
    ],
)  # fmt: skip
def test_ip_blocks(ip_block: Block, addresses: Block, expected: Match) -> None:
    """An ipBlock matches its CIDR without its excepts."""
    assert expected is ip_block_matches(ip_block, addresses)


TEN = Peer(block=block("10.0.0.0/8"))


@pytest.mark.parametrize(
    "peer, end, expected",
    [
        pytest.param(TEN, at("10.0.0.1", "10.0.0.2"), YES, id="all-addresses-match"),
        pytest.param(TEN, at("10.0.0.1", "192.0.2.1"), PERHAPS, id="one-of-two"),
        pytest.param(TEN, at("192.0.2.1", "192.0.2.2"), NO, id="neither-of-two"),
        pytest.param(TEN, at(), PERHAPS, id="no-address-known"),
        pytest.param(TEN, pod({}, address="10.0.0.1"), YES, id="a-pod-has-addresses-too"),
        pytest.param(TEN, ConnectionEnd(NO, addresses=address_blocks(["192.0.2.1"])), PERHAPS, id="it-may-have-others"),
        pytest.param(TEN, ConnectionEnd(addresses=address_blocks(["10.0.0.1"]), ip_blocks=False), NO, id="on-cilium"),
        pytest.param(Peer(pods=EVERYTHING), at("10.0.0.1"), NO, id="an-address-is-no-pod"),
        pytest.param(Peer(pods=EVERYTHING), ConnectionEnd(), PERHAPS, id="who-knows"),
        pytest.param(Peer(pods=EVERYTHING), ConnectionEnd(YES), PERHAPS, id="a-pod-of-an-unknown-namespace"),
        pytest.param(Peer(namespaces=EVERYTHING), ConnectionEnd(YES), YES, id="any-pod-at-all"),
        pytest.param(Peer(namespaces=EVERYTHING), ConnectionEnd(), PERHAPS, id="if-it-is-a-pod"),
        pytest.param(Peer(pods=selecting({"a": "b"})), pod({"a": "b"}), YES, id="here"),
        pytest.param(Peer(pods=selecting({"a": "b"})), pod({"a": "b"}, "elsewhere"), NO, id="not-here"),
    ],
)
def test_peers(peer: Peer, end: ConnectionEnd, expected: Match) -> None:
    """Of a policy in namespace default; what is not known about an end is asked for in vain."""
    assert expected is peer_matches(peer, "default", end)


IN = Requirement("tier", "In", ("a", "b"))


@pytest.mark.parametrize(
    "selector, labels, expected",
    [
        pytest.param(selecting({"a": "b"}), (("a", "b"), ("c", "d")), YES, id="matches"),
        pytest.param(selecting({"a": "b"}), (("c", "d"),), NO, id="does-not-match"),
        pytest.param(selecting({"a": "b"}), selecting({"a": "b", "c": "d"}), YES, id="wider"),
        pytest.param(selecting({"a": "b", "c": "d"}), selecting({"a": "b"}), PERHAPS, id="narrower"),
        pytest.param(selecting({"a": "b"}), selecting({"a": "c"}), NO, id="another-value"),
        pytest.param(LabelSelector((), (IN,)), selecting({"tier": "c"}), PERHAPS, id="expressions-are-only-compared"),
        pytest.param(LabelSelector((), (IN,)), LabelSelector((("a", "b"),), (IN,)), YES, id="unless-they-are-equal"),
    ],
)  # fmt: skip
def test_selectors(selector: LabelSelector, labels: Any, expected: Match) -> None:
    """Against a pod's own labels, or against everything that another selector selects."""
    assert expected is selector_matches(selector, labels)


HTTP = {("TCP", "http"): frozenset({8080})}
TWO = {("TCP", "http"): frozenset({8080, 9090}), ("TCP", "web"): frozenset({8080})}
KNOWN = {"all_named_ports": True}


def tcp(port: int | str | None, end_port: int | None = None) -> PolicyPort:
    return PolicyPort("TCP", port, end_port)


@pytest.mark.parametrize(
    "port, asked, named, expected",
    [
        pytest.param(tcp(80), tcp(80), {}, YES, id="the-number"),
        pytest.param(tcp(80), tcp(81), {}, NO, id="another-number"),
        pytest.param(tcp(80), PolicyPort("UDP", 80), {}, NO, id="another-protocol"),
        pytest.param(tcp(None), tcp("http"), {}, YES, id="every-port-of-the-protocol"),
        pytest.param(tcp(80, 90), tcp(85), {}, YES, id="in-a-range"),
        pytest.param(tcp(80, 90), tcp(85, 95), {}, PERHAPS, id="a-range-that-reaches-beyond"),
        pytest.param(tcp(80, 90), tcp(None), {}, PERHAPS, id="every-port-is-more-than-a-range"),
        pytest.param(tcp(1, 65535), tcp(None), {}, YES, id="unless-the-range-is-all-ports"),
        pytest.param(tcp("http"), tcp("http"), {}, YES, id="the-name"),
        pytest.param(tcp("http"), tcp(8080), {}, PERHAPS, id="a-name-that-is-not-known"),
        pytest.param(tcp("http"), tcp(8080), {"named_ports": HTTP}, YES, id="a-name-that-is"),
        pytest.param(tcp("http"), tcp(80), {"named_ports": HTTP}, NO, id="the-number-of-no-name"),
        pytest.param(tcp("http"), tcp(8080, 8081), {"named_ports": HTTP}, PERHAPS, id="half-of-a-range"),
        pytest.param(tcp("https"), tcp(80), {"named_ports": HTTP, **KNOWN}, NO, id="a-name-that-no-pod-has"),
        pytest.param(tcp(8080), tcp("http"), {"named_ports": HTTP}, YES, id="a-number-for-a-name"),
        pytest.param(tcp(8080), tcp("http"), {"named_ports": TWO}, PERHAPS, id="pods-that-differ"),
        pytest.param(tcp("http"), tcp("web"), {"named_ports": TWO}, YES, id="a-name-for-a-name"),
        pytest.param(tcp(80), tcp("http"), {}, PERHAPS, id="asked-by-a-name-that-is-not-known"),
    ],
)
def test_ports(port: PolicyPort, asked: PolicyPort, named: Any, expected: Match) -> None:
    """A rule's port, and a port, a range, a name or a protocol that is asked for."""
    assert expected is port_matches(port, asked, ConnectionEnd(**named))


def test_no_ports_and_every_port() -> None:
    """A rule without ports holds every port; a rule with ports does not hold every port of every protocol."""
    assert (YES, YES) == tuple(ports_match(None, asked, ConnectionEnd()) for asked in (None, tcp(80)))
    assert (PERHAPS, NO) == tuple(ports_match((tcp(81),), asked, ConnectionEnd()) for asked in (None, tcp(80)))


def rule(*peers: Peer, ports: tuple[PolicyPort, ...] | None = None) -> Rule:
    return Rule(peers or None, ports)


@pytest.mark.parametrize(
    "one, others, expected",
    [
        pytest.param(rule(TEN), [rule()], True, id="everyone"),
        pytest.param(rule(), [rule(TEN)], False, id="everyone-in-a-cidr"),
        pytest.param(rule(), [rule()], True, id="everyone-in-everyone"),
        pytest.param(rule(), [], False, id="in-nothing"),
        pytest.param(rule(Peer(block=block("10.1.0.0/16"))), [rule(TEN)], True, id="a-narrower-cidr"),
        pytest.param(rule(TEN), [rule(Peer(block=block("10.0.0.0/8", "10.1.0.0/16")))], False, id="an-except-too-many"),
        pytest.param(rule(TEN), [rule(Peer(namespaces=EVERYTHING))], False, id="addresses-in-pods"),
        pytest.param(rule(Peer(pods=selecting({"a": "b"}))), [rule(Peer(pods=EVERYTHING))], True, id="pods"),
        pytest.param(
            rule(Peer(namespaces=selecting({NAMESPACE_LABEL: "default"}))), [rule(Peer(pods=EVERYTHING))], True,
            id="this-namespace-by-its-name",
        ),
        pytest.param(
            rule(Peer(pods=EVERYTHING)), [rule(Peer(namespaces=selecting({NAMESPACE_LABEL: "default"})))], True,
            id="and-the-other-way-round",
        ),
        pytest.param(rule(Peer(namespaces=EVERYTHING)), [rule(Peer(pods=EVERYTHING))], False, id="every-namespace"),
        pytest.param(rule(TEN, ports=(tcp(80),)), [rule(TEN, ports=(tcp(79, 81),))], True, id="a-port-in-a-range"),
        pytest.param(rule(TEN, ports=(tcp(80), tcp(90))), [rule(TEN, ports=(tcp(80),))], False, id="one-port-of-two"),
        pytest.param(rule(TEN), [rule(TEN, ports=(tcp(80),))], False, id="every-port"),
        pytest.param(rule(TEN, ports=(tcp(8080),)), [rule(TEN, ports=(tcp("http"),))], True, id="by-name"),
    ],
)  # fmt: skip
def test_rules_within_rules(one: Rule, others: list[Rule], expected: bool) -> None:
    """Certain only where one rule holds each peer at each port whole."""
    assert expected is allowed_within(one, others, "default", ConnectionEnd(named_ports=HTTP))


def test_a_pod_end_is_as_much_as_its_pods_tell() -> None:
    """Addresses that are none are passed over; without container ports, names are not known."""
    end = pods_end([Pod("shop", "a", ips=("10.0.0.1", "nonsense"))], Namespace("shop"), (("app", "web"),))
    assert (("10.0.0.1/32",), True) == (tuple(map(str, end.addresses)), end.all_addresses)
    assert (None, ((NAMESPACE_LABEL, "shop"),)) == (end.numbers("TCP", "http"), end.namespace_labels)
    ports = [
        Pod("shop", str(n), ports=(ContainerPort("http", "TCP", n), ContainerPort("", "TCP", 1))) for n in (80, 81)
    ]
    assert frozenset({80, 81}) == pods_end(ports, Namespace("shop"), ()).numbers("TCP", "http")


@pytest.mark.parametrize("seed", range(30))
def test_what_is_said_of_several_holds_for_each(seed: int) -> None:
    """A CIDR, a range of ports, a selector: what is allowed or denied for all is so for each, by another evaluator."""
    cluster = generate(seed, pods=6, policies=5)
    names, pick = namespace_labels(cluster), random.Random(seed)
    evaluator, asked = Cluster(names, cluster.policies), Asked(names, cluster.policies)
    pods, outside = parties(cluster), [Party(address) for address in OUTSIDE if ":" not in address]
    for source, destination in product([*pods, *outside], pods):
        if source == destination:
            continue
        wide = _wider(asked.end(source), source, pick)
        first, last = sorted(pick.sample(NUMBERS, 2))
        port = PolicyPort(pick.choice(PROTOCOLS), first, last)
        verdict = both_ends(asked.decisions(wide, asked.end(destination), port))
        each = {evaluator.allows(source, destination, port.protocol, number) for number in (first, last)}
        assert verdict is UNKNOWN or {verdict is ALLOWED} == each, (source, destination, port)


def _wider(end: ConnectionEnd, party: Party, pick: random.Random) -> ConnectionEnd:
    """The same end with something forgotten about it."""
    around = Block(ip_network(party.address).supernet(new_prefix=pick.choice([8, 24, 30])))
    if not party.namespace:
        return pick.choice([end, addresses_end([around]), ConnectionEnd(NO), ConnectionEnd()])
    labels = selecting(dict(pick.sample(party.labels, pick.randint(0, len(party.labels)))))
    return pick.choice(
        [
            end,
            ConnectionEnd(YES, party.namespace, end.labels, end.namespace_labels),
            ConnectionEnd(YES, party.namespace, labels, end.namespace_labels, (around,), True),
            ConnectionEnd(YES, labels=labels),
        ]
    )


@pytest.mark.parametrize("seed", range(20))
def test_sets_of_ports_are_the_ports_one_by_one(seed: int) -> None:
    """All ports at once, cut into classes: exactly those at which one connection is allowed."""
    cluster = generate(seed, pods=5, policies=6)
    asked = Asked(namespace_labels(cluster), cluster.policies)
    specs = [network_policy(policy).spec for policy in cluster.policies]
    rules = [rule for spec in specs for rule in (*(spec.ingress or ()), *(spec.egress or ()))]
    classes = PortClasses(port for rule in rules for port in rule.ports or ())
    everyone = [*parties(cluster), Party("8.8.8.8")]
    directions: tuple[Direction, Direction] = ("ingress", "egress")
    for direction, (one, other) in product(directions, product(map(asked.end, everyone), repeat=2)):
        receiver = one if direction == "ingress" else other
        opened = asked.evaluator.open_ports(direction, one, other, classes)
        decided = {
            port for port in classes.every(receiver) if asked.evaluator.decide(direction, one, other, port).allowed
        }
        assert decided == opened


def test_isolating_policies_are_few_and_in_order() -> None:
    """Those that restrict the pod in that direction."""
    evaluator = Evaluator(DOCUMENTED.values())
    names = ["the-resource", "default-deny-egress", "allow-all-egress", "multi-port-egress", "egress-namespaces"]
    assert names == [policy.name for policy in evaluator.isolating("egress", DB)]
