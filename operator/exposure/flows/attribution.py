"""Which Service a flow was for, and who was at its other end: a log's addresses and names against a cluster's
objects."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exposure.flows.ends import Ends
from exposure.flows.records import End, Flow
from exposure.flows.table import Key
from exposure.labels import LabelSelector, selecting
from exposure.model.exposures import Exposure
from exposure.model.objects import Ref, Service
from exposure.model.snapshot import Snapshot
from exposure.resolve import ClusterFacts

#: Answers that are remembered. A stream repeats itself; one that does not must not fill the memory either.
REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Served:
    """A Service behind entry points. `ports` are the pods' numbers by protocol; `unresolved` protocols have a name nobody
    resolves."""

    service: Service
    selector: LabelSelector | None
    exposures: tuple[Exposure, ...]
    ports: frozenset[tuple[str, int]]
    unresolved: frozenset[str]

    def exposes(self, protocol: str, port: int) -> bool:
        return (protocol, port) in self.ports or protocol in self.unresolved


class Attribution:
    """Made once for a world; `keys` is asked for every flow."""

    def __init__(self, snapshot: Snapshot, facts: ClusterFacts, exposures: Sequence[Exposure]) -> None:
        self.ends = Ends(snapshot, facts)
        self.served = {str(served.service.ref): served for served in _served(snapshot, exposures)}
        self._by_pod: dict[tuple[str, str], tuple[str, ...]] = {}
        self._by_labels: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[str, ...]] = {}
        self._selecting: dict[str, list[tuple[str, LabelSelector]]] = {}
        for name, served in self.served.items():
            if served.selector is not None and not served.selector.empty:
                self._selecting.setdefault(served.service.namespace, []).append((name, served.selector))
        self._addresses = _endpoint_addresses(snapshot, self.served)
        self._fronts = _fronts(snapshot, self.served)
        self._remembered: dict[tuple[End, End, str, int], tuple[Key, ...]] = {}

    def keys(self, flow: Flow) -> tuple[Key, ...]:
        """The rows that the flow counts in: none where no Service behind an entry point is at either end, or it is an
        answer."""
        question = flow.source, flow.destination, flow.protocol, flow.port
        found = self._remembered.get(question)
        if found is None:
            found = self._answer(flow)
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[question] = found
        if flow.reply is None and found and self._is_answer(flow, found):
            return ()
        return found

    def _is_answer(self, flow: Flow, found: tuple[Key, ...]) -> bool:
        """The log does not say who opened it: it comes from a port that is served, and goes to none that is."""
        for key in found:
            if key.exposed and key.way == "in":
                return False
        if not flow.source_port:
            return False
        return any(
            self.served[name].exposes(flow.protocol, flow.source_port) for name in self._services(flow.source)
        ) or (flow.source_port < 1024 <= flow.port)

    def _answer(self, flow: Flow) -> tuple[Key, ...]:
        keys: list[Key] = []
        front = self._fronts.get((flow.destination.address, flow.protocol, flow.port))
        source = None
        if front is not None:
            name, port = front
            source = self.ends.peer(flow.source)
            keys.append(Key("in", name, source, flow.protocol, port))
        else:
            for name in self._services(flow.destination):
                source = source or self.ends.peer(flow.source)
                exposed = self.served[name].exposes(flow.protocol, flow.port)
                # Strangers knock at every port: which of those that nobody serves is not worth a row each.
                port = flow.port if exposed or source.kind == "pod" else 0
                keys.append(Key("in", name, source, flow.protocol, port, exposed))
        out = self._services(flow.source)
        if out:
            peer, port = self.ends.callee(flow.destination, flow.protocol, flow.port)
            keys += [Key("out", name, peer, flow.protocol, port) for name in out]
        return tuple(keys)

    def _services(self, end: End) -> tuple[str, ...]:
        """The Services whose pod this is: by name, by address, and where the pod is gone by the labels in the log."""
        pod = self.ends.pod(end)
        if pod is not None:
            identity = pod.namespace, pod.name
            if identity not in self._by_pod:
                self._by_pod[identity] = self._selected(pod.namespace, dict(pod.labels))
            return self._by_pod[identity]
        if end.namespace and end.labels:
            labels = self.ends.labels(end)
            known = end.namespace, labels
            if known not in self._by_labels:
                if len(self._by_labels) >= REMEMBERED:
                    self._by_labels.clear()
                self._by_labels[known] = self._selected(end.namespace, dict(labels))
            return self._by_labels[known]
        return self._addresses.get(end.address, ())

    def _selected(self, namespace: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(name for name, selector in self._selecting.get(namespace, ()) if selector.matches(labels))


def _served(snapshot: Snapshot, exposures: Iterable[Exposure]) -> Iterable[Served]:
    behind: dict[Ref, list[Exposure]] = {}
    for exposure in exposures:
        refs = [backend.service for backend in exposure.backends]
        if exposure.owner.kind == "Service":
            refs.append(Ref(exposure.namespace, exposure.owner.name))
        for ref in dict.fromkeys(refs):
            behind.setdefault(ref, []).append(exposure)
    for ref, entry_points in sorted(behind.items(), key=lambda item: str(item[0])):
        service = snapshot.services.get(ref.namespace, {}).get(ref.name)
        if service is None:
            continue
        selector = selecting(dict(service.selector)) if service.selector else None
        ports: set[tuple[str, int]] = set()
        unresolved: set[str] = set()
        for port in service.ports:
            numbers = target_numbers(snapshot, service, selector, port.target_port, port.protocol, port.name)
            ports |= {(port.protocol, number) for number in numbers}
            if not numbers:
                unresolved.add(port.protocol)
        yield Served(service, selector, tuple(entry_points), frozenset(ports), frozenset(unresolved))


def target_numbers(
    snapshot: Snapshot, service: Service, selector: LabelSelector | None, target: int | str, protocol: str, name: str
) -> frozenset[int]:
    """The numbers behind a target port: itself, or for a name what the EndpointSlices and the pods say."""
    if isinstance(target, int):
        return frozenset({target})
    found = {
        port.port
        for each in snapshot.endpoint_slices.get(service.namespace, {}).values()
        if each.service == service.name
        for port in each.ports
        if port.port is not None and (port.name or "") == name and port.protocol == protocol
    }
    for pod in snapshot.pods.get(service.namespace, {}).values():
        if selector is not None and selector.matches(dict(pod.labels)):
            found |= {each.port for each in pod.ports if each.name == target and each.protocol == protocol}
    return frozenset(found)


def _endpoint_addresses(snapshot: Snapshot, served: Mapping[str, Served]) -> dict[str, tuple[str, ...]]:
    """Services by the addresses of their endpoints: all there is where no Pods were read."""
    found: dict[str, list[str]] = {}
    for namespace, slices in snapshot.endpoint_slices.items():
        for each in slices.values():
            name = f"{namespace}/{each.service}"
            if name in served:
                for endpoint in each.endpoints:
                    for ip in endpoint.addresses:
                        found.setdefault(ip, []).append(name)
    return {ip: tuple(dict.fromkeys(names)) for ip, names in found.items()}


def _fronts(snapshot: Snapshot, served: Mapping[str, Served]) -> dict[tuple[str, str, int], tuple[str, int]]:
    """Where a client may have connected before kube-proxy rewrote the address: VIPs, external, cluster and node
    addresses."""
    nodes = [ip for node in snapshot.nodes.values() for ip in (*node.internal_ips, *node.external_ips)]
    found: dict[tuple[str, str, int], tuple[str, int]] = {}
    for name, each in served.items():
        service = each.service
        fronts = [*service.cluster_ips, *service.external_ips, *(entry.ip for entry in service.published if entry.ip)]
        for port in service.ports:
            numbers = target_numbers(snapshot, service, each.selector, port.target_port, port.protocol, port.name)
            target = min(numbers) if numbers else port.port
            for ip in fronts:
                found[_canonical(ip), port.protocol, port.port] = name, target
            if port.node_port:
                for ip in nodes:
                    found.setdefault((_canonical(ip), port.protocol, port.node_port), (name, target))
    return found


def _canonical(ip: str) -> str:
    try:
        return str(ipaddress.ip_address(ip))
    except ValueError:
        return ip
