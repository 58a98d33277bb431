"""NetworkPolicies in a short form for reviewers, compared by what they admit.

A peer is text: `203.0.113.0/24`, `0.0.0.0/0 except 10.244.0.0/16, 10.245.0.0/16`, `pods app=web` (of the policy's own
namespace), `pods app=proxy in kubernetes.io/metadata.name=ingress`, `pods * in *`. A port is `tcp/8443`, `tcp/http`,
`udp/*` or `tcp/8000-8100`. What has no short form is written as in the API. `everyone` and `every port` stand for a
list that is absent.

Two policies are the same if they select the same pods and admit the same addresses and pods at the same ports: how
addresses are split into blocks, and peers into rules, does not count; what is excluded from a block does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
EVERYONE = "everyone"
EVERY_PORT = "every port"


@dataclass(frozen=True, slots=True, order=True)
class Admitted:
    """One peer, or one range of addresses, at one port."""

    port: str
    peer: str

    def __str__(self) -> str:
        return f"{self.port} from {self.peer}"


@dataclass(frozen=True, slots=True)
class Policy:
    """`ingress` and `egress` None: that direction is not restricted."""

    name: str
    pods: str
    ingress: frozenset[Admitted] | None
    egress: frozenset[Admitted] | None

    def lines(self) -> list[str]:
        shown = [f"{self.name}  pods {self.pods}"]
        for way, admitted in (("ingress", self.ingress), ("egress", self.egress)):
            if admitted is not None:
                shown += [f"  {way} {peer}" for peer in sorted(admitted)] or [f"  {way} none"]
        return shown


def written(short: Mapping[str, Any] | str) -> Policy:
    """A policy in the short form; a bare `namespace/name` denies all ingress of every pod."""
    if isinstance(short, str):
        return Policy(short, "*", frozenset(), None)
    unknown = set(short) - {"namespace", "name", "podSelector", "ingress", "egress"}
    if unknown:
        raise ValueError(f"{short.get('name')}: {sorted(unknown)} is unknown in an expected policy")
    return Policy(
        f"{short['namespace']}/{short['name']}",
        _selector_text(short["podSelector"]),
        _way(short.get("ingress"), "from"),
        _way(short.get("egress"), "to"),
    )


def planned(manifest: Mapping[str, Any]) -> Policy:
    """The policy of a NetworkPolicy manifest."""
    spec, metadata = manifest["spec"], manifest["metadata"]
    ways = spec["policyTypes"]
    return Policy(
        f"{metadata['namespace']}/{metadata['name']}",
        _selector(spec["podSelector"]),
        _way(spec.get("ingress") or [], "from") if "Ingress" in ways else None,
        _way(spec.get("egress") or [], "to") if "Egress" in ways else None,
    )


def _way(rules: Iterable[Mapping[str, Any]] | None, key: str) -> frozenset[Admitted] | None:
    """What all rules of a direction admit together, by port."""
    if rules is None:
        return None
    blocks: dict[str, list[Network]] = {}
    others: set[Admitted] = set()
    for rule in rules:
        unknown = set(rule) - {key, "ports"}
        if unknown:
            raise ValueError(f"{sorted(unknown)} is unknown in a rule; known are {key} and ports")
        ports = [EVERY_PORT] if rule.get("ports") in (None, [], EVERY_PORT) else [_port(port) for port in rule["ports"]]
        peers = [EVERYONE] if rule.get(key) in (None, [], EVERYONE) else rule[key]
        for port in ports:
            for peer in peers:
                blocks_or_text = _peer(peer)
                if isinstance(blocks_or_text, str):
                    others.add(Admitted(port, blocks_or_text))
                else:
                    blocks.setdefault(port, []).extend(blocks_or_text)
    admitted = {Admitted(port, _ranges(networks)) for port, networks in blocks.items()}
    return frozenset(admitted | others)


def _port(port: str | Mapping[str, Any]) -> str:
    if isinstance(port, str):
        protocol, _, number = port.partition("/")
        return f"{protocol.lower()}/{number or '*'}"
    end = f"-{port['endPort']}" if "endPort" in port else ""
    return f"{port.get('protocol', 'TCP').lower()}/{port.get('port', '*')}{end}"


def _peer(peer: str | Mapping[str, Any]) -> str | list[Network]:
    """The addresses of a block, or the text of a peer that names pods."""
    if isinstance(peer, str):
        if peer.startswith("pods "):
            pods, _, namespaces = peer.removeprefix("pods ").partition(" in ")
            where = f" in {_selector_text(namespaces)}" if namespaces else ""
            return f"pods {_selector_text(pods)}{where}"
        if peer == EVERYONE:
            return peer
        cidr, _, cuts = peer.partition(" except ")
        return _without(ip_network(cidr), [ip_network(cut.strip()) for cut in cuts.split(",") if cut.strip()])
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return _without(ip_network(block["cidr"]), [ip_network(cidr) for cidr in block.get("except") or ()])
    pods = _selector(peer.get("podSelector") or {})
    return f"pods {pods}" + (f" in {_selector(peer['namespaceSelector'])}" if "namespaceSelector" in peer else "")


def _selector_text(text: str) -> str:
    parts = [part for part in text.replace(", ", ",").split(",") if part and part != "*"]
    return ",".join(sorted(parts)) or "*"


def _selector(selector: Mapping[str, Any]) -> str:
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        match expression["operator"]:
            case "Exists":
                parts.append(expression["key"])
            case "DoesNotExist":
                parts.append(f"!{expression['key']}")
            case operator:
                parts.append(f"{expression['key']} {operator.lower()} ({'|'.join(sorted(expression['values']))})")
    return ",".join(sorted(parts)) or "*"


def _without(block: Network, cuts: Iterable[Network]) -> list[Network]:
    left = [block]
    for cut in cuts:
        kept: list[Network] = []
        for network in left:
            if network.version != cut.version or not network.overlaps(cut):
                kept.append(network)
            elif cut != network and cut.subnet_of(network):  # type: ignore[arg-type]
                kept += network.address_exclude(cut)  # type: ignore[arg-type]
        left = kept
    return left


def _ranges(networks: Iterable[Network]) -> str:
    """Addresses as first–last pairs: the same text for the same set, however it was split into blocks."""
    spans: list[list[Any]] = []
    for network in sorted(networks, key=lambda n: (n.version, int(n.network_address))):
        first, last = network.network_address, network.broadcast_address
        if spans and spans[-1][0].version == network.version and int(first) <= int(spans[-1][1]) + 1:
            spans[-1][1] = max(spans[-1][1], last)
        else:
            spans.append([first, last])
    return " ".join(str(first) if first == last else f"{first}–{last}" for first, last in spans)
