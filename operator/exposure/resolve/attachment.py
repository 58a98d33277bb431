"""Which routes are attached to a Gateway, by the rules of the Gateway API.

https://gateway-api.sigs.k8s.io/reference/spec/ (Listener.allowedRoutes, ParentReference, ReferenceGrant, Hostname)
"""

from collections.abc import Iterator

from exposure.model.objects import Backend, Gateway, Listener, ParentRef, ReferenceGrant, Route, RouteKind
from exposure.model.snapshot import Snapshot
from exposure.parse.routes import GATEWAY_GROUP

#: What a listener accepts where allowedRoutes.kinds is unset.
KINDS_BY_PROTOCOL = {
    "HTTP": ("HTTPRoute", "GRPCRoute"),
    "HTTPS": ("HTTPRoute", "GRPCRoute"),
    "TLS": ("TLSRoute", "TCPRoute"),
    "TCP": ("TCPRoute",),
}


def attached_backends(snapshot: Snapshot, gateway: Gateway) -> Iterator[tuple[Backend, str, bool]]:
    """Each backend that the Gateway's routes lead to, with the route and whether ReferenceGrants permit it."""
    for route in routes(snapshot):
        if any(_attaches(snapshot, gateway, route, parent) for parent in route.parents):
            for backend in route.backends:
                yield backend, f"{route.kind} {route.ref}", _permitted(snapshot, route, backend)


def routes(snapshot: Snapshot) -> Iterator[Route]:
    """Every route of every kind, in a stable order."""
    for by_namespace in (snapshot.http_routes, snapshot.grpc_routes, snapshot.tls_routes, snapshot.tcp_routes):
        for namespace in sorted(by_namespace):
            for name in sorted(by_namespace[namespace]):
                yield by_namespace[namespace][name]


def _attaches(snapshot: Snapshot, gateway: Gateway, route: Route, parent: ParentRef) -> bool:
    return parent.gateway == gateway.ref and any(
        parent.section in (None, listener.name)
        and parent.port in (None, listener.port)
        and _kind_allowed(listener, route)
        and _namespace_allowed(snapshot, gateway, listener, route)
        and _hostnames_meet(listener.hostname, route)
        for listener in gateway.listeners
    )


def _kind_allowed(listener: Listener, route: Route) -> bool:
    if listener.allowed_kinds:
        return RouteKind(GATEWAY_GROUP, route.kind) in listener.allowed_kinds
    # A protocol that the API does not define says nothing about kinds: its implementation decides.
    return route.kind in KINDS_BY_PROTOCOL.get(listener.protocol, (route.kind,))


def _namespace_allowed(snapshot: Snapshot, gateway: Gateway, listener: Listener, route: Route) -> bool:
    match listener.allowed_from:
        case "All":
            return True
        case "Same":
            return route.namespace == gateway.namespace
        case "Selector":
            namespace = snapshot.namespaces.get(route.namespace)
            return (
                namespace is not None
                and listener.allowed_selector is not None
                and listener.allowed_selector.matches(namespace.labels)
            )
        case _:
            return False


def _hostnames_meet(listener: str, route: Route) -> bool:
    if not listener or not route.hostnames or route.kind == "TCPRoute":
        return True
    return any(hostnames_meet(listener, hostname) for hostname in route.hostnames)


def hostnames_meet(left: str, right: str) -> bool:
    """Whether a host name can match both. `*.` stands for one or more labels."""
    left, right = left.lower(), right.lower()
    if left == right:
        return True
    if left.startswith("*.") and right.startswith("*."):
        return left.endswith(right[1:]) or right.endswith(left[1:])
    wildcard, exact = (left, right) if left.startswith("*.") else (right, left)
    return wildcard.startswith("*.") and exact.endswith(wildcard[1:])


def _permitted(snapshot: Snapshot, route: Route, backend: Backend) -> bool:
    if backend.service.namespace == route.namespace:
        return True
    grants = snapshot.reference_grants.get(backend.service.namespace, {}).values()
    return any(_permits(grant, route, backend.service.name) for grant in grants)


def _permits(grant: ReferenceGrant, route: Route, service: str) -> bool:
    return (route.namespace, route.kind) in grant.sources and (grant.every_service or service in grant.services)
