"""What NetworkPolicies say about a connection: allowed, denied, or not known; and by which policy and rule.

This is the only evaluator of NetworkPolicies. The meaning, from
https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation:

- A policy restricts the pods of its own namespace that its podSelector selects, in the directions that it names.
- A pod that no policy restricts in a direction is not isolated: every connection is allowed in that direction.
- To an isolated pod, a connection is allowed if one rule of one such policy allows it. Policies add up.
- A connection needs both ends: egress of the pod that opens it, ingress of the pod that is called. Ask for each.

The caller must know what no policy restricts: a node that calls its own pods, and pods with hostNetwork.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from exposure.networkpolicy.matching import ConnectionEnd, Match, peer_matches, peers_match, rule_matches
from exposure.networkpolicy.port_sets import PortClasses, PortSet
from exposure.networkpolicy.values import Direction, NetworkPolicy, Peer, PolicyPort, Rule


class Verdict(StrEnum):
    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"


VERDICTS = {Match.YES: Verdict.ALLOWED, Match.NO: Verdict.DENIED, Match.UNKNOWN: Verdict.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Decision:
    """`isolating`: policies that restrict the pod, or may. `allowing`: policies and rules that allow it."""

    verdict: Verdict
    isolating: tuple[NetworkPolicy, ...]
    allowing: tuple[tuple[NetworkPolicy, Rule], ...]

    @property
    def allowed(self) -> bool:
        return self.verdict is Verdict.ALLOWED


class Evaluator:
    """Answers for some NetworkPolicies about many connections. Caches what does not depend on the port."""

    def __init__(self, policies: Iterable[NetworkPolicy]) -> None:
        # What a policy selects is what a peer without `namespaces` names: pods of the policy's own namespace.
        self._policies = tuple((policy, Peer(pods=policy.spec.pod_selector)) for policy in policies)
        self._selected_by = cache(self._selecting)
        self._peers: dict[tuple[int, str, ConnectionEnd], Match] = {}

    def isolating(self, direction: Direction, pod: ConnectionEnd) -> tuple[NetworkPolicy, ...]:
        """The policies that restrict a pod in a direction, or may, in the order in which they were given."""
        return tuple(policy for policy, _ in self._selected_by(direction, pod))

    def decide(self, direction: Direction, pod: ConnectionEnd, peer: ConnectionEnd, port: PolicyPort) -> Decision:
        """Whether a pod may receive a connection from a peer (ingress), or open one to it (egress).

        `port`, of the end that is called: one number. For a range, a name or a protocol, the answer is about all of it.
        """
        receiver = pod if direction == "ingress" else peer
        isolated = allowed = Match.NO
        allowing: list[tuple[NetworkPolicy, Rule]] = []
        for policy, selected in self._selected_by(direction, pod):
            isolated = max(isolated, selected)
            for rule in policy.spec.rules(direction) or ():
                match = min(selected, rule_matches(rule, policy.namespace, peer, port, receiver))
                allowed = max(allowed, match)
                if match is Match.YES:
                    allowing.append((policy, rule))
        verdict = VERDICTS[max(allowed, Match(Match.YES - isolated))]
        return Decision(verdict, self.isolating(direction, pod), tuple(allowing))

    def open_ports(self, direction: Direction, pod: ConnectionEnd, peer: ConnectionEnd, ports: PortClasses) -> PortSet:
        """As `decide`, for all ports at once: those at which the connection is certainly allowed."""
        receiver = pod if direction == "ingress" else peer
        selecting = self._selected_by(direction, pod)
        if not selecting:
            return ports.every(receiver)
        opened: PortSet = frozenset()
        for policy, selected in selecting:
            for rule in policy.spec.rules(direction) or ():
                if min(selected, self._peers_match(rule, policy.namespace, peer)) is Match.YES:
                    opened |= ports.of(rule.ports, receiver)
        return opened

    def _selecting(self, direction: Direction, pod: ConnectionEnd) -> tuple[tuple[NetworkPolicy, Match], ...]:
        matches = (
            (policy, peer_matches(selected, policy.namespace, pod))
            for policy, selected in self._policies
            if policy.spec.rules(direction) is not None
        )
        return tuple((policy, match) for policy, match in matches if match is not Match.NO)

    def _peers_match(self, rule: Rule, namespace: str, peer: ConnectionEnd) -> Match:
        # By identity: the policies kept here keep their rules alive, and hashing a rule takes longer than matching it.
        key = id(rule), namespace, peer
        if key not in self._peers:
            self._peers[key] = peers_match(rule.peers, namespace, peer)
        return self._peers[key]
