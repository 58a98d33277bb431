"""What holds for the whole cluster. It is worked out once, and every namespace reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from exposure.addresses import Network, collapsed
from exposure.catalog.cnis import CNIProfile
from exposure.catalog.egress import DNS_PORT, DNS_SERVICES, DNS_TARGETS, NODE_LOCAL_DNS_LABEL
from exposure.grouping import grouped
from exposure.model.config import Config
from exposure.model.objects import EndpointSlice, Ref, Service, Webhook
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import PolicyPort
from exposure.resolve.detection import detect_cni, detect_provider, running_agents
from exposure.resolve.ingress_points import BackendRoute, IngressPoint, find_ingress_points, routes_by_backend
from exposure.resolve.node_addresses import addresses_among_pods, snat_addresses
from exposure.resolve.pod_ranges import PodRanges, pod_ranges
from exposure.resolve.ports import known_numbers

K = TypeVar("K")
V = TypeVar("V")

API_SERVER = Ref("default", "kubernetes")
#: The facts by namespace: a change to one of them affects only some namespaces.
BY_NAMESPACE = ("ingress_points", "routes", "webhooks")


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """The API server calls the Service `service` of a namespace at `port`, because of `webhook`."""

    webhook: Webhook
    service: str
    port: int


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """`ingress_points` by their namespace; `routes` by the backend Service; `webhooks` by the called namespace.

    `snat`: the addresses that nodes use when they SNAT; `snat_among_pods`: those that lie inside pod ranges.
    """

    config: Config
    cni: CNIProfile
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
    ingress_points: Mapping[str, tuple[IngressPoint, ...]]
    routes: Mapping[Ref, tuple[BackendRoute, ...]]
    webhooks: Mapping[str, tuple[WebhookCall, ...]]

    def affected(self, previous: "ClusterFacts | None") -> frozenset[str] | None:
        """The namespaces whose outcome may differ from what `previous` led to; None: all of them."""
        if previous is None:
            return None
        for field in fields(self):
            if field.name not in BY_NAMESPACE and getattr(self, field.name) != getattr(previous, field.name):
                return None
        affected = {
            *_changed(self.ingress_points, previous.ingress_points),
            *_changed(self.webhooks, previous.webhooks),
            *(backend.namespace for backend in _changed(self.routes, previous.routes)),
        }
        # The Exposure of an ingress point shows its backends, wherever they are.
        for points in (*self.ingress_points.values(), *previous.ingress_points.values()):
            for point in points:
                if any(route.backend.service.namespace in affected for route in point.routes):
                    affected.add(point.ref.namespace)
        return frozenset(affected)


def _changed(now: Mapping[K, V], before: Mapping[K, V]) -> set[K]:
    return {key for key in {*now, *before} if now.get(key) != before.get(key)}


def cluster_facts(snapshot: Snapshot) -> ClusterFacts:
    provider, agents = detect_provider(snapshot), running_agents(snapshot)
    cni = detect_cni(snapshot, provider, agents)
    ranges, snat = pod_ranges(snapshot, cni), snat_addresses(snapshot, cni)
    node_addresses = frozenset(
        address for node in snapshot.nodes.values() for address in (*node.internal_ips, *node.external_ips)
    )
    dns_services = (snapshot.services.get(namespace, {}).get(name) for namespace, name in DNS_SERVICES)
    dns_service = next((service for service in dns_services if service is not None), None)
    ingress_points = find_ingress_points(snapshot, provider, node_addresses)
    return ClusterFacts(
        config=snapshot.config,
        cni=cni,
        provider=provider,
        kubelet_minor=max((_minor(node.kubelet_version) for node in snapshot.nodes.values()), default=(0, 0)),
        snat=collapsed(snat),
        snat_among_pods=addresses_among_pods(snat, ranges.excluded),
        pod_ranges=ranges,
        node_addresses=node_addresses,
        dns_service=dns_service,
        dns_ports=_dns_ports(snapshot, cni, dns_service) if dns_service is not None else (),
        node_local_dns=NODE_LOCAL_DNS_LABEL in agents,
        api_server=snapshot.slices_of(API_SERVER),
        api_server_service=snapshot.services.get(API_SERVER.namespace, {}).get(API_SERVER.name),
        ingress_points=ingress_points,
        routes=routes_by_backend(ingress_points),
        webhooks=webhook_calls(snapshot),
    )


def webhook_calls(snapshot: Snapshot) -> dict[str, tuple[WebhookCall, ...]]:
    """Which Services the API server calls, by namespace: validating webhooks first, each sort by name."""
    return grouped(
        (service.namespace, WebhookCall(webhook, service.name, port))
        for webhooks in (snapshot.validating_webhooks, snapshot.mutating_webhooks)
        for _, webhook in sorted(webhooks.items())
        for service, port in webhook.services
    )


def _dns_ports(snapshot: Snapshot, cni: CNIProfile, service: Service) -> tuple[PolicyPort, ...]:
    """What the DNS pods listen on, UDP and TCP: a number serves both, a name belongs to one protocol's port.

    If the CNI does not resolve names reliably, they become numbers: the known ones, else the distribution's default.
    """
    ports: set[PolicyPort] = set()
    for port in (port for port in service.ports if port.port == DNS_PORT):
        if isinstance(port.target_port, int):
            ports |= {PolicyPort(protocol, port.target_port) for protocol in ("TCP", "UDP")}
        elif cni.named_ports == "by-name":
            ports.add(PolicyPort(port.protocol, port.target_port))
        else:
            numbers = known_numbers(port, snapshot.slices_of(service.ref), snapshot.pods_of(service)) or (
                DNS_TARGETS[service.namespace],
            )
            ports |= {PolicyPort(port.protocol, number) for number in numbers}
    return tuple(sorted(ports, key=str))


def _minor(version: str) -> tuple[int, int]:
    """(1, 33) of v1.33.1-gke.100; (0, 0) where it cannot be read."""
    parts = version.lstrip("v").split(".")
    try:
        return int(parts[0]), int("".join(c for c in parts[1] if c.isdigit()))
    except (ValueError, IndexError):
        return 0, 0
