"""The ways to a pod, and what becomes of a packet on each: where it is turned, which source remains.

This is the theory that the packets are held against: kube-proxy's own rules, written down once.
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
    """What a connection looks like where it is judged, if nobody forbids it.

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

    # Where kube-proxy turns it: on a pod's own node at once, but for another node's port, just an address there.
    turned_at = way.landing
    if isinstance(sender, LabPod) and not (
        way.entry_point is EntryPoint.NODE_PORT and way.address != sender.host.node.addresses[family]
    ):
        turned_at = sender.host.node
    turned_at_home = isinstance(sender, LabPod) and turned_at is sender.host.node
    left_for, left_port = (destination, target) if turned_at_home else (way.address, way.port)

    external = way.entry_point in (EntryPoint.NODE_PORT, EntryPoint.EXTERNAL, EntryPoint.BALANCER)
    if external and local_only:
        # Pods of the cluster reach every backend, without SNAT; from outside only the landing node's own are served.
        if not inside and home is not turned_at:
            return None
        # A backend elsewhere answers the caller past the node that turned the packet, so nobody turns the answer back;
        # but a pod that so meets itself is masqueraded in iptables mode (in nftables mode on its own node only).
        meets_itself = sender is receiver and proxy_mode == "iptables"
        if inside and not turned_at_home and home is not turned_at and not meets_itself:
            return None
        masquerade = False
    elif external:
        masquerade = True
    else:
        masquerade = not inside  # a ClusterIP called from outside
    if sender is receiver:
        masquerade = True  # a pod that meets itself through its own Service
    after = turned_at.addresses[family] if masquerade else source
    if position == "post":
        return Arrival(left_for if inside else "", left_port, after, after, masquerade and turned_at is home)
    # Before SNAT, the node that turned the packet still sees the caller; the next one sees what SNAT made of it.
    judged = source if turned_at is home else after
    return Arrival(left_for if inside else "", left_port, judged, after, False)
