"""Every kind that is read, in one table: where the API serves it, how it becomes a value, where that value is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exposure.fields import Raw
from exposure.networkpolicy.parse import network_policy
from exposure.parse import intent, objects, routes

GATEWAY = "gateway.networking.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
API_GROUP = "exposure.dev"
API_VERSION = f"{API_GROUP}/v1alpha1"


@dataclass(frozen=True, slots=True)
class Kind:
    """`versions` by preference; `world` names the mapping of `World`; an `optional` kind may not be installed."""

    kind: str
    group: str
    versions: tuple[str, ...]
    plural: str
    snapshot: str
    parse: Callable[[Raw], Any]
    namespaced: bool = True
    optional: bool = False

    def path(self, version: str) -> str:
        return f"/apis/{self.group}/{version}/{self.plural}" if self.group else f"/api/{version}/{self.plural}"


KINDS: tuple[Kind, ...] = (
    Kind("Namespace", "", ("v1",), "namespaces", "namespaces", objects.namespace, namespaced=False),
    Kind("Node", "", ("v1",), "nodes", "nodes", objects.node, namespaced=False),
    Kind("Service", "", ("v1",), "services", "services", objects.service),
    Kind("Pod", "", ("v1",), "pods", "pods", objects.pod),
    Kind("EndpointSlice", "discovery.k8s.io", ("v1",), "endpointslices", "endpoint_slices", objects.endpoint_slice),
    Kind(
        "NetworkPolicy",
        "networking.k8s.io",
        ("v1",),
        "networkpolicies",
        "network_policies",
        network_policy,
    ),
    Kind("Ingress", "networking.k8s.io", ("v1",), "ingresses", "ingresses", routes.ingress),
    Kind(
        "IngressClass",
        "networking.k8s.io",
        ("v1",),
        "ingressclasses",
        "ingress_classes",
        routes.ingress_class,
        namespaced=False,
    ),
    Kind("Gateway", GATEWAY, ("v1", "v1beta1"), "gateways", "gateways", routes.gateway, optional=True),
    Kind(
        "GatewayClass",
        GATEWAY,
        ("v1", "v1beta1"),
        "gatewayclasses",
        "gateway_classes",
        routes.gateway_class,
        namespaced=False,
        optional=True,
    ),
    Kind("HTTPRoute", GATEWAY, ("v1", "v1beta1"), "httproutes", "http_routes", routes.route, optional=True),
    Kind("GRPCRoute", GATEWAY, ("v1", "v1alpha2"), "grpcroutes", "grpc_routes", routes.route, optional=True),
    Kind("TLSRoute", GATEWAY, ("v1", "v1alpha3", "v1alpha2"), "tlsroutes", "tls_routes", routes.route, optional=True),
    Kind("TCPRoute", GATEWAY, ("v1", "v1alpha2"), "tcproutes", "tcp_routes", routes.route, optional=True),
    Kind(
        "ReferenceGrant",
        GATEWAY,
        ("v1", "v1beta1"),
        "referencegrants",
        "reference_grants",
        routes.reference_grant,
        optional=True,
    ),
    Kind(
        "IPPool",
        "crd.projectcalico.org",
        ("v1",),
        "ippools",
        "ip_pools",
        objects.ip_pool,
        namespaced=False,
        optional=True,
    ),
    Kind(
        "ValidatingWebhookConfiguration",
        ADMISSION,
        ("v1",),
        "validatingwebhookconfigurations",
        "validating_webhooks",
        objects.webhook,
        namespaced=False,
    ),
    Kind(
        "MutatingWebhookConfiguration",
        ADMISSION,
        ("v1",),
        "mutatingwebhookconfigurations",
        "mutating_webhooks",
        objects.webhook,
        namespaced=False,
    ),
    Kind("ExposurePolicy", API_GROUP, ("v1alpha1",), "exposurepolicies", "exposure_policies", intent.exposure_policy),
    Kind(
        "ClusterExposurePolicy",
        API_GROUP,
        ("v1alpha1",),
        "clusterexposurepolicies",
        "cluster_exposure_policies",
        intent.cluster_exposure_policy,
        namespaced=False,
    ),
)
