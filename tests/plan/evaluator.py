"""What NetworkPolicies mean, written from the API reference, without code of the product: manifests in, verdicts out.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
https://kubernetes.io/docs/concepts/services-networking/network-policies/

A pod is isolated in a direction if a policy that selects it has the direction in policyTypes. Then exactly those
connections pass that a rule of such a policy allows. A connection has to be allowed by the sender's egress and by the
receiver's ingress. A pod always reaches itself. A block admits every address in it, those of pods too.
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
    """One end of a connection. Without a namespace it is outside the cluster, and no policy applies to it."""

    address: str
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    #: name, protocol and number of named container ports
    ports: tuple[tuple[str, str, int], ...] = ()


@cache
def _inside(address: str, cidr: str) -> bool:
    parsed, block = ipaddress.ip_address(address), ipaddress.ip_network(cidr)
    return parsed.version == block.version and parsed in block


def selects(selector: Manifest, pairs: Iterable[tuple[str, str]]) -> bool:
    """matchLabels and matchExpressions are ANDed; an empty selector selects everything."""
    labels = dict(pairs)
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], expression.get("values") or ()
        holds = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[expression["operator"]]:
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
        return self._allows_at("Egress", source, destination, destination, protocol, port)

    def enters(self, source: Party, destination: Party, protocol: str, port: int) -> bool:
        return self._allows_at("Ingress", destination, source, destination, protocol, port)

    def _allows_at(self, direction: str, pod: Party, peer: Party, receiver: Party, protocol: str, port: int) -> bool:
        isolating = [policy for policy in self.policies if _isolates(policy, direction, pod)]
        return not isolating or any(
            self._admits(policy, rule, direction, peer, receiver, protocol, port)
            for policy in isolating
            for rule in policy["spec"].get(direction.lower()) or ()
        )

    def _admits(
        self, policy: Manifest, rule: Manifest, direction: str, peer: Party, receiver: Party, protocol: str, port: int
    ) -> bool:
        peers = rule.get("from" if direction == "Ingress" else "to")
        if peers and not any(self._is(entry, peer, policy["metadata"]["namespace"]) for entry in peers):
            return False
        ports = rule.get("ports")
        return not ports or any(_is_port(entry, receiver, protocol, port) for entry in ports)

    def _is(self, peer: Manifest, party: Party, home: str) -> bool:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            cut = any(_inside(party.address, cidr) for cidr in block.get("except") or ())
            return _inside(party.address, block["cidr"]) and not cut
        if not party.namespace:
            return False
        if "namespaceSelector" in peer:
            if not selects(peer["namespaceSelector"], self.namespaces[party.namespace].items()):
                return False
        elif party.namespace != home:
            return False
        return selects(peer.get("podSelector") or {}, party.labels)


def _isolates(policy: Manifest, direction: str, pod: Party) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return (
        direction in types
        and policy["metadata"]["namespace"] == pod.namespace
        and selects(spec.get("podSelector") or {}, pod.labels)
    )


def _is_port(port: Manifest, receiver: Party, protocol: str, number: int) -> bool:
    port_protocol = port.get("protocol") or "TCP"
    if port_protocol != protocol:
        return False
    match port.get("port"):
        case None:
            return True
        case str(name):
            return (name, port_protocol, number) in receiver.ports
        case low:
            return bool(low <= number <= port.get("endPort", low))
