"""The ways to a pod, and what becomes of a packet on each: where it is translated, and which source it then has.

This is the theory that packets are compared with: kube-proxy's own rules, written down once.
https://kubernetes.io/docs/tutorials/services/source-ip/ and the truth table of the product say the same in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tests.lab.network import Host, Node
from tests.lab.pods import LabPod


class EntryPoint(Enum):
    """By which kind of address a pod is called."""

    POD = "pod IP"
    CLUSTER = "ClusterIP"
    NODE_PORT = "nodePort"
    EXTERNAL = "externalIP"
    BALANCER = "LB VIP"


@dataclass(frozen=True, slots=True)
class Way:
    """One way in: an address and a port, in one family (0: IPv4, 1: IPv6).

    `landing` is the node that a packet from outside reaches first.
    """

    entry_point: EntryPoint
    address: str
    port: int
    family: int
    landing: Node


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a connection looks like where policies are enforced, if none denies it.

    `left_for` and `left_port`: the destination that the sender's egress sees; empty for a sender outside.
    `judged_from`: the source that the receiver's ingress sees. `logged_from`: the one that the server sees.
    `from_own_node`: it arrives from the pod's own node, which is always admitted.
    """

    left_for: str
    left_port: int
    judged_from: str
    logged_from: str
    from_own_node: bool


def arrival(
    way: Way,
    sender: LabPod | Host,
    receiver: LabPod,
    target: int,
    local_only: bool,
    position: str,
    proxy_mode: str,
) -> Arrival | None:
    """What arrives at `receiver` (the only backend) on its port `target`; None: nothing can, whatever policies say.

    `local_only` is externalTrafficPolicy Local; `position` is "pre" or "post"; `proxy_mode` is kube-proxy's.
    """
    family = way.family
    inside = isinstance(sender, LabPod)
    source = sender.host.addresses[family] if isinstance(sender, LabPod) else sender.addresses[family]
    home = receiver.host.node
    destination = receiver.host.addresses[family]
    if way.entry_point is EntryPoint.POD:
        return Arrival(destination if inside else "", target, source, source, False)

    # Where kube-proxy applies DNAT: on the sender's own node, except for the node port of another node.
    translated_at = way.landing
    if isinstance(sender, LabPod) and not (
        way.entry_point is EntryPoint.NODE_PORT and way.address != sender.host.node.addresses[family]
    ):
        translated_at = sender.host.node
    translated_at_home = isinstance(sender, LabPod) and translated_at is sender.host.node
    left_for, left_port = (destination, target) if translated_at_home else (way.address, way.port)

    external = way.entry_point in (EntryPoint.NODE_PORT, EntryPoint.EXTERNAL, EntryPoint.BALANCER)
    if external and local_only:
        # Pods of the cluster reach every backend, without SNAT; from outside only the landing node's own are served.
        if not inside and home is not translated_at:
            return None
        # A backend elsewhere answers the caller directly, past the node that applied DNAT, so the answer is not
        # translated back. A pod that so calls itself is masqueraded in iptables mode (nftables: on its own node only).
        calls_itself = sender is receiver and proxy_mode == "iptables"
        if inside and not translated_at_home and home is not translated_at and not calls_itself:
            return None
        masquerade = False
    elif external:
        masquerade = True
    else:
        masquerade = not inside  # a ClusterIP called from outside
    if sender is receiver:
        masquerade = True  # a pod that calls itself through its own Service
    after = translated_at.addresses[family] if masquerade else source
    if position == "post":
        return Arrival(left_for if inside else "", left_port, after, after, masquerade and translated_at is home)
    # Before SNAT, the node that applied DNAT still sees the caller; the next node sees the address after SNAT.
    judged = source if translated_at is home else after
    return Arrival(left_for if inside else "", left_port, judged, after, False)
