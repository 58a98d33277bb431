"""What NetworkPolicies mean, written from the API reference and from nothing of ours: manifests in, verdicts out.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
https://kubernetes.io/docs/concepts/services-networking/network-policies/

A pod is isolated in a direction if any policy that selects it names the direction in policyTypes; then what any rule of
any such policy allows passes, and nothing else. A connection passes if the sender's egress and the receiver's ingress
let it. A pod cannot be cut off from itself. A block admits whoever has an address in it, pods as well.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Party:
    """Somebody with an address. Without a namespace: outside the cluster, and subject to no policy."""

    address: str
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    #: name, protocol and number of named container ports
    ports: tuple[tuple[str, str, int], ...] = ()


@cache
def _inside(address: str, cidr: str) -> bool:
    found, block = ipaddress.ip_address(address), ipaddress.ip_network(cidr)
    return found.version == block.version and found in block


def selects(selector: Manifest, pairs: Iterable[tuple[str, str]]) -> bool:
    """matchLabels and matchExpressions are ANDed; an empty selector selects everything."""
    labels = dict(pairs)
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], each.get("values") or ()
        holds = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[each["operator"]]:
            return False
    return True


@dataclass(frozen=True)
class Cluster:
    """`namespaces`: the labels of each; `policies`: NetworkPolicy manifests of all namespaces."""

    namespaces: Mapping[str, Mapping[str, str]]
    policies: Iterable[Manifest]

    def allows(self, source: Party, destination: Party, protocol: str, port: int) -> bool:
        """Whether a new connection passes."""
        if source == destination:
            return True
        return self.leaves(source, destination, protocol, port) and self.enters(source, destination, protocol, port)

    def leaves(self, source: Party, destination: Party, protocol: str, port: int) -> bool:
        return self._consents("Egress", source, destination, destination, protocol, port)

    def enters(self, source: Party, destination: Party, protocol: str, port: int) -> bool:
        return self._consents("Ingress", destination, source, destination, protocol, port)

    def _consents(self, direction: str, subject: Party, peer: Party, receiver: Party, protocol: str, port: int) -> bool:
        speaking = [each for each in self.policies if _speaks(each, direction, subject)]
        return not speaking or any(
            self._admits(policy, rule, direction, peer, receiver, protocol, port)
            for policy in speaking
            for rule in policy["spec"].get(direction.lower()) or ()
        )

    def _admits(
        self, policy: Manifest, rule: Manifest, direction: str, peer: Party, receiver: Party, protocol: str, port: int
    ) -> bool:
        peers = rule.get("from" if direction == "Ingress" else "to")
        if peers and not any(self._is(each, peer, policy["metadata"]["namespace"]) for each in peers):
            return False
        ports = rule.get("ports")
        return not ports or any(_is_port(each, receiver, protocol, port) for each in ports)

    def _is(self, peer: Manifest, party: Party, home: str) -> bool:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            cut = any(_inside(party.address, each) for each in block.get("except") or ())
            return _inside(party.address, block["cidr"]) and not cut
        if not party.namespace:
            return False
        if "namespaceSelector" in peer:
            if not selects(peer["namespaceSelector"], self.namespaces[party.namespace].items()):
                return False
        elif party.namespace != home:
            return False
        return selects(peer.get("podSelector") or {}, party.labels)


def _speaks(policy: Manifest, direction: str, subject: Party) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return (
        direction in types
        and policy["metadata"]["namespace"] == subject.namespace
        and selects(spec.get("podSelector") or {}, subject.labels)
    )


def _is_port(port: Manifest, receiver: Party, protocol: str, number: int) -> bool:
    spoken = port.get("protocol") or "TCP"
    if spoken != protocol:
        return False
    match port.get("port"):
        case None:
            return True
        case str(name):
            return (name, spoken, number) in receiver.ports
        case low:
            return bool(low <= number <= port.get("endPort", low))
