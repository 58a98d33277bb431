"""What NetworkPolicies say of one connection: who admits it, and whether anything isolates the pod at all.

Semantics: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Iterable
from dataclasses import dataclass

from exposure.addresses import Block, address
from exposure.labels import Labels
from exposure.model.objects import Pod
from exposure.networkpolicy.values import NetworkPolicy, Peer, PolicyPort, Rule


@dataclass(frozen=True, slots=True)
class Sender:
    """Who arrives: an address as the CNI sees it, and, where it is a pod's own, the pod's namespace and labels.

    `address` empty: not known yet, so that no ipBlock matches. `blocks` False: a CNI whose ipBlocks match no pods.
    """

    address: str = ""
    namespace: str = ""
    labels: Labels | None = None
    namespace_labels: Labels | None = None
    blocks: bool = True


@dataclass(frozen=True, slots=True)
class Say:
    """`isolating`: policies that select the pod; `admitting`: those of them that let the connection in."""

    isolating: tuple[NetworkPolicy, ...]
    admitting: tuple[NetworkPolicy, ...]

    @property
    def allowed(self) -> bool:
        return not self.isolating or bool(self.admitting)


def ingress(policies: Iterable[NetworkPolicy], pod: Pod, sender: Sender, protocol: str, port: int) -> Say:
    """What `policies` (of the pod's namespace; others are passed over) say of a connection to `pod` at `port`."""
    isolating = [
        each
        for each in policies
        if each.namespace == pod.namespace
        and each.spec.ingress is not None
        and each.spec.subject.matches(dict(pod.labels))
    ]
    admitting = [
        each
        for each in isolating
        if any(_admits(rule, each.namespace, sender, pod, protocol, port) for rule in each.spec.ingress or ())
    ]
    return Say(tuple(isolating), tuple(admitting))


def egress_is_limited(policies: Iterable[NetworkPolicy], namespace: str, labels: Labels) -> tuple[NetworkPolicy, ...]:
    """The policies that limit what a pod with these labels may call."""
    return tuple(
        each
        for each in policies
        if each.namespace == namespace and each.spec.egress is not None and each.spec.subject.matches(labels)
    )


def _admits(rule: Rule, home: str, sender: Sender, pod: Pod, protocol: str, port: int) -> bool:
    if rule.peers is not None and not any(_names(peer, home, sender) for peer in rule.peers):
        return False
    return rule.ports is None or any(_is_port(each, pod, protocol, port) for each in rule.ports)


def _names(peer: Peer, home: str, sender: Sender) -> bool:
    if peer.block is not None:
        return sender.blocks and _holds(peer.block, sender.address)
    if sender.labels is None:
        return False
    if peer.namespaces is None:
        if sender.namespace != home:
            return False
    elif not peer.namespaces.matches(sender.namespace_labels or {}):
        return False
    return peer.pods is None or peer.pods.matches(sender.labels)


def _holds(block: Block, text: str) -> bool:
    found = address(text)
    return found is not None and found in block.cidr and not any(found in cut for cut in block.excepts)


def _is_port(said: PolicyPort, pod: Pod, protocol: str, port: int) -> bool:
    if said.protocol != protocol:
        return False
    match said.port:
        case None:
            return True
        case str(name):
            return any((each.protocol, each.name, each.port) == (protocol, name, port) for each in pod.ports)
        case number:
            return number <= port <= (said.end_port or number)
