"""The API objects that decide which connections are allowed, parsed once from the API server's JSON.

Semantics: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Block = ipaddress.IPv4Network | ipaddress.IPv6Network
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression of a label selector. matchLabels are In with a single value."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return self.key not in labels or labels[self.key] not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
            case other:
                raise ValueError(f"unknown selector operator {other!r}")


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector; without requirements it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.holds(labels) for requirement in self.requirements)


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A named container port: what a policy's named port means for this pod."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Pod:
    """A pod with its addresses. `host_network` pods share their node's, and no policy applies to them."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    node: str
    addresses: tuple[Address, ...]
    ports: tuple[NamedPort, ...]
    host_network: bool
    finished: bool

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Node:
    """A node: every address it has, and the ranges its pods live in."""

    name: str
    addresses: tuple[Address, ...]
    pod_cidrs: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class IpBlock:
    """Every address of a block but those of its exceptions."""

    block: Block
    excepted: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class PodPeer:
    """Pods by label, in the namespaces selected; `namespaces` None means the policy's own."""

    namespaces: Selector | None
    pods: Selector


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """A port of a rule: `port` None is every port of the protocol, a string is a name; `end` closes a range."""

    protocol: str
    port: int | str | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One allowance. No peers: everyone. No ports: everything. (An empty list and a missing one are the same.)"""

    peers: tuple[IpBlock | PodPeer, ...]
    ports: tuple[PolicyPort, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy; `ingress` or `egress` None means that it does not have that direction."""

    namespace: str
    name: str
    pod_selector: Selector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything a verdict depends on. `namespaces` maps each name to its labels."""

    namespaces: Mapping[str, Mapping[str, str]]
    pods: tuple[Pod, ...]
    policies: tuple[Policy, ...]


def parse_selector(raw: Json | None) -> Selector:
    raw = raw or {}
    equal = [Requirement(key, "In", frozenset({value})) for key, value in (raw.get("matchLabels") or {}).items()]
    expressions = [
        Requirement(expression["key"], expression["operator"], frozenset(expression.get("values") or ()))
        for expression in raw.get("matchExpressions") or ()
    ]
    return Selector((*equal, *expressions))


def parse_pod(raw: Json) -> Pod:
    spec, status = raw["spec"], raw.get("status") or {}
    addresses = [entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")]
    if not addresses and status.get("podIP"):
        addresses = [status["podIP"]]
    return Pod(
        raw["metadata"]["namespace"],
        raw["metadata"]["name"],
        raw["metadata"].get("labels") or {},
        spec.get("nodeName") or "",
        tuple(map(ipaddress.ip_address, addresses)),
        tuple(
            NamedPort(port["name"], port.get("protocol") or "TCP", port["containerPort"])
            for container in spec.get("containers") or ()
            for port in container.get("ports") or ()
            if port.get("name")
        ),
        bool(spec.get("hostNetwork")),
        status.get("phase") in ("Succeeded", "Failed"),
    )


def parse_node(raw: Json) -> Node:
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    return Node(
        raw["metadata"]["name"],
        tuple(
            ipaddress.ip_address(entry["address"])
            for entry in status.get("addresses") or ()
            if entry["type"] in ("InternalIP", "ExternalIP")
        ),
        tuple(map(ipaddress.ip_network, spec.get("podCIDRs") or ())),
    )


def _parse_peer(raw: Json) -> IpBlock | PodPeer:
    if raw.get("ipBlock") is not None:
        block = raw["ipBlock"]
        # Host bits are accepted by the API server and mean the block they lie in.
        return IpBlock(
            ipaddress.ip_network(block["cidr"], strict=False),
            tuple(ipaddress.ip_network(cidr, strict=False) for cidr in block.get("except") or ()),
        )
    namespaces = raw.get("namespaceSelector")
    return PodPeer(None if namespaces is None else parse_selector(namespaces), parse_selector(raw.get("podSelector")))


def _parse_rule(raw: Json, peers: str) -> Rule:
    return Rule(
        tuple(map(_parse_peer, raw.get(peers) or ())),
        tuple(
            PolicyPort(port.get("protocol") or "TCP", port.get("port"), port.get("endPort"))
            for port in raw.get("ports") or ()
        ),
    )


def parse_policy(raw: Json) -> Policy:
    spec = raw["spec"]
    # "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that
    # contain an egress section are assumed to affect egress, and all policies […] are assumed to affect ingress."
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return Policy(
        raw["metadata"]["namespace"],
        raw["metadata"]["name"],
        parse_selector(spec.get("podSelector")),
        tuple(_parse_rule(rule, "from") for rule in spec.get("ingress") or ()) if "Ingress" in types else None,
        tuple(_parse_rule(rule, "to") for rule in spec.get("egress") or ()) if "Egress" in types else None,
    )
