"""Peers and egress rules as people write them in a policy of ours: NetworkPolicyPeer and NetworkPolicyEgressRule."""

from collections.abc import Sequence
from typing import Any

from exposure.addresses import Block, Network, block, inside
from exposure.fields import BadField
from exposure.networkpolicy.values import Peer, PolicyPort, Rule
from exposure.parse.intent_fields import Fields, cidr, container_port, fields_of, port_number

PROTOCOLS = ("TCP", "UDP", "SCTP")


def peer(value: Any, at: str) -> Peer:
    """An ipBlock, or selectors; nothing at all names nobody, and both together are two peers in one."""
    written = fields_of(value, at).only("ipBlock", "podSelector", "namespaceSelector")
    selects = written.says("podSelector") or written.says("namespaceSelector")
    if written.says("ipBlock"):
        if selects:
            raise BadField(written.at("ipBlock"), "stands beside podSelector or namespaceSelector; write two entries")
        return Peer(block=_ip_block(written.fields("ipBlock")))
    if not selects:
        raise BadField(at, "names nobody; give podSelector, namespaceSelector or ipBlock")
    return Peer(pods=written.selector("podSelector"), namespaces=written.selector("namespaceSelector"))


def _ip_block(written: Fields) -> Block:
    whole = cidr(written.only("cidr", "except").raw.get("cidr"), written.at("cidr"))
    left = blocks_without((whole,), written.each("except", cidr), written.at("except"))
    if not left:
        # A peer list that loses its only entry would mean everyone.
        raise BadField(written.at("except"), f"leaves nothing of {whole}; drop the entry")
    return left[0]


def blocks_without(whole: Sequence[Network], cuts: Sequence[Network], at: str) -> tuple[Block, ...]:
    """Each range without the cuts that lie inside it; a cut that lies strictly inside none of them is a slip."""
    for cut in cuts:
        if not any(inside(cut, each) and cut != each for each in whole):
            cure = "write a narrower part of one, or leave out the range itself"
            raise BadField(at, f"{cut} lies strictly inside none of {', '.join(map(str, whole))}; {cure}")
    kept = [block(each, cuts) for each in whole]
    return tuple(each for each in kept if each is not None)


def egress_rule(value: Any, at: str) -> Rule:
    """As in the API, a rule without `to` means everywhere, one without `ports` every port."""
    written = fields_of(value, at).only("to", "ports")
    return Rule(written.each("to", peer) or None, written.each("ports", _port) or None)


def _port(value: Any, at: str) -> PolicyPort:
    written = fields_of(value, at).only("protocol", "port", "endPort")
    protocol = written.choice("protocol", PROTOCOLS) or "TCP"
    first = container_port(written.raw["port"], written.at("port")) if written.says("port") else None
    last = port_number(written.raw["endPort"], written.at("endPort")) if written.says("endPort") else None
    if last is not None and not (isinstance(first, int) and first <= last):
        raise BadField(written.at("endPort"), "needs a numeric port that is not above it")
    return PolicyPort(protocol, first, last)
