"""The objects of the cluster that decide about exposure, with the fields that matter, as frozen values."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exposure.labels import LabelSelector, Pairs
from exposure.networkpolicy.values import Owner


@dataclass(frozen=True, slots=True)
class Ref:
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Namespaced:
    """What every object in a namespace has."""

    namespace: str
    name: str

    @property
    def ref(self) -> Ref:
        return Ref(self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class ContainerPort:
    name: str
    protocol: str
    port: int
    host_port: int = 0


@dataclass(frozen=True, slots=True)
class Pod(Namespaced):
    labels: Pairs = ()
    ips: tuple[str, ...] = ()
    node: str = ""
    host_network: bool = False
    ports: tuple[ContainerPort, ...] = ()
    ready: bool = False
    finished: bool = False


@dataclass(frozen=True, slots=True)
class ServicePort:
    name: str
    protocol: str
    port: int
    target_port: int | str
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class PublishedAddress:
    """One entry of status.loadBalancer.ingress: an IP or a host name; `ip_mode` is VIP where unset."""

    ip: str = ""
    hostname: str = ""
    ip_mode: str = "VIP"

    def __str__(self) -> str:
        return self.ip or self.hostname


@dataclass(frozen=True, slots=True)
class Service(Namespaced):
    type: str = "ClusterIP"
    selector: Pairs | None = None
    ports: tuple[ServicePort, ...] = ()
    cluster_ips: tuple[str, ...] = ()
    ip_families: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    load_balancer_class: str | None = None
    source_ranges: tuple[str, ...] = ()
    external_traffic_policy: str = "Cluster"
    allocates_node_ports: bool = True
    published: tuple[PublishedAddress, ...] = ()
    annotations: Pairs = ()
    labels: Pairs = ()
    owners: tuple[Owner, ...] = ()
    uid: str = ""
    deleting: bool = False

    @property
    def pod_selector(self) -> LabelSelector | None:
        """None if it selects no pods by itself."""
        return LabelSelector(self.selector) if self.selector else None

    def selected(self, pods: Iterable[Pod]) -> Iterator[Pod]:
        """Those of the pods of its namespace that it selects and that have not finished."""
        selector = self.pod_selector
        if selector is None:
            return iter(())
        return (pod for pod in pods if not pod.finished and selector.matches(pod.labels))

    @property
    def has_node_ports(self) -> bool:
        """Whether its ports have node ports: allocated now, or kept from before although none are allocated now."""
        return self.allocates_node_ports or any(port.node_port for port in self.ports)

    def annotation(self, key: str) -> str | None:
        return next((value for name, value in self.annotations if name == key), None)


@dataclass(frozen=True, slots=True)
class EndpointPort:
    name: str
    protocol: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    addresses: tuple[str, ...]
    ready: bool = True
    pod: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class EndpointSlice(Namespaced):
    service: str
    address_type: str
    ports: tuple[EndpointPort, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Namespace:
    name: str
    labels: Pairs = ()
    mode: str | None = None
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    internal_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    provider_id: str = ""
    kubelet_version: str = ""
    annotations: Pairs = ()


@dataclass(frozen=True, slots=True)
class IPPool:
    """A Calico pool of pod addresses (crd.projectcalico.org/v1 or projectcalico.org/v3)."""

    name: str
    cidr: str


@dataclass(frozen=True, slots=True)
class BackendPort:
    """A Service port as a route names it: by number or by name; both None is a route that leaves it to the Service."""

    number: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    service: Ref
    port: BackendPort


@dataclass(frozen=True, slots=True)
class Ingress(Namespaced):
    ingress_class: str | None = None
    backends: tuple[Backend, ...] = ()
    published: tuple[PublishedAddress, ...] = ()
    annotations: Pairs = ()
    uid: str = ""


@dataclass(frozen=True, slots=True)
class IngressClass:
    name: str
    controller: str
    default: bool = False
    created: str = ""


@dataclass(frozen=True, slots=True)
class GatewayClass:
    name: str
    controller: str


@dataclass(frozen=True, slots=True)
class RouteKind:
    group: str
    kind: str


@dataclass(frozen=True, slots=True)
class Listener:
    name: str
    port: int
    protocol: str
    hostname: str = ""
    allowed_from: str = "Same"
    allowed_selector: LabelSelector | None = None
    allowed_kinds: tuple[RouteKind, ...] = ()


@dataclass(frozen=True, slots=True)
class Gateway(Namespaced):
    gateway_class: str
    listeners: tuple[Listener, ...] = ()
    published: tuple[PublishedAddress, ...] = ()
    annotations: Pairs = ()
    uid: str = ""
    api_version: str = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class ParentRef:
    gateway: Ref
    section: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Route(Namespaced):
    """An HTTPRoute, GRPCRoute, TLSRoute or TCPRoute: the Gateways to which it is attached, and its backends."""

    kind: str
    hostnames: tuple[str, ...] = ()
    parents: tuple[ParentRef, ...] = ()
    backends: tuple[Backend, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhook:
    """A Validating- or MutatingWebhookConfiguration: the Services that the API server calls, each with its port."""

    kind: str
    name: str
    services: tuple[tuple[Ref, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ReferenceGrant(Namespaced):
    """Lets routes of some namespaces lead to Services of this one. `services` empty: every Service."""

    sources: tuple[tuple[str, str], ...] = ()
    services: tuple[str, ...] = ()
    every_service: bool = False
