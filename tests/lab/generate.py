"""Small random clusters: namespaces, pods and NetworkPolicies as manifests, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

PORT_NAMES = ("http", "dns", "stream")
NUMBERS = (53, 80, 443, 5000, 5001, 8080, 9090)
PROTOCOLS = ("TCP", "UDP", "SCTP")
LABELS = {"app": ("web", "db", "proxy"), "tier": ("edge", "core")}
NAMESPACE_LABELS = {"team": ("shop", "bank"), "zone": ("a", "b")}
OUTSIDE = (
    "192.0.2.130", "192.0.2.200", "198.51.100.7", "203.0.113.66", "8.8.8.8", "10.0.0.1",
    "2001:db8::80:2", "2001:db8::c0:2", "2001:db8:1::1", "fd00::1",
)  # fmt: skip
BLOCKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("0.0.0.0/0", ("203.0.113.0/24", "10.0.0.0/8", "192.0.2.192/26")),
    ("192.0.2.0/24", ("192.0.2.192/26", "192.0.2.130/32")),
    ("203.0.113.66/32", ()),
    ("198.51.100.0/24", ("198.51.100.0/29",)),
    ("10.244.0.0/16", ("10.244.1.0/24", "10.244.2.3/32")),
    ("10.244.1.0/24", ("10.244.1.2/32",)),
    ("::/0", ("2001:db8::c0:0/112", "fd00::/8")),
    ("2001:db8::/64", ("2001:db8::80:0/112",)),
    ("fd00:10:244::/48", ("fd00:10:244:1::/64",)),
)


@dataclass(frozen=True, slots=True)
class Generated:
    """One cluster's manifests."""

    namespaces: list[Manifest]
    pods: list[Manifest]
    policies: list[Manifest]


def generate(seed: int, *, pods: int = 8, policies: int = 6) -> Generated:
    """A cluster of three namespaces on two nodes. Some pods have both families, some only one."""
    pick = random.Random(seed)
    namespaces: list[Manifest] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": _labels(pick, NAMESPACE_LABELS)}}
        for name in ("alpha", "beta", "gamma")
    ]
    names = [namespace["metadata"]["name"] for namespace in namespaces]
    return Generated(
        namespaces,
        [_pod(pick, pick.choice(names), number) for number in range(pods)],
        [_policy(pick, pick.choice(names), f"policy-{number}") for number in range(policies)],
    )


def _labels(pick: random.Random, choices: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {key: pick.choice(values) for key, values in choices.items() if pick.random() < 0.8}


def _pod(pick: random.Random, namespace: str, number: int) -> Manifest:
    node = 1 + number % 2
    addresses = [f"10.244.{node}.{number + 2}", f"fd00:10:244:{node}::{number + 2:x}"]
    ports = [
        {"name": name, "protocol": pick.choice(PROTOCOLS), "containerPort": number}
        for name, number in zip(PORT_NAMES, pick.sample(NUMBERS, len(PORT_NAMES)), strict=True)
        if pick.random() < 0.7
    ]
    kept = pick.choice([addresses, addresses, addresses[:1]])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{number}", "namespace": namespace, "labels": _labels(pick, LABELS)},
        "spec": {"nodeName": f"n{node}", "containers": [{"name": "c", "image": "registry.example/c", "ports": ports}]},
        "status": {
            "phase": "Running",
            "hostIP": f"192.0.2.{10 + node}",
            "podIP": kept[0],
            "podIPs": [{"ip": address} for address in kept],
        },
    }


def _selector(pick: random.Random, choices: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    if pick.random() < 0.3:
        return {}
    key = pick.choice(sorted(choices))
    values = choices[key]
    match pick.randrange(5):
        case 0:
            return {"matchExpressions": [{"key": key, "operator": pick.choice(["Exists", "DoesNotExist"])}]}
        case 1 | 2:
            some = pick.sample(values, pick.randint(1, len(values)))
            return {"matchExpressions": [{"key": key, "operator": pick.choice(["In", "NotIn"]), "values": some}]}
        case _:
            return {"matchLabels": {key: pick.choice(values)}}


def _peer(pick: random.Random, blocks: bool) -> dict[str, Any]:
    kind = pick.randrange(4 if blocks else 3)
    if kind == 3:
        block, excepts = pick.choice(BLOCKS)
        some = pick.sample(excepts, pick.randint(0, len(excepts)))
        return {"ipBlock": {"cidr": block, **({"except": some} if some else {})}}
    peer: dict[str, Any] = {}
    if kind != 1:
        peer["podSelector"] = _selector(pick, LABELS)
    if kind != 0:
        peer["namespaceSelector"] = _selector(pick, NAMESPACE_LABELS)
    return peer


def _port(pick: random.Random, names: bool) -> dict[str, Any]:
    port: dict[str, Any] = {"protocol": pick.choice(PROTOCOLS)} if pick.random() < 0.8 else {}
    match pick.randrange(5):
        case 0:
            pass
        case 1:
            port |= {"port": 5000, "endPort": pick.choice([5000, 5001, 8080])}
        case 2 if names:
            port |= {"port": pick.choice(PORT_NAMES)}
        case _:
            port |= {"port": pick.choice(NUMBERS)}
    return port


def _rule(pick: random.Random, direction: str) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    # The API does not define a named port towards a block of addresses, where no pod is known.
    names = direction == "from" or pick.random() < 0.5
    blocks = direction == "from" or not names
    if not (direction == "to" and names) or pick.random() < 0.8:
        peers = [_peer(pick, blocks) for _ in range(pick.randint(0 if blocks else 1, 3))]
        if peers:
            rule[direction] = peers
    names = names and (direction == "from" or direction in rule)
    ports = [_port(pick, names) for _ in range(pick.choice([0, 1, 1, 2]))]
    if ports:
        rule["ports"] = ports
    return rule


def _policy(pick: random.Random, namespace: str, name: str) -> Manifest:
    spec: dict[str, Any] = {"podSelector": _selector(pick, LABELS)}
    types = pick.choice([None, ["Ingress"], ["Egress"], ["Ingress", "Egress"], ["Ingress", "Egress"]])
    if types:
        spec["policyTypes"] = types
    if types is None or "Ingress" in types:
        spec["ingress"] = [_rule(pick, "from") for _ in range(pick.randint(0, 2))]
    if (types is None and pick.random() < 0.5) or (types and "Egress" in types):
        spec["egress"] = [_rule(pick, "to") for _ in range(pick.randint(0, 2))]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
