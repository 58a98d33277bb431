"""Verdicts as nftables text: one table, replaced whole in one transaction: no packet sees a state in between.

Addresses and ports stand in rules of their own, never in a set or a map. A packet keeps the rules that it began with,
but sets of ranges and verdict maps are looked up in the generation of that instant: while a table was replaced, packets
on their way found no element, old or new. (Linux 6.18, under full load: one replacement in fourteen refused a client
that was always admitted, one in a thousand admitted one that never was.) `test_lab` replaces tables under traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from tests.lab.enforcer.model import Allow, Model, PodVerdict
from tests.lab.enforcer.objects import Address, Node, Pod
from tests.lab.enforcer.ranges import EVERYWHERE, texts

TABLE = "networkpolicy"
_FAMILIES = {4: "ip", 6: "ip6"}


class Position(Enum):
    """Where ingress is filtered: on the node, before SNAT, or inside the pod, after it."""

    PRE = "pre"
    POST = "post"


class Denial(Enum):
    """How a denied connection ends: refused at once (by a reset: TCP over IPv6 ignores ICMP errors), or by silence."""

    REJECT = "reject"
    DROP = "drop"

    @property
    def statements(self) -> tuple[str, ...]:
        if self is Denial.DROP:
            return ("drop",)
        return ("meta l4proto tcp reject with tcp reset", "reject with icmpx admin-prohibited")


def node_rules(model: Model, node: Node, position: Position, denial: Denial = Denial.REJECT) -> str:
    """The table of one node, for `nft -f`: egress of its pods, and their ingress too where it is filtered before SNAT.

    The forward hook comes after DNAT and before SNAT. What a node itself sends to its pods never passes it, and so is
    always admitted. An address of the node's ranges that belongs to no pod known yet is closed.
    """
    verdicts = [verdict for verdict in dict.fromkeys(model.pods.values()) if verdict.pod.node == node.name]
    chains: list[str] = []
    leaving, entering = [], []
    for i, verdict in enumerate(verdicts):
        if verdict.egress is not None:
            leaving.append((verdict, _chain(chains, f"out{i}", verdict.pod, verdict.egress, "daddr", denial)))
        if verdict.ingress is not None and position is Position.PRE:
            entering.append((verdict, _chain(chains, f"in{i}", verdict.pod, verdict.ingress, "saddr", denial)))
    known = [address for verdict in verdicts for address in verdict.pod.addresses]
    lines = [
        "ct state established,related accept",
        f"jump {_unknown(chains, node, known)}",
        *_jumps("saddr", leaving),
        *_jumps("daddr", entering),
    ]
    return _table(chains, "forward", lines)


def pod_rules(verdict: PodVerdict, node: Node, denial: Denial = Denial.REJECT) -> str:
    """The table inside one pod, where ingress is filtered after SNAT. Whatever comes from its own node is admitted."""
    chains: list[str] = []
    lines = [
        "ct state established,related accept",
        'iifname "lo" accept',
        "ip6 saddr fe80::/10 accept",  # neighbour discovery, without which IPv6 has no next hop
        "icmpv6 type nd-neighbor-solicit accept",
        "icmpv6 type nd-neighbor-advert accept",
        *(f"{_is('saddr', address)} accept" for address in node.addresses),
    ]
    if verdict.ingress is not None:
        lines.append(f"jump {_chain(chains, 'in0', verdict.pod, verdict.ingress, 'saddr', denial)}")
    return _table(chains, "input", lines)


def closed_pod_rules() -> str:
    """The table of a pod that the enforcer does not know yet: it denies everything but neighbour discovery."""
    return _table([], "input", ['iifname "lo" accept', "ip6 saddr fe80::/10 accept", "drop"])


def _table(chains: Sequence[str], hook: str, lines: Sequence[str]) -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return (
        f"add table inet {TABLE}\n"
        f"delete table inet {TABLE}\n"
        f"table inet {TABLE} {{\n"
        + "".join(chains)
        + f"  chain {hook} {{\n    type filter hook {hook} priority filter; policy accept;\n{body}\n  }}\n}}\n"
    )


def _chain(
    chains: list[str], name: str, pod: Pod, allows: Iterable[Allow] | None, direction: str, denial: Denial
) -> str:
    lines = [f"{_is(direction, address)} return" for address in pod.addresses]  # itself
    for allow in allows or ():
        lines += [f"{who}{what}return" for who in _who(allow, direction) for what in _what(allow)]
    lines += denial.statements
    return _add(chains, name, lines, pod.full_name)


def _add(chains: list[str], name: str, lines: Iterable[str], comment: str) -> str:
    body = "\n".join(f"    {line}" for line in lines)
    chains.append(f"  chain {name} {{  # {comment}\n{body}\n  }}\n")
    return name


def _is(direction: str, address: Address) -> str:
    return f"{_FAMILIES[address.version]} {direction} {address}"


def _who(allow: Allow, direction: str) -> Iterable[str]:
    if allow.addresses == EVERYWHERE:
        yield ""
        return
    for version, family in _FAMILIES.items():
        for addresses in texts(version, allow.addresses.of(version)):
            yield f"{family} {direction} {addresses} "


def _what(allow: Allow) -> Iterable[str]:
    if allow.ports is None:
        yield ""
        return
    for ports in allow.ports:
        for low, high in ports.ranges:
            yield f"{ports.protocol.lower()} dport {low if low == high else f'{low}-{high}'} "


def _unknown(chains: list[str], node: Node, known: Sequence[Address]) -> str:
    lines = [
        *(f"{_is('daddr', address)} return" for address in known),
        *(f"{_FAMILIES[block.version]} daddr {block} drop" for block in node.pod_cidrs),
    ]
    return _add(chains, "unknown", lines, "addresses without a pod")


def _jumps(direction: str, chains: Sequence[tuple[PodVerdict, str]]) -> Iterable[str]:
    for verdict, chain in chains:
        for address in verdict.pod.addresses:
            yield f"{_is(direction, address)} jump {chain}"
