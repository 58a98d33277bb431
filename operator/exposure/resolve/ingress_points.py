"""Ingresses and Gateways as entry points: which proxy stands behind each, found by its address, and where its routes lead."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from exposure.catalog.choices import GKE_MULTI_CLUSTER_SUFFIX, L7_BY_CLASS, L7_BY_CONTROLLER
from exposure.labels import NAMESPACE_LABEL, selecting
from exposure.model.objects import Backend, Gateway, Ingress, PublishedAddress, Ref, Service
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import Owner, Peer
from exposure.resolve.attachment import attached_backends

GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"
#: Envoy Gateway runs its data planes in its own namespace: https://gateway.envoyproxy.io/docs/tasks/operations/deployment-mode/
OWNING_GATEWAY_LABELS = ("gateway.envoyproxy.io/owning-gateway-namespace", "gateway.envoyproxy.io/owning-gateway-name")
PART_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/part-of")
INGRESS_PORTS = frozenset({80, 443})

#: `pods`: the proxy's pods call the backend; `nodes`: a proxy that shares its node's network; `cloud`: a load balancer
#: without pods (`profile`); `ambiguous` and `missing`: nobody can be named, and nothing is granted.
ProxyKind: TypeAlias = Literal["pods", "nodes", "cloud", "ambiguous", "missing"]


@dataclass(frozen=True, slots=True)
class Proxy:
    kind: ProxyKind
    peer: Peer | None = None
    service: Ref | None = None
    profile: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RouteGrant:
    """One way from an entry point to a backend: `permitted` is False where a ReferenceGrant is missing."""

    front: "FrontRef"
    backend: Backend
    proxy: Proxy
    route: str
    permitted: bool = True


@dataclass(frozen=True, slots=True)
class FrontRef:
    entry_point: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.entry_point} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Front:
    ref: FrontRef
    owner: Owner
    addresses: tuple[PublishedAddress, ...]
    listening: tuple[int, ...]
    proxy: Proxy
    grants: tuple[RouteGrant, ...]
    annotations: tuple[tuple[str, str], ...] = ()


def fronts_of(snapshot: Snapshot, provider: str | None, node_addresses: frozenset[str]) -> dict[str, tuple[Front, ...]]:
    """Every Ingress and Gateway of the cluster, by namespace, in the order of their names."""
    if not any(snapshot.ingresses.values()) and not any(snapshot.gateways.values()):
        return {}
    publishers, made = _publishers(snapshot), _made_for_gateways(snapshot)
    found: dict[str, list[Front]] = {}
    for ingresses in snapshot.ingresses.values():
        for ingress in ingresses.values():
            found.setdefault(ingress.namespace, []).append(
                _ingress_front(snapshot, ingress, publishers, provider, node_addresses)
            )
    for gateways in snapshot.gateways.values():
        for gateway in gateways.values():
            own = made.get(gateway.ref, ())
            found.setdefault(gateway.namespace, []).append(
                _gateway_front(snapshot, gateway, publishers, own, node_addresses)
            )
    return {
        ns: tuple(sorted(fronts, key=lambda f: (f.ref.entry_point, f.ref.name))) for ns, fronts in sorted(found.items())
    }


def grants_by_backend(fronts: Mapping[str, tuple[Front, ...]]) -> dict[Ref, tuple[RouteGrant, ...]]:
    by_backend: dict[Ref, list[RouteGrant]] = {}
    for each in (grant for entry_points in fronts.values() for front in entry_points for grant in front.grants):
        if each.permitted:
            by_backend.setdefault(each.backend.service, []).append(each)
    return {backend: tuple(grants) for backend, grants in by_backend.items()}


def _ingress_front(
    snapshot: Snapshot,
    ingress: Ingress,
    publishers: Mapping[str, tuple[Service, ...]],
    provider: str | None,
    node_addresses: frozenset[str],
) -> Front:
    class_name = ingress.ingress_class or next(
        (each.name for each in snapshot.ingress_classes.values() if each.default), None
    )
    known = snapshot.ingress_classes.get(class_name or "")
    controller = known.controller if known else ""
    cloud = L7_BY_CONTROLLER.get(controller) or L7_BY_CLASS.get(class_name or "")
    if class_name is None and provider == "gce":
        cloud = L7_BY_CLASS["gce"]
    ref = FrontRef("Ingress", ingress.namespace, ingress.name)
    if cloud:
        proxy = Proxy("cloud", profile=cloud, detail=f"class {class_name or 'gce'}")
    else:
        candidates = _serving(publishers, ingress.published, INGRESS_PORTS)
        proxy = _choose(snapshot, candidates, ingress.published, node_addresses, _last_part(controller))
    grants = tuple(RouteGrant(ref, backend, proxy, f"Ingress {ingress.ref}") for backend in ingress.backends)
    owner = Owner("networking.k8s.io/v1", "Ingress", ingress.name, ingress.uid)
    listening = (80, 443) if ingress.tls else (80,)
    return Front(ref, owner, ingress.published, listening, proxy, grants, ingress.annotations)


def _gateway_front(
    snapshot: Snapshot,
    gateway: Gateway,
    publishers: Mapping[str, tuple[Service, ...]],
    own: tuple[Service, ...],
    node_addresses: frozenset[str],
) -> Front:
    ref = FrontRef("Gateway", gateway.namespace, gateway.name)
    known = snapshot.gateway_classes.get(gateway.gateway_class)
    controller = known.controller if known else ""
    cloud = L7_BY_CLASS.get(gateway.gateway_class.removesuffix(GKE_MULTI_CLUSTER_SUFFIX)) or L7_BY_CONTROLLER.get(
        controller
    )
    listening = tuple(sorted({listener.port for listener in gateway.listeners}))
    if cloud:
        proxy = Proxy("cloud", profile=cloud, detail=f"class {gateway.gateway_class}")
    else:
        candidates = _serving(publishers, gateway.published, frozenset(listening))
        # Made for this Gateway beats found by its address, which others may share or which may not be published yet.
        candidates = (
            tuple(each for each in candidates if each in own)
            or candidates
            or tuple(each for each in own if any(port.port in listening for port in each.ports))
        )
        proxy = _choose(snapshot, candidates, gateway.published, node_addresses, _last_part(controller))
    grants = tuple(
        RouteGrant(ref, backend, proxy, route, permitted)
        for backend, route, permitted in attached_backends(snapshot, gateway)
    )
    owner = Owner(gateway.api_version, "Gateway", gateway.name, gateway.uid)
    return Front(ref, owner, gateway.published, listening, proxy, grants, gateway.annotations)


def _publishers(snapshot: Snapshot) -> dict[str, tuple[Service, ...]]:
    """LoadBalancer Services by each address or host name that they publish."""
    found: dict[str, list[Service]] = {}
    for services in snapshot.services.values():
        for service in services.values():
            if service.type == "LoadBalancer":
                for published in service.published:
                    found.setdefault(str(published), []).append(service)
    return {key: tuple(each) for key, each in found.items()}


def _serving(
    publishers: Mapping[str, tuple[Service, ...]], published: Iterable[PublishedAddress], ports: frozenset[int]
) -> tuple[Service, ...]:
    found: dict[Ref, Service] = {}
    for each in published:
        for service in publishers.get(str(each), ()):
            if any(port.port in ports for port in service.ports):
                found[service.ref] = service
    return tuple(found[ref] for ref in sorted(found, key=str))


def _choose(
    snapshot: Snapshot,
    candidates: tuple[Service, ...],
    published: tuple[PublishedAddress, ...],
    node_addresses: frozenset[str],
    part: str,
) -> Proxy:
    if len(candidates) > 1 and part:
        candidates = tuple(each for each in candidates if part in _part_names(snapshot, each)) or candidates
    names = ", ".join(str(each.ref) for each in candidates)
    if len(candidates) > 1:
        return Proxy("ambiguous", detail=f"Published by {names}.")
    if candidates:
        return _proxy_of(snapshot, candidates[0])
    if any(str(each) in node_addresses for each in published):
        return Proxy("nodes", detail="the entry point's address is a node's")
    shown = ", ".join(map(str, published)) or "none yet"
    return Proxy("missing", detail=f"Published addresses: {shown}.")


def _proxy_of(snapshot: Snapshot, service: Service) -> Proxy:
    if not service.selector:
        return Proxy("missing", service=service.ref, detail=f"Service {service.ref} has no selector.")
    wanted = selecting(dict(service.selector))
    pods = [
        p
        for p in snapshot.pods.get(service.namespace, {}).values()
        if not p.finished and wanted.matches(dict(p.labels))
    ]
    if pods and all(pod.host_network for pod in pods):
        return Proxy("nodes", service=service.ref, detail=f"the pods of {service.ref} share their nodes' network")
    namespaces = selecting({NAMESPACE_LABEL: service.namespace})
    return Proxy("pods", Peer(pods=wanted, namespaces=namespaces), service.ref)


def _made_for_gateways(snapshot: Snapshot) -> dict[Ref, tuple[Service, ...]]:
    """The Services that are owned by a Gateway or labelled for it, by that Gateway."""
    if not any(snapshot.gateways.values()):
        return {}
    found: dict[Ref, list[Service]] = {}
    for _, services in sorted(snapshot.services.items()):
        for _, service in sorted(services.items()):
            for gateway in gateways_of(service):
                found.setdefault(gateway, []).append(service)
    return {gateway: tuple(own) for gateway, own in found.items()}


def gateways_of(service: Service) -> set[Ref]:
    """The Gateways whose data plane this Service says it is: by owner, or by the labels of its implementation."""
    labels = dict(service.labels)
    found = {Ref(service.namespace, owner.name) for owner in service.owners if owner.kind == "Gateway"}
    if GATEWAY_NAME_LABEL in labels:
        found.add(Ref(service.namespace, labels[GATEWAY_NAME_LABEL]))
    if all(key in labels for key in OWNING_GATEWAY_LABELS):
        found.add(Ref(*(labels[key] for key in OWNING_GATEWAY_LABELS)))
    return found


def _part_names(snapshot: Snapshot, service: Service) -> Iterator[str]:
    """What the labels of a Service's pods say they are part of; the selector itself says so too."""
    wanted = dict(service.selector or ())
    yield from (value for key, value in wanted.items() if key in PART_LABELS)
    for pod in snapshot.pods.get(service.namespace, {}).values():
        labels = dict(pod.labels)
        if wanted and wanted.items() <= labels.items():
            yield from (labels[key] for key in PART_LABELS if key in labels)


def _last_part(controller: str) -> str:
    return controller.rsplit("/", 1)[-1]
