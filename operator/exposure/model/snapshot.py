"""Everything known about one cluster at one moment, as values: the input of `resolve`.

The operator's store and the offline reader both offer their objects in this shape. Namespaced kinds are mapped
namespace → name → value, cluster-scoped ones name → value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from exposure.model.config import Config
from exposure.model.intent import ClusterExposurePolicy, ExposurePolicy
from exposure.model.objects import (
    EndpointSlice,
    Gateway,
    GatewayClass,
    Ingress,
    IngressClass,
    IPPool,
    Namespace,
    Node,
    Pod,
    Ref,
    ReferenceGrant,
    Route,
    Service,
    Webhook,
)
from exposure.networkpolicy.values import NetworkPolicy

V = TypeVar("V")
ByNamespace: TypeAlias = Mapping[str, Mapping[str, V]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    config: Config = field(default_factory=Config)
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    services: ByNamespace[Service] = field(default_factory=dict)
    endpoint_slices: ByNamespace[EndpointSlice] = field(default_factory=dict)
    pods: ByNamespace[Pod] = field(default_factory=dict)
    network_policies: ByNamespace[NetworkPolicy] = field(default_factory=dict)
    exposure_policies: ByNamespace[ExposurePolicy] = field(default_factory=dict)
    cluster_exposure_policies: Mapping[str, ClusterExposurePolicy] = field(default_factory=dict)
    ingresses: ByNamespace[Ingress] = field(default_factory=dict)
    ingress_classes: Mapping[str, IngressClass] = field(default_factory=dict)
    gateways: ByNamespace[Gateway] = field(default_factory=dict)
    gateway_classes: Mapping[str, GatewayClass] = field(default_factory=dict)
    http_routes: ByNamespace[Route] = field(default_factory=dict)
    grpc_routes: ByNamespace[Route] = field(default_factory=dict)
    tls_routes: ByNamespace[Route] = field(default_factory=dict)
    tcp_routes: ByNamespace[Route] = field(default_factory=dict)
    reference_grants: ByNamespace[ReferenceGrant] = field(default_factory=dict)
    ip_pools: Mapping[str, IPPool] = field(default_factory=dict)
    validating_webhooks: Mapping[str, Webhook] = field(default_factory=dict)
    mutating_webhooks: Mapping[str, Webhook] = field(default_factory=dict)

    def slices_of(self, service: Ref) -> tuple[EndpointSlice, ...]:
        """The EndpointSlices of a Service, by name."""
        here = sorted(self.endpoint_slices.get(service.namespace, {}).items())
        return tuple(endpoint_slice for _, endpoint_slice in here if endpoint_slice.service == service.name)

    def pods_of(self, service: Service) -> Iterator[Pod]:
        """The pods that a Service selects, without those that have finished."""
        return service.selected(self.pods.get(service.namespace, {}).values())
