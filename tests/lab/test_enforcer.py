"""The lab's enforcer reads NetworkPolicy as the Kubernetes API reference has it."""

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.agreement import compare, model_of, questions
from tests.lab.enforcer.model import Model, evaluate
from tests.lab.enforcer.objects import parse_node
from tests.lab.enforcer.ranges import union, without
from tests.lab.enforcer.rules import Position, node_rules, pod_rules
from tests.lab.generate import Generated, generate
from tests.lab.oracle import Oracle

WEB, DB, BANK = "10.244.1.2", "10.244.1.3", "10.244.2.4"
CLIENT, STRANGER = "192.0.2.130", "192.0.2.200"
NODE = parse_node(
    {
        "metadata": {"name": "n1"},
        "spec": {"podCIDRs": ["10.244.1.0/24", "fd00:10:244:1::/64"]},
        "status": {
            "addresses": [{"type": t, "address": a} for t, a in (("InternalIP", "192.0.2.11"), ("Hostname", "n1"))]
        },
    }
)


def pod(namespace: str, name: str, address: str, ports: dict[str, int], **spec: Any) -> dict[str, Any]:
    containers = [{"ports": [{"name": name, "containerPort": number} for name, number in ports.items()]}]
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"nodeName": "n1", "containers": containers, **spec},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    }


def cluster(*specs: dict[str, Any], pods: list[dict[str, Any]] | None = None) -> Generated:
    everyone = [
        pod("shop", "web", WEB, {"http": 8080}),
        pod("shop", "db", DB, {"http": 9090}),
        pod("bank", "bank", BANK, {"http": 7070}),
    ]
    return Generated(
        [{"metadata": {"name": name, "labels": {"team": name}}} for name in ("shop", "bank")],
        everyone if pods is None else pods,
        [{"metadata": {"namespace": "shop", "name": str(i)}, "spec": spec} for i, spec in enumerate(specs)],
    )


def passes(model: Model, source: str, destination: str, port: int, protocol: str = "TCP") -> bool:
    return evaluate(model, ipaddress.ip_address(source), ipaddress.ip_address(destination), port, protocol)


ONLY_WEB = {"matchLabels": {"app": "web"}}
OTHER_BLOCK = {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.192/26"]}}


@pytest.mark.parametrize(
    "spec, source, destination, port, protocol, expected",
    [
        pytest.param({"podSelector": ONLY_WEB}, BANK, WEB, 8080, "TCP", False, id="a-policy-without-rules-closes"),
        pytest.param({"podSelector": ONLY_WEB}, BANK, DB, 9090, "TCP", True, id="a-pod-not-selected-stays-open"),
        pytest.param({"podSelector": ONLY_WEB}, WEB, BANK, 7070, "TCP", True, id="ingress-alone-leaves-egress-open"),
        pytest.param({"podSelector": ONLY_WEB}, WEB, WEB, 1, "TCP", True, id="a-pod-always-reaches-itself"),
        pytest.param({"podSelector": {}, "ingress": [{}]}, CLIENT, WEB, 1, "SCTP", True, id="an-empty-rule-allows-all"),
        pytest.param({"podSelector": {}, "ingress": [{"from": [], "ports": []}]}, CLIENT, WEB, 1, "UDP", True,
                     id="empty-lists-mean-everything"),
        pytest.param({"podSelector": {}, "egress": [{"to": [{"podSelector": {}}]}]}, WEB, BANK, 7070, "TCP", False,
                     id="a-policy-with-egress-rules-isolates-egress"),
        pytest.param({"podSelector": {}, "egress": [{"to": [{"podSelector": {}}]}]}, BANK, WEB, 8080, "TCP", False,
                     id="a-policy-without-types-always-isolates-ingress"),
        pytest.param({"podSelector": {}, "policyTypes": ["Egress"]}, BANK, WEB, 8080, "TCP", True,
                     id="policy-types-hold-as-written"),
        pytest.param({"podSelector": {}, "policyTypes": ["Egress"]}, WEB, BANK, 7070, "TCP", False,
                     id="egress-without-rules-closes"),
        pytest.param({"podSelector": {}, "ingress": [{"from": [OTHER_BLOCK]}]}, CLIENT, WEB, 1, "TCP", True,
                     id="a-block-lets-its-addresses-in"),
        pytest.param({"podSelector": {}, "ingress": [{"from": [OTHER_BLOCK]}]}, STRANGER, WEB, 1, "TCP", False,
                     id="but-not-its-exceptions"),
        pytest.param({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.244.2.0/24"}}]}]},
                     BANK, WEB, 1, "TCP", True, id="a-block-holds-the-pods-in-it"),
        pytest.param({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}, BANK, WEB, 1, "TCP", False,
                     id="a-pod-selector-alone-stays-in-its-namespace"),
        pytest.param({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}, BANK, WEB, 1, "TCP", True,
                     id="an-empty-namespace-selector-is-every-namespace"),
        pytest.param({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}, CLIENT, WEB, 1, "TCP",
                     False, id="and-no-address-outside-the-cluster"),
        pytest.param({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": ONLY_WEB}]}]},
                     BANK, WEB, 1, "TCP", False, id="two-selectors-in-one-peer-must-both-hold"),
        pytest.param({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}, BANK, DB, 9090, "TCP", True,
                     id="a-named-port-is-each-receivers-own"),
        pytest.param({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}, BANK, DB, 8080, "TCP", False,
                     id="and-not-its-neighbours"),
        pytest.param({"podSelector": {}, "ingress": [{"ports": [{"port": "http", "protocol": "UDP"}]}]},
                     BANK, DB, 9090, "UDP", False, id="a-named-port-has-a-protocol"),
        pytest.param({"podSelector": {}, "ingress": [{"ports": [{"port": "gone"}]}]}, BANK, DB, 9090, "TCP", False,
                     id="a-name-that-no-pod-has-opens-nothing"),
        pytest.param({"podSelector": {}, "egress": [{"ports": [{"port": "http"}]}], "policyTypes": ["Egress"]},
                     WEB, BANK, 7070, "TCP", True, id="a-named-egress-port-is-the-receivers"),
        pytest.param({"podSelector": {}, "egress": [{"ports": [{"port": "http"}]}], "policyTypes": ["Egress"]},
                     WEB, BANK, 8080, "TCP", False, id="and-not-the-senders"),
        pytest.param({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": 90}]}]}, BANK, WEB, 90, "TCP",
                     True, id="a-range-includes-its-end"),
        pytest.param({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": 90}]}]}, BANK, WEB, 91, "TCP",
                     False, id="and-stops-there"),
        pytest.param({"podSelector": {}, "ingress": [{"ports": [{"protocol": "UDP"}]}]}, BANK, WEB, 5, "UDP", True,
                     id="a-protocol-alone-is-each-of-its-ports"),
        pytest.param({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}, BANK, WEB, 80, "UDP", False,
                     id="a-port-without-protocol-is-tcp"),
    ],
)  # fmt: skip
def test_verdicts(
    spec: dict[str, Any], source: str, destination: str, port: int, protocol: str, expected: bool
) -> None:
    """One policy in namespace shop, one connection, one verdict."""
    assert expected == passes(model_of(cluster(spec)), source, destination, port, protocol)


@pytest.mark.parametrize(
    "operator, values, expected",
    [
        pytest.param("In", ["web", "db"], {WEB, DB}, id="in"),
        pytest.param("NotIn", ["web"], {DB, BANK}, id="not-in"),
        pytest.param("Exists", None, {WEB, DB, BANK}, id="exists"),
        pytest.param("DoesNotExist", None, set(), id="does-not-exist"),
    ],
)
def test_expressions(operator: str, values: list[str] | None, expected: set[str]) -> None:
    """Peers are selected by label expressions as well as by labels."""
    expression = {"key": "app", "operator": operator, **({"values": values} if values else {})}
    peers = [{"namespaceSelector": {}, "podSelector": {"matchExpressions": [expression]}}]
    receiver = pod("shop", "target", "10.244.1.9", {})
    spec = {"podSelector": {"matchLabels": {"app": "target"}}, "ingress": [{"from": peers}]}
    everyone = cluster(spec)
    model = model_of(Generated(everyone.namespaces, [*everyone.pods, receiver], everyone.policies))
    assert expected == {source for source in (WEB, DB, BANK) if passes(model, source, "10.244.1.9", 1)}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"spec": {"hostNetwork": True}}, id="a-pod-on-its-nodes-network"),
        pytest.param({"status": {"phase": "Succeeded"}}, id="a-pod-that-has-finished"),
    ],
)
def test_pods_without_an_address_of_their_own(changes: dict[str, dict[str, Any]]) -> None:
    """No policy applies to an address that is not, or no longer, the pod's own."""
    target = pod("shop", "web", WEB, {})
    for section, values in changes.items():
        target[section].update(values)
    assert passes(model_of(cluster({"podSelector": {}}, pods=[target])), CLIENT, WEB, 80)


def test_ranges() -> None:
    """Sets of addresses are joined and cut without losing an edge."""
    assert ((1, 5), (7, 9)) == union([(7, 9), (1, 3), (4, 5), (2, 2)])
    assert ((1, 1), (4, 6), (9, 9)) == without(((1, 9),), ((2, 3), (7, 8)))
    assert () == without(((1, 9),), ((0, 20),))


def test_unknown_pods_are_closed() -> None:
    """An address in the node's pod range without a known pod is denied everything."""
    rules = node_rules(model_of(cluster()), NODE, Position.PRE)
    closed = rules.index("ip daddr 10.244.1.0/24 drop")
    assert all(rules.index(f"ip daddr {address} return") < closed for address in (WEB, DB, BANK))
    assert "ip6 daddr fd00:10:244:1::/64 drop" in rules


def test_own_node_is_admitted_after_snat() -> None:
    """Inside a pod, whatever comes from its own node passes before any rule."""
    model = model_of(cluster({"podSelector": {}}))
    rules = pod_rules(model.pods[ipaddress.ip_address(WEB)], NODE)
    assert rules.index("ip saddr 192.0.2.11 accept") < rules.index("jump in0")


def test_every_update_is_one_transaction() -> None:
    """A table is replaced within one transaction, so that no packet meets a state in between."""
    lines = node_rules(model_of(cluster({"podSelector": {}})), NODE, Position.PRE).splitlines()
    assert ["add table inet networkpolicy", "delete table inet networkpolicy"] == lines[:2]


@pytest.mark.parametrize("seed", range(1, 5))
def test_agrees_with_the_oracle(seed: int) -> None:
    """On random clusters the enforcer and an independent analyzer give the same verdict on every cell."""
    agreement = compare(seed)
    assert () == agreement.wrong
    # Neither side of the comparison may be empty, or it proves nothing.
    assert 4000 < agreement.cells
    assert 500 < agreement.allowed < agreement.cells - 500


def _without_exceptions(rule: dict[str, Any]) -> None:
    for peer in (*rule.get("from", ()), *rule.get("to", ())):
        peer.get("ipBlock", {}).pop("except", None)


def _without_ports(rule: dict[str, Any]) -> None:
    rule.pop("ports", None)


def _without_ipv6(rule: dict[str, Any]) -> None:
    for side in ("from", "to"):
        if rule.get(side):
            rule[side] = [peer for peer in rule[side] if ":" not in peer.get("ipBlock", {}).get("cidr", "")] or [
                {"podSelector": {"matchLabels": {"no-pod": "has-it"}}}  # an empty list would mean everyone
            ]


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(_without_exceptions, id="except-is-forgotten"),
        pytest.param(_without_ports, id="ports-are-forgotten"),
        pytest.param(_without_ipv6, id="ipv6-is-forgotten"),
    ],
)
def test_the_oracle_catches_mistakes(mistake: Callable[[dict[str, Any]], None]) -> None:
    """An enforcer that misreads one field disagrees with the oracle, so agreement means something."""
    for seed in range(1, 20):
        right, wrong = generate(seed), generate(seed)
        for policy in wrong.policies:
            for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
                mistake(rule)
        good, bad = model_of(right), model_of(wrong)
        connections = [(cell.source, cell.destination, cell.port, cell.protocol) for cell in questions(seed, right)]
        if any(evaluate(good, *cell) != evaluate(bad, *cell) for cell in connections):
            break  # a cluster in which this mistake matters
    oracle = Oracle(right)
    assert any(evaluate(bad, *cell) != oracle.allows(*cell) for cell in connections)
