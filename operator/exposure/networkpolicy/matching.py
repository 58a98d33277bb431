"""Whether a selector, a peer or a port of a NetworkPolicy matches one end of a connection: yes, no, or not known.

https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-to-and-from-selectors
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from exposure.addresses import Block, intersection, overlap
from exposure.labels import EVERYTHING, NAMESPACE_LABEL, LabelSelector, Pairs, selecting
from exposure.networkpolicy.values import Peer, PolicyPort, Rule

LAST_PORT = 65535


class Match(IntEnum):
    """In this order `min` is "both match" and `max` is "one of them matches"."""

    NO = 0
    UNKNOWN = 1
    YES = 2


@dataclass(frozen=True, slots=True, eq=False)
class ConnectionEnd:
    """Who is at one end of a connection: one pod or address, or several of them. What is left out is not known.

    `pod`               whether it is a pod: nodes and addresses outside the cluster are not
    `namespace`         of the pod
    `labels`            of the pod itself, or a selector that stands for every pod that it selects
    `namespace_labels`  likewise, of its namespace
    `addresses`         single addresses, CIDRs, CIDRs with excepts: a match has to hold for all of them
    `all_addresses`     there are no others
    `ip_blocks`         False where no ipBlock ever matches it: pods and nodes on Cilium
    `named_ports`       numbers by protocol and name
    `all_named_ports`   there are no others

    Compared by identity, so that answers about it can be remembered.
    """

    pod: Match = Match.UNKNOWN
    namespace: str | None = None
    labels: Pairs | LabelSelector = EVERYTHING
    namespace_labels: Pairs | LabelSelector = EVERYTHING
    addresses: tuple[Block, ...] = ()
    all_addresses: bool = False
    ip_blocks: bool = True
    named_ports: Mapping[tuple[str, str], frozenset[int]] = field(default_factory=dict)
    all_named_ports: bool = False

    def numbers(self, protocol: str, name: str) -> frozenset[int] | None:
        """What a named port stands for here, empty where no pod has that name; None: not known."""
        return self.named_ports.get((protocol, name), frozenset() if self.all_named_ports else None)


def rule_matches(
    rule: Rule, namespace: str, peer: ConnectionEnd, port: PolicyPort | None, receiver: ConnectionEnd
) -> Match:
    """Whether a rule of a policy in `namespace` allows a connection of the selected pods with `peer`.

    `receiver` is the end that is called, at `port` (None: at every port of every protocol).
    """
    ports = ports_match(rule.ports, port, receiver)
    return ports if ports is Match.NO else min(ports, peers_match(rule.peers, namespace, peer))


def allowed_within(rule: Rule, rules: Sequence[Rule], namespace: str, receiver: ConnectionEnd) -> bool:
    """Whether every connection that a rule allows is certainly allowed by `rules` too, all of policies in `namespace`.

    A peer that only several rules or peers cover together does not count.
    """
    ends = [ConnectionEnd()] if rule.peers is None else [_everything_of(peer, namespace) for peer in rule.peers]
    return all(
        any(rule_matches(other, namespace, end, port, receiver) is Match.YES for other in rules)
        for end in ends
        for port in rule.ports or (None,)
    )


def _everything_of(peer: Peer, namespace: str) -> ConnectionEnd:
    """Everything that a peer matches; its addresses may be of pods."""
    if peer.block is not None:
        return ConnectionEnd(addresses=(peer.block,), all_addresses=True)
    namespaces = selecting({NAMESPACE_LABEL: namespace}) if peer.namespaces is None else peer.namespaces
    name = dict(namespaces.labels).get(NAMESPACE_LABEL)
    return ConnectionEnd(Match.YES, name, EVERYTHING if peer.pods is None else peer.pods, namespaces)


def peers_match(peers: tuple[Peer, ...] | None, namespace: str, end: ConnectionEnd) -> Match:
    if peers is None:
        return Match.YES
    return max((peer_matches(peer, namespace, end) for peer in peers), default=Match.NO)


def peer_matches(peer: Peer, namespace: str, end: ConnectionEnd) -> Match:
    """Whether a peer of a policy in `namespace` matches all of `end`."""
    if peer.block is not None:
        return _addresses_match(peer.block, end)
    if end.pod is Match.NO:
        return Match.NO
    if peer.namespaces is not None:
        there = selector_matches(peer.namespaces, end.namespace_labels)
    elif end.namespace is None:
        there = Match.UNKNOWN
    else:
        there = Match.YES if end.namespace == namespace else Match.NO
    return min(end.pod, there, Match.YES if peer.pods is None else selector_matches(peer.pods, end.labels))


def selector_matches(selector: LabelSelector, labels: Pairs | LabelSelector) -> Match:
    """Whether the selector selects what has these labels, or everything that another selector selects."""
    if not isinstance(labels, LabelSelector):
        return Match.YES if selector.matches(labels) else Match.NO
    if selector.covers(labels):
        return Match.YES
    return Match.NO if selector.disjoint(labels) else Match.UNKNOWN


def ip_block_matches(block: Block, addresses: Block) -> Match:
    """An ipBlock matches the addresses of its CIDR that lie in none of its excepts. YES: all of `addresses` do."""
    common = intersection((block,), (addresses,)) if overlap(block.cidr, addresses.cidr) else ()
    if not common:
        return Match.NO
    return Match.YES if common == (addresses,) else Match.UNKNOWN


def _addresses_match(block: Block, end: ConnectionEnd) -> Match:
    if not end.ip_blocks:
        return Match.NO
    matches = {ip_block_matches(block, addresses) for addresses in end.addresses}
    if matches == {Match.YES}:
        return Match.YES
    return Match.NO if end.all_addresses and matches <= {Match.NO} else Match.UNKNOWN


def ports_match(ports: tuple[PolicyPort, ...] | None, asked: PolicyPort | None, receiver: ConnectionEnd) -> Match:
    """Whether a rule's ports hold all of `asked` (None: every port of every protocol), on the pods that are called."""
    if ports is None:
        return Match.YES
    if asked is None:
        return Match.UNKNOWN
    return max((port_matches(port, asked, receiver) for port in ports), default=Match.NO)


def port_matches(port: PolicyPort, asked: PolicyPort, receiver: ConnectionEnd) -> Match:
    if port.protocol != asked.protocol:
        return Match.NO
    if port.port is None or port == asked:
        return Match.YES
    allowed, wanted = _numbers(port, receiver), _numbers(asked, receiver)
    if allowed is None or wanted is None:
        return Match.UNKNOWN
    shared = sum(len(range(max(a.start, b.start), min(a.stop, b.stop))) for a in allowed for b in wanted)
    if not shared:
        return Match.NO
    return Match.YES if shared == sum(map(len, wanted)) else Match.UNKNOWN


def _numbers(port: PolicyPort, receiver: ConnectionEnd) -> list[range] | None:
    if isinstance(port.port, str):
        numbers = receiver.numbers(port.protocol, port.port)
        return None if numbers is None else [range(number, number + 1) for number in numbers]
    if port.port is None:
        return [range(1, LAST_PORT + 1)]
    return [range(port.port, (port.end_port or port.port) + 1)]
