"""What holds for the whole cluster: computed once, read by every namespace."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

from exposure.addresses import Network
from exposure.catalog.cnis import Cni
from exposure.catalog.egress import DNS_PORT, DNS_SERVICES, DNS_TARGETS, NODE_LOCAL_DNS_LABEL
from exposure.model.config import Config
from exposure.model.objects import EndpointSlice, Ref, Service, Webhook
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import PolicyPort
from exposure.resolve.ingress_points import Front, RouteGrant, fronts_of, grants_by_backend
from exposure.resolve.nodes import (
    agent_names,
    among_pods,
    detect_cni,
    detect_provider,
    is_agent_namespace,
    snat_addresses,
    snat_networks,
)
from exposure.resolve.pod_ranges import PodRanges, pod_ranges
from exposure.resolve.ports import known_numbers

API_SERVER = Ref("default", "kubernetes")


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Cluster facts. `fronts` by the namespace of the entry point; `grants` by the backend Service they lead to."""

    config: Config
    cni: Cni
    provider: str | None
    kubelet_minor: tuple[int, int]
    snat: tuple[Network, ...]
    snat_among_pods: tuple[Network, ...]
    pod_ranges: PodRanges
    node_addresses: frozenset[str]
    dns_service: Service | None
    dns_ports: tuple[PolicyPort, ...]
    node_local_dns: bool
    api_server: tuple[EndpointSlice, ...]
    api_server_service: Service | None
    fronts: Mapping[str, tuple[Front, ...]]
    grants: Mapping[Ref, tuple[RouteGrant, ...]]
    #: Admission webhooks by the namespace of the Service that is called, each with its name and port.
    webhooks: Mapping[str, tuple[tuple[Webhook, str, int], ...]]

    def affected(self, previous: "ClusterFacts | None") -> frozenset[str] | None:
        """The namespaces whose outcome may differ from what `previous` led to; None: all of them."""
        if previous is None:
            return None
        by_namespace = ("fronts", "grants", "webhooks")
        for each in fields(self):
            if each.name not in by_namespace and getattr(self, each.name) != getattr(previous, each.name):
                return None
        moved = {
            ns
            for now, before in ((self.fronts, previous.fronts), (self.webhooks, previous.webhooks))
            for ns in {*now, *before}
            if now.get(ns) != before.get(ns)
        }
        for backend in {*self.grants, *previous.grants}:
            if self.grants.get(backend) != previous.grants.get(backend):
                moved.add(backend.namespace)
        for fronts in (*self.fronts.values(), *previous.fronts.values()):
            # A front's own Exposure tells of its backends, wherever they are.
            for front in fronts:
                if any(grant.backend.service.namespace in moved for grant in front.grants):
                    moved.add(front.ref.namespace)
        return frozenset(moved)


def cluster_facts(snapshot: Snapshot) -> ClusterFacts:
    provider = detect_provider(snapshot)
    cni = detect_cni(snapshot, provider)
    ranges = pod_ranges(snapshot, cni)
    node_addresses = frozenset(
        ip for node in snapshot.nodes.values() for ip in (*node.internal_ips, *node.external_ips)
    )
    dns = [snapshot.services.get(namespace, {}).get(name) for namespace, name in DNS_SERVICES]
    dns_service = next((service for service in dns if service is not None), None)
    slices = snapshot.endpoint_slices.get(API_SERVER.namespace, {}).values()
    fronts = fronts_of(snapshot, provider, node_addresses)
    return ClusterFacts(
        config=snapshot.config,
        cni=cni,
        provider=provider,
        kubelet_minor=max((_minor(node.kubelet_version) for node in snapshot.nodes.values()), default=(0, 0)),
        snat=snat_networks(snapshot, cni),
        snat_among_pods=among_pods(snat_addresses(snapshot, cni), ranges.carved),
        pod_ranges=ranges,
        node_addresses=node_addresses,
        dns_service=dns_service,
        dns_ports=_dns_ports(snapshot, cni, dns_service) if dns_service is not None else (),
        node_local_dns=any(
            NODE_LOCAL_DNS_LABEL in agent_names(pod)
            for namespace, pods in snapshot.pods.items()
            if is_agent_namespace(namespace)
            for pod in pods.values()
        ),
        api_server=tuple(sorted((s for s in slices if s.service == API_SERVER.name), key=lambda s: s.name)),
        api_server_service=snapshot.services.get(API_SERVER.namespace, {}).get(API_SERVER.name),
        fronts=fronts,
        grants=grants_by_backend(fronts),
        webhooks=webhooks_by_namespace(snapshot),
    )


def webhooks_by_namespace(snapshot: Snapshot) -> dict[str, tuple[tuple[Webhook, str, int], ...]]:
    """Which Services the API server calls, by namespace: validating webhooks first, each sort by name."""
    found: dict[str, list[tuple[Webhook, str, int]]] = {}
    for webhooks in (snapshot.validating_webhooks, snapshot.mutating_webhooks):
        for _, webhook in sorted(webhooks.items()):
            for service, port in webhook.services:
                found.setdefault(service.namespace, []).append((webhook, service.name, port))
    return {namespace: tuple(called) for namespace, called in found.items()}


def _dns_ports(snapshot: Snapshot, cni: Cni, service: Service) -> tuple[PolicyPort, ...]:
    """What the DNS pods listen on, UDP and TCP: a number serves both, a name belongs to one protocol's port.

    Where the CNI cannot be trusted with names they are resolved, or else stand for what the distribution uses.
    """
    slices = [s for s in snapshot.endpoint_slices.get(service.namespace, {}).values() if s.service == service.name]
    pods = [
        pod
        for pod in snapshot.pods.get(service.namespace, {}).values()
        if service.selector and set(service.selector) <= set(pod.labels)
    ]
    found: set[PolicyPort] = set()
    for port in (each for each in service.ports if each.port == DNS_PORT):
        if isinstance(port.target_port, int):
            found |= {PolicyPort(protocol, port.target_port) for protocol in ("TCP", "UDP")}
        elif cni.named_ports == "by-name":
            found.add(PolicyPort(port.protocol, port.target_port))
        else:
            numbers = known_numbers(port, slices, pods) or (DNS_TARGETS[service.namespace],)
            found |= {PolicyPort(port.protocol, number) for number in numbers}
    return tuple(sorted(found, key=str))


def _minor(version: str) -> tuple[int, int]:
    """(1, 33) of v1.33.1-gke.100; (0, 0) where it cannot be read."""
    parts = version.lstrip("v").split(".")
    try:
        return int(parts[0]), int("".join(c for c in parts[1] if c.isdigit()))
    except (ValueError, IndexError):
        return 0, 0


def is_system(namespace: str, config: Config) -> bool:
    """Whether no ClusterExposurePolicy reaches this namespace unless it names it."""
    return namespace == config.operator_namespace or any(
        fnmatchcase(namespace, pattern) for pattern in ("kube-*", *config.system_namespaces)
    )
