"""The network of a lab: a LAN, nodes that route, pods behind them, clients outside. Both families everywhere.

Addresses come from the ranges that are kept for documentation, and exist only inside the lab's own namespaces, so any
number of labs use the same ones side by side.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.lab.netns import Netns

LAN = ("192.0.2.0/24", "2001:db8::/64")
GATEWAY = ("192.0.2.1", "2001:db8::1")
CONTROL_PLANE = ("192.0.2.2", "2001:db8::2")
VIPS = ("192.0.2.64-192.0.2.95", "2001:db8::40-2001:db8::5f")
ALLOWED_CLIENTS = ("192.0.2.128/26", "2001:db8::80:0/112")  # a policy's clients
STRANGERS = ("192.0.2.192/26", "2001:db8::c0:0/112")  # addresses that no policy names
POD_CIDRS = ("10.244.0.0/16", "fd00:10:244::/48")
SERVICE_CIDRS = ("10.96.0.0/16", "fd00:10:96::/112")

_NEXT_HOP = "169.254.1.1"  # answered for by proxy ARP on the node's end of each pod's wire
_NEXT_HOP_6 = "fe80::1"  # on the node's end of each pod's wire

# A lab is small and quick: no duplicate address detection, no limit on the ICMP errors by which a firewall denies.
_EVERYWHERE = {
    "ipv4/icmp_ratelimit": 0,
    "ipv6/icmp/ratelimit": 0,
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/all/accept_ra": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
}
# A probe's source port is used again soon, and must not match the tracked connection of an earlier probe.
_SHORT_CONNTRACK = {"netfilter/nf_conntrack_udp_timeout": 1, "netfilter/nf_conntrack_udp_timeout_stream": 1}
_ROUTER = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv6/conf/default/forwarding": 1}


@dataclass(frozen=True, slots=True)
class Host:
    """A namespace on the LAN, with its IPv4 and its IPv6 address."""

    netns: Netns
    addresses: tuple[str, str]


@dataclass(slots=True)
class Node:
    """A host that routes for its pods. `index` counts from 1 and is part of every address."""

    name: str
    index: int
    netns: Netns
    addresses: tuple[str, str]
    pod_cidrs: tuple[str, str]
    free: Iterable[int] = field(default_factory=lambda: itertools.count(2))


@dataclass(frozen=True, slots=True)
class PodHost:
    """A pod's namespace, its two addresses, and the name of its wire on the node."""

    netns: Netns
    node: Node
    addresses: tuple[str, str]
    wire: str


def _batch(work: Sequence[tuple[Netns, Sequence[str]]]) -> None:
    """Run `ip -batch` in several namespaces at once. Raises RuntimeError with ip's message."""
    running = [
        (
            host,
            lines,
            subprocess.Popen(
                [*host.prefix, "ip", "-batch", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            ),
        )
        for host, lines in work
    ]
    failures = []
    for host, lines, process in running:
        _, errors = process.communicate("\n".join(lines) + "\n", timeout=20)
        if process.returncode:
            failures.append(f"{host.name}: {errors}{list(lines)}")
    if failures:
        raise RuntimeError("\n".join(failures))


class Network:
    """The namespaces of one lab and the wires between them."""

    def __init__(self) -> None:
        self._hosts: list[Netns] = []
        self._wires = itertools.count(1)
        self.lan = self._new("lan")
        _batch([(self.lan, [
            "link set lo up",
            "link add br0 type bridge forward_delay 0",
            f"addr add {GATEWAY[0]}/24 dev br0",
            f"addr add {GATEWAY[1]}/64 dev br0 nodad",
            "link set br0 up",
        ])])  # fmt: skip
        self.control_plane = self.attach([("control-plane", CONTROL_PLANE)])[0]

    def _new(self, name: str) -> Netns:
        host = Netns(name)
        self._hosts.append(host)
        host.set({**_EVERYWHERE, **_SHORT_CONNTRACK})
        return host

    def attach(self, hosts: Sequence[tuple[str, tuple[str, str]]], *, routers: bool = False) -> list[Host]:
        """New hosts on the LAN, each with its IPv4 and IPv6 address; routers forward between their wires."""
        made = []
        plugs: list[str] = []
        for name, addresses in hosts:
            netns = self._new(name)
            wire = f"v{next(self._wires)}"
            plugs += [
                f"link add {wire} type veth peer name eth0 netns {netns.path}",
                f"link set {wire} master br0 up",
            ]
            made.append(Host(netns, addresses))
        _batch([(self.lan, plugs)])
        _batch([
            (host.netns, [
                "link set lo up",
                f"addr add {host.addresses[0]}/24 dev eth0",
                f"addr add {host.addresses[1]}/64 dev eth0 nodad",
                "link set eth0 up",
                f"route add default via {GATEWAY[0]}",
                f"route add default via {GATEWAY[1]}",
            ])
            for host in made
        ])  # fmt: skip
        if routers:
            for host in made:
                host.netns.set(_ROUTER)
        return made

    def add_nodes(self, existing: Sequence[Node], names: Sequence[str]) -> list[Node]:
        """New nodes, with routes to every other node's pods."""
        first = len(existing) + 1
        numbered = list(enumerate(names, start=first))
        hosts = self.attach(
            [(name, (f"192.0.2.{10 + i}", f"2001:db8::{10 + i:x}")) for i, name in numbered], routers=True
        )
        made = [
            Node(name, i, host.netns, host.addresses, (f"10.244.{i}.0/24", f"fd00:10:244:{i:x}::/64"))
            for (i, name), host in zip(numbered, hosts, strict=True)
        ]
        every = [*existing, *made]
        new = {node.name for node in made}
        # Set only now: eth0 must not answer for the pods of other nodes; the pods' wires must answer for every address.
        for node in made:
            node.netns.set({"ipv4/conf/default/proxy_arp": 1})
        _batch([
            (here.netns, [
                line
                for there in every
                if there is not here and (here.name in new or there.name in new)
                for line in (
                    f"route add {there.pod_cidrs[0]} via {there.addresses[0]}",
                    f"route add {there.pod_cidrs[1]} via {there.addresses[1]}",
                )
            ])
            for here in every
        ])  # fmt: skip
        return made

    def add_pods(self, where: Sequence[tuple[str, Node]]) -> list[PodHost]:
        """New pods, named for messages only, each on its node with a /32 and a /128 of the node's ranges."""
        made = []
        for name, node in where:
            number = next(iter(node.free))
            made.append(
                PodHost(
                    self._new(name),
                    node,
                    (f"10.244.{node.index}.{number}", f"fd00:10:244:{node.index:x}::{number:x}"),
                    f"p{number}",
                )
            )
        by_node: dict[str, tuple[Netns, list[str]]] = {}
        for pod in made:
            lines = by_node.setdefault(pod.node.name, (pod.node.netns, []))[1]
            lines += [
                f"link add {pod.wire} type veth peer name eth0 netns {pod.netns.path}",
                f"addr add {_NEXT_HOP_6}/64 dev {pod.wire} nodad",
                f"link set {pod.wire} up",
                f"route add {pod.addresses[0]}/32 dev {pod.wire}",
                f"route add {pod.addresses[1]}/128 dev {pod.wire}",
            ]
        _batch(list(by_node.values()))
        for netns, _ in by_node.values():
            # Else the node waits up to 0.8 s before it answers for the next hop.
            netns.set({f"ipv4/neigh/{pod.wire}/proxy_delay": 0 for pod in made if pod.node.netns is netns})
        _batch([
            (pod.netns, [
                "link set lo up",
                f"addr add {pod.addresses[0]}/32 dev eth0",
                f"addr add {pod.addresses[1]}/128 dev eth0 nodad",
                "link set eth0 up",
                f"route add {_NEXT_HOP} dev eth0 scope link",
                f"route add default via {_NEXT_HOP} dev eth0",
                f"route add default via {_NEXT_HOP_6} dev eth0",
            ])
            for pod in made
        ])  # fmt: skip
        return made

    def remove_pod(self, pod: PodHost) -> None:
        """Pull the wire and let go of the namespace."""
        _batch([(pod.node.netns, [f"link del {pod.wire}"])])
        self._hosts.remove(pod.netns)
        pod.netns.close()

    def close(self) -> None:
        """Let go of every namespace."""
        for host in self._hosts:
            host.close()
        self._hosts.clear()
