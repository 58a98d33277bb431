"""Packet cells: every way to a pod, from every sender, under many policies: real connections against the oracle.

Each Service has one backend only, so that every cell has one answer.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.agreement import model_of
from tests.lab.enforcer.model import Model, enters, leaves
from tests.lab.entry_points import Arrival, EntryPoint, Way, arrival
from tests.lab.generate import Generated
from tests.lab.lab import Lab
from tests.lab.netns import Netns
from tests.lab.network import SERVICE_CIDRS, Host, Node
from tests.lab.oracle import Oracle
from tests.lab.pods import LabPod, PodSpec
from tests.lab.policies import BANK, SHOP, TARGET, policies
from tests.lab.traffic import Probe, ProbeResult

PROTOCOLS = ("TCP", "UDP")
SERVICE_PORT = 80
_LABELS = {SHOP: {"team": "shop"}, BANK: {"team": "bank"}}

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """A Service with one pod, as the API server completed it."""

    name: str
    backend: LabPod
    local_only: bool
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One connection to make, with the outcome that is expected."""

    policy: str
    service: str
    way: Way
    sender: str
    protocol: str
    expected: bool
    logged_from: str  # the source that the server must see, if it is admitted
    arrives: Arrival | None = None  # None: nothing can arrive, whatever policies say


@dataclass(frozen=True, slots=True)
class Wrong:
    """A cell whose connection had another outcome."""

    cell: Cell
    result: ProbeResult

    def __str__(self) -> str:
        cell, result = self.cell, self.result
        expected = f"from {cell.logged_from}" if cell.expected else "nothing"
        return (
            f"policy {cell.policy}: {cell.sender} to {cell.service} by {cell.way.entry_point.value} {cell.way.address}:"
            f"{cell.way.port}/{cell.protocol} landing on {cell.way.landing.name}: expected {expected}, "
            f"saw {result.outcome.value} {result.peer}"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """All cells of one lab. `passed` of them got through. `oracle_wrong`: where model and oracle differ."""

    cells: int
    passed: int
    wrong: tuple[Wrong, ...]
    oracle_wrong: int
    by_entry_point: Counter[str]


class Stage:
    """Pods, Services and callers in a lab, ready for one policy after the other."""

    def __init__(self, lab: Lab, families: Sequence[int] = (0, 1), *, apart: bool = False) -> None:
        """`apart`: each Service has a pod of its own, so that what two Services admit does not add up."""
        self.lab, self.families = lab, families
        self.source_ranges: tuple[str, ...] = ()
        for name, labels in _LABELS.items():
            lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        serves = [(protocol, TARGET) for protocol in PROTOCOLS]
        named = {"http": ("TCP", TARGET)}
        kinds = ("-cluster", "-local") if apart else ("",)
        pods = lab.add_pods([
            *(PodSpec(SHOP, f"web-{node}{kind}", node, {"app": "web", "at": f"{node}{kind}"}, named, serves)
              for node, kind in itertools.product(lab.nodes, kinds)),
            *(PodSpec(SHOP, f"mate-{node}", node, {"app": "mate"}, named, serves) for node in lab.nodes),
            *(PodSpec(BANK, f"teller-{node}", node, {"app": "teller"}, named, serves) for node in lab.nodes),
        ])  # fmt: skip
        self.senders: dict[str, LabPod | Host] = {**{pod.full_name: pod for pod in pods}, **lab.clients}
        self.backends = [pod for pod in pods if pod.spec.labels["app"] == "web"]
        self._route_clients()
        behind = (
            [(pod, pod.spec.name.endswith("-local")) for pod in self.backends]
            if apart
            else itertools.product(self.backends, (False, True))
        )
        self.services = [self._service(number, *backend) for number, backend in enumerate(behind, start=1)]
        self._wait_until_served()

    def _route_clients(self) -> None:
        """Gives clients routes to pods, ClusterIPs (through the first node) and external IPs (through their node)."""
        nodes = list(self.lab.nodes.values())
        for client in self.lab.clients.values():
            lines = [
                f"route add {cidr} via {node.addresses[family]}"
                for node in nodes
                for family, cidr in enumerate(node.pod_cidrs)
            ]
            lines += [f"route add {cidr} via {nodes[0].addresses[i]}" for i, cidr in enumerate(SERVICE_CIDRS)]
            lines += [
                f"route add {address} via {node.addresses[family]}"
                for number, node in itertools.product(range(1, 2 * len(nodes) + 1), nodes)
                for family, address in enumerate(_external_addresses(number, node))
            ]
            subprocess.run(
                [*client.netns.prefix, "ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True
            )

    def _service(self, number: int, backend: LabPod, local_only: bool) -> Service:
        nodes = list(self.lab.nodes.values())
        kind = "-local" if local_only else "-cluster"
        name = f"{backend.spec.name.removesuffix(kind)}{kind}"
        self.lab.apply({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": SHOP},
            "spec": {
                "type": "LoadBalancer",
                "selector": dict(backend.spec.labels),
                "ipFamilyPolicy": "RequireDualStack",
                "externalTrafficPolicy": "Local" if local_only else "Cluster",
                "externalIPs": [address for node in nodes for address in _external_addresses(number, node)],
                "ports": [
                    {"name": protocol.lower(), "protocol": protocol, "port": SERVICE_PORT, "targetPort": TARGET}
                    for protocol in PROTOCOLS
                ],
            },
        })  # fmt: skip
        vips = self.lab.wait_for_addresses(SHOP, name, families=2)
        spec = self.lab.api.get("Service", SHOP, name)["spec"]
        node_ports = {port["protocol"]: port["nodePort"] for port in spec["ports"]}
        ways = []
        for family in self.families:
            ways.append(Way(EntryPoint.POD, backend.host.addresses[family], TARGET, family, backend.host.node))
            ways.append(Way(EntryPoint.CLUSTER, spec["clusterIPs"][family], SERVICE_PORT, family, nodes[0]))
            for node in nodes:
                ways += [
                    Way(EntryPoint.NODE_PORT, node.addresses[family], node_ports[protocol], family, node)
                    for protocol in PROTOCOLS
                ]
                ways.append(
                    Way(EntryPoint.EXTERNAL, _external_addresses(number, node)[family], SERVICE_PORT, family, node)
                )
            vip = next(address for address in vips if (":" in address) == bool(family))
            ways.append(Way(EntryPoint.BALANCER, vip, SERVICE_PORT, family, self._announcer(vip)))
        return Service(name, backend, local_only, tuple(ways))

    def _announcer(self, vip: str) -> Node:
        """The node that answers for a load balancer address, as a client's neighbour table has it."""
        client = next(iter(self.lab.clients.values()))
        self.lab.wait_until([Probe(client.netns, vip, SERVICE_PORT)], lambda result: result.passed)
        mac = json.loads(_output(client.netns, "ip", "-json", "neigh", "show", vip))[0]["lladdr"]
        for node in self.lab.nodes.values():
            if mac == json.loads(_output(node.netns, "ip", "-json", "link", "show", "eth0"))[0]["address"]:
                # On a busy machine the speakers lose sight of one another and the address moves: here it stays.
                for other in self.lab.clients.values():
                    _output(other.netns, *f"ip neigh replace {vip} lladdr {mac} dev eth0 nud permanent".split())
                return node
        raise RuntimeError(f"{mac} answers for {vip}, and is no node")

    def _wait_until_served(self) -> None:
        """Until kube-proxy serves every Service on every node: without policies, all that can arrive does."""
        cells = [cell for cell in self.cells("none", Generated([], [], [])) if cell.expected]
        self.lab.wait_until([self.probe(cell) for cell in cells], lambda result: result.passed)

    def probe(self, cell: Cell) -> Probe:
        """The connection of a cell."""
        sender = self.senders[cell.sender]
        netns = sender.host.netns if isinstance(sender, LabPod) else sender.netns
        return Probe(netns, cell.way.address, cell.way.port, cell.protocol)

    def generated(self, policies: Sequence[Manifest]) -> Generated:
        """The lab's own objects, in the form that the oracle reads."""
        return Generated(
            [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
             for name, labels in _LABELS.items()],
            # The items of a list have no apiVersion and kind.
            [{"apiVersion": "v1", "kind": "Pod", **pod} for name in _LABELS for pod in self.lab.api.list("Pod", name)],
            list(policies),
        )  # fmt: skip

    def cells(self, policy: str, cluster: Generated, oracle: Oracle | None = None) -> Iterator[Cell]:
        """Every cell with its expected outcome: by the oracle if there is one, else by the enforcer's model."""
        model = model_of(cluster)
        for service, (name, sender), protocol in itertools.product(self.services, self.senders.items(), PROTOCOLS):
            for way in service.ways:
                if way.entry_point is EntryPoint.NODE_PORT and not self._is_node_port_of(service, way, protocol):
                    continue
                yield self._cell(policy, service, way, name, sender, protocol, model, oracle)

    def _is_node_port_of(self, service: Service, way: Way, protocol: str) -> bool:
        # Two node ports for each node and family, in the order of PROTOCOLS.
        same = [other for other in service.ways if (other.entry_point, other.address) == (way.entry_point, way.address)]
        return same[PROTOCOLS.index(protocol)] is way

    def _in_ranges(self, sender: LabPod | Host, family: int) -> bool:
        """kube-proxy applies loadBalancerSourceRanges to every caller of the address, pods too."""
        source = (sender.host if isinstance(sender, LabPod) else sender).addresses[family]
        ranges = [ipaddress.ip_network(cidr) for cidr in self.source_ranges]
        return not ranges or any(ipaddress.ip_address(source) in block for block in ranges)

    def set_source_ranges(self, ranges: Sequence[str]) -> None:
        """Sets them on every Service. Only while no policy denies: else no probe could show that they are in force."""
        self.source_ranges = tuple(ranges)
        for service in self.services:
            path = f"/api/v1/namespaces/{SHOP}/services/{service.name}"
            spec = {"loadBalancerSourceRanges": list(ranges) or None}
            self.lab.api.call("PATCH", path, {"spec": spec}, "application/merge-patch+json")
        netns = self.lab.clients["stranger"].netns
        ways = [way for service in self.services for way in service.ways if way.entry_point is EntryPoint.BALANCER]
        probes = [Probe(netns, way.address, way.port) for way in ways]
        self.lab.wait_until(probes, lambda result: result.passed is not bool(ranges))

    def _cell(
        self, policy: str, service: Service, way: Way, name: str, sender: LabPod | Host, protocol: str,
        model: Model, oracle: Oracle | None,
    ) -> Cell:  # fmt: skip
        arrives = arrival(way, sender, service.backend, TARGET, service.local_only, self.lab.position,
                          self.lab.proxy_mode)  # fmt: skip
        if way.entry_point is EntryPoint.BALANCER and not self._in_ranges(sender, way.family):
            arrives = None
        if arrives is None:
            return Cell(policy, service.name, way, name, protocol, False, "")
        receiver = ipaddress.ip_address(service.backend.host.addresses[way.family])
        judged = (ipaddress.ip_address(arrives.judged_from), receiver, TARGET, protocol)
        enter = arrives.from_own_node or (oracle.enters(*judged) if oracle else enters(model, *judged))
        leave = True
        if isinstance(sender, LabPod):
            source = ipaddress.ip_address(sender.host.addresses[way.family])
            left = (source, ipaddress.ip_address(arrives.left_for), arrives.left_port, protocol)
            leave = oracle.leaves(*left) if oracle else leaves(model, *left)
        return Cell(policy, service.name, way, name, protocol, enter and leave, arrives.logged_from, arrives)


def _output(host: Netns, *command: str) -> str:
    return subprocess.run([*host.prefix, *command], capture_output=True, text=True, check=True, timeout=10).stdout


def _external_addresses(number: int, node: Node) -> tuple[str, str]:
    return f"198.51.100.{10 * number + node.index}", f"2001:db8:e::{10 * number + node.index:x}"


def run(stage: Stage) -> Result:
    """Every policy in turn, every cell of it."""
    lab = stage.lab
    cells = passed = oracle_wrong = 0
    wrong: list[Wrong] = []
    entry_points: Counter[str] = Counter()
    for name, manifests in policies(lab).items():
        _replace(lab, manifests)
        cluster = stage.generated(manifests)
        by_model = list(stage.cells(name, cluster))
        by_oracle = list(stage.cells(name, cluster, Oracle(cluster)))
        oracle_wrong += sum(a.expected != b.expected for a, b in zip(by_model, by_oracle, strict=True))
        results = lab.probe([stage.probe(cell) for cell in by_oracle])
        for cell, result in zip(by_oracle, results, strict=True):
            cells += 1
            passed += result.passed
            entry_points[cell.way.entry_point.value] += 1
            if result.passed != cell.expected or (result.passed and result.peer != cell.logged_from):
                wrong.append(Wrong(cell, result))
    return Result(cells, passed, tuple(wrong), oracle_wrong, entry_points)


def _replace(lab: Lab, wanted: list[Manifest]) -> None:
    keep = {(manifest["metadata"]["namespace"], manifest["metadata"]["name"]) for manifest in wanted}
    for live in lab.api.list("NetworkPolicy"):
        where = (live["metadata"]["namespace"], live["metadata"]["name"])
        if where not in keep:
            lab.delete("NetworkPolicy", *where)
    lab.apply(*wanted)
