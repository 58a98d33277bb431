"""Who an address or a name in a log is: a pod's workload, a node, a Service, or somebody outside."""

from collections.abc import Iterable
from socket import AF_INET, inet_pton

from exposure.addresses import Address, Network, address
from exposure.flows.records import End
from exposure.flows.table import Peer
from exposure.model.objects import Pod, Service
from exposure.model.snapshot import Snapshot
from exposure.plan.parties import REPLICA_LABELS
from exposure.resolve import ClusterFacts

#: What Cilium calls the cluster's own machines, and what it calls everything outside.
#: https://docs.cilium.io/en/stable/gettingstarted/terminology/#special-identities
NODES = frozenset({"reserved:host", "reserved:remote-node", "reserved:health", "reserved:kube-apiserver"})
API_SERVER = Peer("api-server")


class Ends:
    def __init__(self, snapshot: Snapshot, facts: ClusterFacts) -> None:
        self._by_name = {(ns, pod.name): pod for ns, pods in snapshot.pods.items() for pod in pods.values()}
        self._by_address: dict[str, Pod] = {}
        for pod in self._by_name.values():
            # A hostNetwork pod's address is its node's, and tells nothing of the pod.
            if not pod.host_network and not pod.finished:
                self._by_address.update((ip, pod) for ip in pod.ips)
        self._services: dict[str, Service] = {
            ip: service
            for each in snapshot.services.values()
            for service in each.values()
            for ip in (*service.cluster_ips, *(entry.ip for entry in service.published if entry.ip))
        }
        self._api = {ip for each in facts.api_server for endpoint in each.endpoints for ip in endpoint.addresses}
        self._api_service = facts.api_server_service
        self._nodes = facts.node_addresses
        self._snat: tuple[Network, ...] = facts.snat
        self._pod_ranges = (*facts.pod_ranges.excluded, *facts.pod_ranges.unexpected)
        self.snapshot = snapshot
        #: IPv4 ranges as numbers: asked for each of millions of strangers.
        self._snat_v4 = _as_numbers(self._snat)
        self._pods_v4 = _as_numbers(self._pod_ranges)

    def pod(self, end: End) -> Pod | None:
        if end.namespace and end.pod:
            found = self._by_name.get((end.namespace, end.pod))
            if found is not None:
                return found
            if end.pod.endswith("*"):
                return self._like(end.namespace, end.pod[:-1])
        return self._by_address.get(end.address)

    def _like(self, namespace: str, prefix: str) -> Pod | None:
        """A pod of the replicas that Calico names together, `web-7d9c5b6f-*`."""
        pods = self.snapshot.pods.get(namespace, {})
        return next((pods[name] for name in sorted(pods) if name.startswith(prefix)), None)

    def labels(self, end: End) -> tuple[tuple[str, str], ...]:
        """The pod's labels in the log, without those of Cilium's own and those that tell replicas apart."""
        pairs = (each.partition("=") for each in end.labels)
        return tuple(
            sorted(
                (key, value)
                for key, _, value in pairs
                if not key.startswith(("io.cilium.", "io.kubernetes.", "reserved:")) and key not in REPLICA_LABELS
            )
        )

    def peer(self, end: End) -> Peer:
        pod = self.pod(end)
        if pod is not None and not pod.host_network:
            return _workload(pod)
        if end.namespace and (end.pod or end.labels):
            return Peer("pod", "", end.namespace, self.labels(end))
        if any(each in NODES for each in end.labels):
            return Peer("node", end.address)
        return self._address(end.address)

    def callee(self, end: End, protocol: str, port: int) -> tuple[Peer, int]:
        """Who was called, at which port of the pods: a Service's address stands for its pods and their target port."""
        if "reserved:kube-apiserver" in end.labels or end.address in self._api:
            return API_SERVER, port
        service = self._services.get(end.address)
        if service is None or self.pod(end) is not None:
            return self.peer(end), port
        if self._api_service is not None and service.ref == self._api_service.ref:
            return API_SERVER, port
        target = next((p.target_port for p in service.ports if (p.protocol, p.port) == (protocol, port)), port)
        if not service.selector:
            return Peer("service", str(service.ref)), port
        labels = tuple(sorted(service.selector))
        for pod in self.snapshot.pods.get(service.namespace, {}).values():
            if set(labels) <= set(pod.labels):
                if isinstance(target, str):
                    target = next((each.port for each in pod.ports if each.name == target), port)
                return _workload(pod), target if isinstance(target, int) else port
        return Peer("pod", "", service.namespace, labels), target if isinstance(target, int) else port

    def _address(self, text: str) -> Peer:
        try:
            number = int.from_bytes(inet_pton(AF_INET, text), "big")
        except (OSError, ValueError):
            return self._any_address(text)
        if text in self._nodes or any(low <= number <= high for low, high in self._snat_v4):
            return Peer("node", text)
        if any(low <= number <= high for low, high in self._pods_v4):
            return Peer("gone", text)
        return Peer("address", text)

    def _any_address(self, text: str) -> Peer:
        found = address(text)
        if found is None:
            return Peer("outside")
        mapped = getattr(found, "ipv4_mapped", None)
        plain: Address = mapped or found
        shown = str(plain)
        if shown != text and shown in self._by_address:
            return _workload(self._by_address[shown])
        if shown in self._nodes or any(plain in each for each in self._snat):
            return Peer("node", shown)
        if any(plain in each for each in self._pod_ranges):
            return Peer("gone", shown)
        return Peer("address", shown)


def _workload(pod: Pod) -> Peer:
    return Peer("pod", "", pod.namespace, tuple(each for each in pod.labels if each[0] not in REPLICA_LABELS))


def _as_numbers(networks: Iterable[Network]) -> tuple[tuple[int, int], ...]:
    return tuple((int(each.network_address), int(each.broadcast_address)) for each in networks if each.version == 4)
