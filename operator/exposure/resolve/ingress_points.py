"""Ingress points: each Ingress and Gateway with the proxy that serves it, found by its address, and its routes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from exposure.catalog.providers import BY_INGRESS_CLASS, BY_INGRESS_CONTROLLER, DEFAULT_INGRESSES
from exposure.grouping import grouped
from exposure.labels import NAMESPACE_LABEL, Pairs, selecting
from exposure.model.objects import Backend, Gateway, Ingress, IngressClass, PublishedAddress, Ref, Service
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import Owner, Peer
from exposure.resolve.attachment import attached_backends

GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"
#: Envoy Gateway runs its data planes in its own namespace: https://gateway.envoyproxy.io/docs/tasks/operations/deployment-mode/
OWNING_GATEWAY_LABELS = ("gateway.envoyproxy.io/owning-gateway-namespace", "gateway.envoyproxy.io/owning-gateway-name")
PART_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/part-of")
INGRESS_PORTS = frozenset({80, 443})

#: `pods`: the proxy's pods call the backend; `nodes`: a proxy that shares its node's network; `cloud`: a load balancer
#: without pods (`profile`); `ambiguous` and `missing`: the proxy is not known, and nothing is opened for it.
ProxyKind: TypeAlias = Literal["pods", "nodes", "cloud", "ambiguous", "missing"]


@dataclass(frozen=True, slots=True)
class Proxy:
    """`profile`, `controller`: the load balancer's row, and the controller of the class by which it is chosen.

    `detail`: a sentence that says why it is this proxy, or why the proxy is not known.
    """

    kind: ProxyKind
    peer: Peer | None = None
    service: Ref | None = None
    profile: str = ""
    controller: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class IngressPointRef:
    """`kind` is Ingress or Gateway; `annotations`: those of the object by which its load balancer delivers."""

    kind: str
    namespace: str
    name: str
    annotations: Pairs = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class BackendRoute:
    """One way from an ingress point to a backend Service. `route` is the object that leads there.

    `permitted` is False where the route crosses namespaces and no ReferenceGrant permits it.
    """

    ingress_point: IngressPointRef
    backend: Backend
    proxy: Proxy
    route: str
    permitted: bool = True

    def __str__(self) -> str:
        return f"{self.route} leads here from {self.ingress_point}"


@dataclass(frozen=True, slots=True)
class IngressPoint:
    ref: IngressPointRef
    owner: Owner
    addresses: tuple[PublishedAddress, ...]
    proxy: Proxy
    routes: tuple[BackendRoute, ...]


def find_ingress_points(
    snapshot: Snapshot, provider: str | None, node_addresses: frozenset[str]
) -> dict[str, tuple[IngressPoint, ...]]:
    """Every Ingress and Gateway of the cluster, by namespace, sorted by kind and name."""
    ingresses = [ingress for by_name in snapshot.ingresses.values() for ingress in by_name.values()]
    gateways = [gateway for by_name in snapshot.gateways.values() for gateway in by_name.values()]
    if not ingresses and not gateways:
        return {}
    proxies = _Proxies(snapshot, _load_balancers_by_address(snapshot), node_addresses)
    default_class = default_ingress_class(snapshot.ingress_classes.values())
    made = _services_made_for_gateways(snapshot) if gateways else {}
    points = [
        *(_ingress(ingress, proxies, provider, default_class) for ingress in ingresses),
        *(_gateway(gateway, proxies, made.get(gateway.ref, ())) for gateway in gateways),
    ]
    in_order = sorted(points, key=lambda point: (point.ref.namespace, point.ref.kind, point.ref.name))
    return grouped((point.ref.namespace, point) for point in in_order)


def routes_by_backend(points: Mapping[str, tuple[IngressPoint, ...]]) -> dict[Ref, tuple[BackendRoute, ...]]:
    """The permitted routes to each backend Service."""
    routes = (route for here in points.values() for point in here for route in point.routes)
    return grouped((route.backend.service, route) for route in routes if route.permitted)


def default_ingress_class(classes: Iterable[IngressClass]) -> IngressClass | None:
    """The newest of the default classes, then the first by name, as the API server chooses.

    kubernetes/kubernetes, plugin/pkg/admission/network/defaultingressclass/admission.go, getDefaultClass
    """
    by_name = sorted((known for known in classes if known.default), key=lambda known: known.name)
    return max(by_name, key=lambda known: known.created, default=None)


def _ingress(
    ingress: Ingress, proxies: "_Proxies", provider: str | None, default_class: IngressClass | None
) -> IngressPoint:
    class_name = ingress.ingress_class or (default_class.name if default_class else None)
    known = proxies.snapshot.ingress_classes.get(class_name or "")
    controller = known.controller if known else ""
    ref = IngressPointRef("Ingress", ingress.namespace, ingress.name, ingress.annotations)
    proxy = _cloud_proxy(class_name, controller, provider) or proxies.choose(
        proxies.serving(ingress.published, INGRESS_PORTS), ingress.published, controller
    )
    routes = tuple(BackendRoute(ref, backend, proxy, f"Ingress {ingress.ref}") for backend in ingress.backends)
    owner = Owner("networking.k8s.io/v1", "Ingress", ingress.name, ingress.uid)
    return IngressPoint(ref, owner, ingress.published, proxy, routes)


def _cloud_proxy(class_name: str | None, controller: str, provider: str | None) -> Proxy | None:
    """The load balancer without pods that serves this class, or the Ingresses of this provider without a class."""
    if class_name is None:
        profile = DEFAULT_INGRESSES.get(provider or "")
    else:
        profile = BY_INGRESS_CONTROLLER.get(controller) or BY_INGRESS_CLASS.get(class_name)
    return None if profile is None else Proxy("cloud", profile=profile.slug, controller=controller)


def _gateway(gateway: Gateway, proxies: "_Proxies", made_for_it: tuple[Service, ...]) -> IngressPoint:
    known = proxies.snapshot.gateway_classes.get(gateway.gateway_class)
    controller = known.controller if known else ""
    proxy = _cloud_proxy(gateway.gateway_class, controller, None)
    ref = IngressPointRef("Gateway", gateway.namespace, gateway.name, gateway.annotations)
    if proxy is None:
        listening = frozenset(listener.port for listener in gateway.listeners)
        candidates = proxies.serving(gateway.published, listening)
        # A Service made for this Gateway beats one found by an address, which may be shared or not published yet.
        candidates = (
            tuple(service for service in candidates if service in made_for_it)
            or candidates
            or tuple(service for service in made_for_it if any(port.port in listening for port in service.ports))
        )
        proxy = proxies.choose(candidates, gateway.published, controller)
    routes = tuple(
        BackendRoute(ref, backend, proxy, route, permitted)
        for backend, route, permitted in attached_backends(proxies.snapshot, gateway)
    )
    owner = Owner(gateway.api_version, "Gateway", gateway.name, gateway.uid)
    return IngressPoint(ref, owner, gateway.published, proxy, routes)


@dataclass(frozen=True, slots=True)
class _Proxies:
    """The Services that may be the proxy of an ingress point."""

    snapshot: Snapshot
    by_address: Mapping[str, tuple[Service, ...]]
    node_addresses: frozenset[str]

    def serving(self, published: Iterable[PublishedAddress], ports: frozenset[int]) -> tuple[Service, ...]:
        """LoadBalancer Services that publish one of the addresses and serve one of the ports, sorted by name."""
        serving = {
            service.ref: service
            for address in published
            for service in self.by_address.get(str(address), ())
            if any(port.port in ports for port in service.ports)
        }
        return tuple(serving[ref] for ref in sorted(serving, key=str))

    def choose(
        self, candidates: tuple[Service, ...], published: tuple[PublishedAddress, ...], controller: str
    ) -> Proxy:
        """Of several candidates, those of the class's controller; one that is left is the proxy."""
        if len(candidates) > 1 and controller:
            part = controller.rsplit("/", 1)[-1]
            of_controller = tuple(service for service in candidates if part in self._part_names(service))
            candidates = of_controller or candidates
        if len(candidates) > 1:
            names = ", ".join(str(service.ref) for service in candidates)
            return Proxy("ambiguous", detail=f"Services that publish it: {names}.")
        if candidates:
            return self._proxy_of(candidates[0])
        if any(str(address) in self.node_addresses for address in published):
            return Proxy("nodes", detail="its address is a node's")
        return Proxy("missing", detail=f"Published addresses: {', '.join(map(str, published)) or 'none yet'}.")

    def _proxy_of(self, service: Service) -> Proxy:
        selector = service.pod_selector
        if selector is None:
            return Proxy("missing", service=service.ref, detail=f"Service {service.ref} has no selector.")
        pods = tuple(self.snapshot.pods_of(service))
        if pods and all(pod.host_network for pod in pods):
            return Proxy("nodes", service=service.ref, detail=f"the pods of {service.ref} use hostNetwork")
        return Proxy(
            "pods", Peer(pods=selector, namespaces=selecting({NAMESPACE_LABEL: service.namespace})), service.ref
        )

    def _part_names(self, service: Service) -> Iterator[str]:
        """The names in the labels of a Service's pods and in its selector that say what they are part of."""
        for labels in (service.selector or (), *(pod.labels for pod in self.snapshot.pods_of(service))):
            yield from (value for key, value in labels if key in PART_LABELS)


def _load_balancers_by_address(snapshot: Snapshot) -> dict[str, tuple[Service, ...]]:
    """LoadBalancer Services by each address or host name that they publish."""
    services = (service for here in snapshot.services.values() for service in here.values())
    return grouped(
        (str(address), service)
        for service in services
        if service.type == "LoadBalancer"
        for address in service.published
    )


def _services_made_for_gateways(snapshot: Snapshot) -> dict[Ref, tuple[Service, ...]]:
    """The Services that are owned by a Gateway or labelled for it, by that Gateway, sorted by name."""
    services = (service for _, here in sorted(snapshot.services.items()) for _, service in sorted(here.items()))
    return grouped((gateway, service) for service in services for gateway in gateways_of(service))


def gateways_of(service: Service) -> set[Ref]:
    """The Gateways to whose data plane this Service belongs: by owner, or by labels of the implementation."""
    labels = dict(service.labels)
    gateways = {Ref(service.namespace, owner.name) for owner in service.owners if owner.kind == "Gateway"}
    if GATEWAY_NAME_LABEL in labels:
        gateways.add(Ref(service.namespace, labels[GATEWAY_NAME_LABEL]))
    if all(key in labels for key in OWNING_GATEWAY_LABELS):
        gateways.add(Ref(*(labels[key] for key in OWNING_GATEWAY_LABELS)))
    return gateways
