"""Which Service a flow was for, and who was at its other end: the log's addresses and names as a cluster's objects.

A flow log shows pods, not entry points. So a flow belongs to a Service, and each entry point of that Service shows it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from exposure.addresses import address
from exposure.flows.ends import Ends
from exposure.flows.records import End, Flow
from exposure.flows.table import FlowKey
from exposure.grouping import grouped
from exposure.labels import LabelSelector, Pairs
from exposure.model.exposures import Exposure
from exposure.model.objects import Service, ServicePort
from exposure.model.snapshot import Snapshot
from exposure.resolve import ClusterFacts
from exposure.resolve.ports import known_numbers

#: Flows whose keys are remembered. A stream repeats itself; one that does not must not fill the memory either.
REMEMBERED = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class ServedService:
    """A Service behind entry points. Compared by identity, so that answers about it can be remembered.

    `targets` are the numbers of its target ports in the pods: several where pods differ, none where a name is not
    known. `ports` are all of them, by protocol; a 0 stands for those that are not known.
    """

    service: Service
    selector: LabelSelector | None
    exposures: tuple[Exposure, ...]
    targets: Mapping[ServicePort, frozenset[int]]
    ports: frozenset[tuple[str, int]]

    @property
    def name(self) -> str:
        return str(self.service.ref)

    def exposes(self, protocol: str, port: int) -> bool:
        return (protocol, port) in self.ports or (protocol, 0) in self.ports


class Attribution:
    """Made once for a snapshot; `keys` is asked for every flow."""

    def __init__(self, snapshot: Snapshot, facts: ClusterFacts, exposures: Sequence[Exposure]) -> None:
        self.snapshot, self.exposures, self.cni = snapshot, exposures, facts.cni
        self.ends = Ends(snapshot, facts)
        self.served = {served.name: served for served in _served(snapshot, exposures)}
        self._by_namespace = grouped((served.service.namespace, served) for served in self.served.values())
        self._by_address = _endpoint_addresses(snapshot, self.served)
        self._before_dnat = _before_dnat(snapshot, self.served.values())
        self._remembered_keys = lru_cache(REMEMBERED)(self._keys)
        self._remembered_selected = lru_cache(REMEMBERED)(self._selected)

    def keys(self, flow: Flow) -> tuple[FlowKey, ...]:
        """The rows that the flow counts in; none for an answer, and where neither end is behind an entry point."""
        # Sliced, because it is asked for every flow: source, destination, protocol and port.
        keys = self._remembered_keys(*flow[:4])
        return () if flow.reply is None and keys and self._is_answer(flow, keys) else keys

    def _is_answer(self, flow: Flow, keys: tuple[FlowKey, ...]) -> bool:
        """If the log does not say who opened it: an answer comes from a served port and goes to a port that is not."""
        if not flow.source_port or any(key.exposed and key.way == "in" for key in keys):
            return False
        return flow.source_port < 1024 <= flow.port or any(
            self.served[name].exposes(flow.protocol, flow.source_port) for name in self._services(flow.source)
        )

    def _keys(self, source: End, destination: End, protocol: str, port: int) -> tuple[FlowKey, ...]:
        keys: list[FlowKey] = []
        before_dnat = self._before_dnat.get((destination.address, protocol, port))
        if before_dnat is not None:
            name, target = before_dnat
            keys.append(FlowKey("in", name, self.ends.peer(source), protocol, target))
        elif called := self._services(destination):
            peer = self.ends.peer(source)
            for name in called:
                exposed = self.served[name].exposes(protocol, port)
                # Scanners try every port: those that are not served are not worth a row each.
                keys.append(FlowKey("in", name, peer, protocol, port if exposed or peer.kind == "pod" else 0, exposed))
        if calling := self._services(source):
            peer, target = self.ends.callee(destination, protocol, port)
            keys += [FlowKey("out", name, peer, protocol, target) for name in calling]
        return tuple(keys)

    def _services(self, end: End) -> tuple[str, ...]:
        """The Services whose pod this is: by name, by address, and where the pod is gone by the labels in the log."""
        pod = self.ends.pod(end)
        if pod is not None:
            return self._remembered_selected(pod.namespace, pod.labels)
        if end.namespace and end.labels:
            return self._remembered_selected(end.namespace, self.ends.labels(end))
        return self._by_address.get(end.address, ())

    def _selected(self, namespace: str, labels: Pairs) -> tuple[str, ...]:
        services = self._by_namespace.get(namespace, ())
        return tuple(served.name for served in services if served.selector and served.selector.matches(labels))


def _served(snapshot: Snapshot, exposures: Iterable[Exposure]) -> Iterable[ServedService]:
    behind = grouped((backend.service, exposure) for exposure in exposures for backend in exposure.backends)
    for ref, entry_points in sorted(behind.items(), key=lambda item: str(item[0])):
        service = snapshot.services.get(ref.namespace, {}).get(ref.name)
        if service is None:
            continue
        targets = {port: target_numbers(snapshot, service, port) for port in service.ports}
        ports = frozenset((port.protocol, number) for port, numbers in targets.items() for number in numbers or (0,))
        yield ServedService(service, service.pod_selector, entry_points, targets, ports)


def target_numbers(snapshot: Snapshot, service: Service, port: ServicePort) -> frozenset[int]:
    """The numbers behind a target port: itself, or for a name what the EndpointSlices list, else the pods."""
    if isinstance(port.target_port, int):
        return frozenset({port.target_port})
    return frozenset(known_numbers(port, snapshot.slices_of(service.ref), snapshot.pods_of(service)))


def _endpoint_addresses(snapshot: Snapshot, served: Mapping[str, ServedService]) -> dict[str, tuple[str, ...]]:
    """Services by the addresses of their endpoints: all there is where no Pods were read."""
    every = (endpoint_slice for slices in snapshot.endpoint_slices.values() for endpoint_slice in slices.values())
    named = ((f"{endpoint_slice.namespace}/{endpoint_slice.service}", endpoint_slice) for endpoint_slice in every)
    behind = ((name, endpoint) for name, own in named if name in served for endpoint in own.endpoints)
    return grouped(dict.fromkeys((ip, name) for name, endpoint in behind for ip in endpoint.addresses))


def _before_dnat(snapshot: Snapshot, services: Iterable[ServedService]) -> dict[tuple[str, str, int], tuple[str, int]]:
    """Addresses of load balancers, Services and nodes, which kube-proxy rewrites, to Services and target ports."""
    nodes = [ip for node in snapshot.nodes.values() for ip in (*node.internal_ips, *node.external_ips)]
    called: dict[tuple[str, str, int], tuple[str, int]] = {}
    for served in services:
        service = served.service
        published = [entry.ip for entry in service.published if entry.ip]
        for port, numbers in served.targets.items():
            target = served.name, min(numbers, default=port.port)
            for ip in (*service.cluster_ips, *service.external_ips, *published):
                called[_canonical(ip), port.protocol, port.port] = target
            for ip in nodes if port.node_port else ():
                called.setdefault((_canonical(ip), port.protocol, port.node_port), target)
    return called


def _canonical(ip: str) -> str:
    return str(address(ip) or ip)
