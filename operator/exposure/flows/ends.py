"""Who an address or a name in a log is: a pod's workload, a node, a Service, or an address outside."""

from collections.abc import Iterable
from socket import AF_INET, inet_pton

from exposure.addresses import Address, Network, address
from exposure.flows.records import End
from exposure.flows.table import FlowPeer
from exposure.labels import Pairs
from exposure.model.objects import Pod, Service
from exposure.model.snapshot import Snapshot
from exposure.plan.parties import REPLICA_LABELS
from exposure.resolve import ClusterFacts

#: Cilium's names for the cluster's own machines.
#: https://docs.cilium.io/en/stable/gettingstarted/terminology/#special-identities
NODES = frozenset({"reserved:host", "reserved:remote-node", "reserved:health", "reserved:kube-apiserver"})
API_SERVER = FlowPeer("api-server")


class Ends:
    """Finds the ends of flows. Made once for a snapshot, asked for every flow."""

    def __init__(self, snapshot: Snapshot, facts: ClusterFacts) -> None:
        self._by_name = {(ns, pod.name): pod for ns, pods in snapshot.pods.items() for pod in pods.values()}
        self._by_address: dict[str, Pod] = {}
        for pod in self._by_name.values():
            # A hostNetwork pod has the address of its node, which does not tell one such pod from another.
            if not pod.host_network and not pod.finished:
                self._by_address.update((ip, pod) for ip in pod.ips)
        self._services: dict[str, Service] = {
            ip: service
            for services in snapshot.services.values()
            for service in services.values()
            for ip in (*service.cluster_ips, *(published.ip for published in service.published if published.ip))
        }
        endpoints = (endpoint for endpoint_slice in facts.api_server for endpoint in endpoint_slice.endpoints)
        self._api = {ip for endpoint in endpoints for ip in endpoint.addresses}
        self._snapshot, self._facts = snapshot, facts
        #: As numbers, by IP version: they are compared with each of millions of addresses.
        self._snat = _as_numbers(facts.snat)
        self._pod_ranges = _as_numbers((*facts.pod_ranges.excluded, *facts.pod_ranges.unexpected))

    def pod(self, end: End) -> Pod | None:
        if end.namespace and end.pod:
            pod = self._by_name.get((end.namespace, end.pod))
            if pod is not None:
                return pod
            if end.pod.endswith("*"):
                # One of the replicas that Calico names together, as `web-7d9c5b6f-*`.
                pods = self._snapshot.pods.get(end.namespace, {})
                return next((pods[name] for name in sorted(pods) if name.startswith(end.pod[:-1])), None)
        return self._by_address.get(end.address)

    def labels(self, end: End) -> Pairs:
        """The pod's labels in the log, without Cilium's own and those that tell replicas apart."""
        pairs = (label.partition("=") for label in end.labels)
        kept = ((k, v) for k, _, v in pairs if not k.startswith(("io.cilium.", "io.kubernetes.", "reserved:")))
        return workload_labels(sorted(kept))

    def peer(self, end: End) -> FlowPeer:
        pod = self.pod(end)
        if pod is not None and not pod.host_network:
            return _workload(pod)
        if end.namespace and (end.pod or end.labels):
            return FlowPeer("pod", "", end.namespace, self.labels(end))
        if any(label in NODES for label in end.labels):
            return FlowPeer("node", end.address)
        return self._address(end.address)

    def callee(self, end: End, protocol: str, port: int) -> tuple[FlowPeer, int]:
        """What was called, at which port of the pods: a Service's address stands for its pods and their target port."""
        if "reserved:kube-apiserver" in end.labels or end.address in self._api:
            return API_SERVER, port
        service = self._services.get(end.address)
        if service is None or self.pod(end) is not None:
            return self.peer(end), port
        if service == self._facts.api_server_service:
            return API_SERVER, port
        target = next((p.target_port for p in service.ports if (p.protocol, p.port) == (protocol, port)), port)
        if not service.selector:
            return FlowPeer("service", str(service.ref)), port
        backend = next(self._snapshot.pods_of(service), None)
        if backend is not None and isinstance(target, str):
            target = next((named.port for named in backend.ports if named.name == target), port)
        selected = FlowPeer("pod", "", service.namespace, tuple(sorted(service.selector)))
        return _workload(backend) if backend else selected, target if isinstance(target, int) else port

    def _address(self, text: str) -> FlowPeer:
        try:
            shown, version, number = text, 4, int.from_bytes(inet_pton(AF_INET, text), "big")
        except (OSError, ValueError):
            # IPv6, IPv4 in IPv6, or no address at all.
            parsed = address(text)
            if parsed is None:
                return FlowPeer("outside")
            plain: Address = getattr(parsed, "ipv4_mapped", None) or parsed
            shown, version, number = str(plain), plain.version, int(plain)
            if shown in self._by_address:
                return _workload(self._by_address[shown])
        if shown in self._facts.node_addresses or any(low <= number <= high for low, high in self._snat[version]):
            return FlowPeer("node", shown)
        in_pod_range = any(low <= number <= high for low, high in self._pod_ranges[version])
        return FlowPeer("gone" if in_pod_range else "address", shown)


def _workload(pod: Pod) -> FlowPeer:
    return FlowPeer("pod", "", pod.namespace, workload_labels(pod.labels))


def workload_labels(labels: Iterable[tuple[str, str]]) -> Pairs:
    """The labels without those that distinguish replicas."""
    return tuple((key, value) for key, value in labels if key not in REPLICA_LABELS)


def _as_numbers(networks: Iterable[Network]) -> dict[int, list[tuple[int, int]]]:
    numbers: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    for network in networks:
        numbers[network.version].append((int(network.network_address), int(network.broadcast_address)))
    return numbers
