"""Every kind that is read, in one table: where the API serves it, how it becomes a value, where that value is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from exposure.fields import Raw
from exposure.networkpolicy.parse import network_policy
from exposure.parse import intent, objects, routes

V1 = ("v1",)
NETWORKING = "networking.k8s.io"
GATEWAY = "gateway.networking.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
API_GROUP = "exposure.dev"
API_VERSION = f"{API_GROUP}/v1alpha1"


@dataclass(frozen=True, slots=True)
class Kind:
    """`versions` by preference. `snapshot`: the mapping of `Snapshot` that holds it. `optional`: it may be missing."""

    kind: str
    group: str
    versions: tuple[str, ...]
    snapshot: str
    parse: Callable[[Raw], Any]
    namespaced: bool = True
    optional: bool = False

    @property
    def plural(self) -> str:
        """The resource's name in paths: the kind in the plural, in lower case."""
        name = self.kind.lower()
        if name.endswith("s"):
            return f"{name}es"
        return f"{name[:-1]}ies" if name.endswith("cy") else f"{name}s"

    def path(self, version: str) -> str:
        return f"/apis/{self.group}/{version}/{self.plural}" if self.group else f"/api/{version}/{self.plural}"


_ClusterScoped = partial(Kind, namespaced=False)
_Optional = partial(Kind, optional=True)

KINDS: tuple[Kind, ...] = (
    _ClusterScoped("Namespace", "", V1, "namespaces", objects.namespace),
    _ClusterScoped("Node", "", V1, "nodes", objects.node),
    Kind("Service", "", V1, "services", objects.service),
    Kind("Pod", "", V1, "pods", objects.pod),
    Kind("EndpointSlice", "discovery.k8s.io", V1, "endpoint_slices", objects.endpoint_slice),
    Kind("NetworkPolicy", NETWORKING, V1, "network_policies", network_policy),
    Kind("Ingress", NETWORKING, V1, "ingresses", routes.ingress),
    _ClusterScoped("IngressClass", NETWORKING, V1, "ingress_classes", routes.ingress_class),
    _Optional("Gateway", GATEWAY, ("v1", "v1beta1"), "gateways", routes.gateway),
    _Optional("GatewayClass", GATEWAY, ("v1", "v1beta1"), "gateway_classes", routes.gateway_class, namespaced=False),
    _Optional("HTTPRoute", GATEWAY, ("v1", "v1beta1"), "http_routes", routes.route),
    _Optional("GRPCRoute", GATEWAY, ("v1", "v1alpha2"), "grpc_routes", routes.route),
    _Optional("TLSRoute", GATEWAY, ("v1", "v1alpha3", "v1alpha2"), "tls_routes", routes.route),
    _Optional("TCPRoute", GATEWAY, ("v1", "v1alpha2"), "tcp_routes", routes.route),
    _Optional("ReferenceGrant", GATEWAY, ("v1", "v1beta1"), "reference_grants", routes.reference_grant),
    _Optional("IPPool", "crd.projectcalico.org", V1, "ip_pools", objects.ip_pool, namespaced=False),
    _ClusterScoped("ValidatingWebhookConfiguration", ADMISSION, V1, "validating_webhooks", objects.webhook),
    _ClusterScoped("MutatingWebhookConfiguration", ADMISSION, V1, "mutating_webhooks", objects.webhook),
    Kind("ExposurePolicy", API_GROUP, ("v1alpha1",), "exposure_policies", intent.exposure_policy),
    _ClusterScoped(
        "ClusterExposurePolicy", API_GROUP, ("v1alpha1",), "cluster_exposure_policies", intent.cluster_exposure_policy
    ),
)
