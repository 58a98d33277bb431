"""Ingresses, Gateways and their routes into values."""

from exposure.fields import Raw, integer, mapping, meta, objects, optional_text, text, texts
from exposure.model.objects import (
    Backend,
    BackendPort,
    Gateway,
    GatewayClass,
    Ingress,
    IngressClass,
    Listener,
    ParentRef,
    PublishedAddress,
    Ref,
    ReferenceGrant,
    Route,
    RouteKind,
)
from exposure.networkpolicy.parse import optional_selector
from exposure.parse.objects import annotations, place, published

GATEWAY_GROUP = "gateway.networking.k8s.io"
DEFAULT_INGRESS_CLASS = "ingressclass.kubernetes.io/is-default-class"
LEGACY_INGRESS_CLASS = "kubernetes.io/ingress.class"


def ingress(raw: Raw) -> Ingress:
    head, spec = meta(raw), mapping(raw, "spec")
    namespace, name = place(raw)
    written = [mapping(spec, "defaultBackend")]
    for rule in objects(spec, "rules"):
        written += [mapping(path, "backend") for path in objects(mapping(rule, "http"), "paths")]
    backends = (_ingress_backend(namespace, backend) for backend in written)
    legacy = text(mapping(head, "annotations"), LEGACY_INGRESS_CLASS)
    return Ingress(
        namespace,
        name,
        ingress_class=optional_text(spec, "ingressClassName") or legacy or None,
        backends=tuple(dict.fromkeys(backend for backend in backends if backend is not None)),
        published=published(raw),
        annotations=annotations(raw),
        uid=text(head, "uid"),
    )


def _ingress_backend(namespace: str, raw: Raw) -> Backend | None:
    service = mapping(raw, "service")
    name, port = text(service, "name"), mapping(service, "port")
    if not name:
        return None
    return Backend(Ref(namespace, name), BackendPort(integer(port, "number") or None, optional_text(port, "name")))


def ingress_class(raw: Raw) -> IngressClass:
    head = meta(raw)
    default = text(mapping(head, "annotations"), DEFAULT_INGRESS_CLASS) == "true"
    controller = text(mapping(raw, "spec"), "controller")
    return IngressClass(text(head, "name"), controller, default, text(head, "creationTimestamp"))


def gateway_class(raw: Raw) -> GatewayClass:
    return GatewayClass(text(meta(raw), "name"), text(mapping(raw, "spec"), "controllerName"))


def gateway(raw: Raw) -> Gateway:
    head, spec = meta(raw), mapping(raw, "spec")
    return Gateway(
        *place(raw),
        gateway_class=text(spec, "gatewayClassName"),
        listeners=tuple(map(_listener, objects(spec, "listeners"))),
        published=tuple(map(_gateway_address, objects(mapping(raw, "status"), "addresses"))),
        annotations=annotations(raw),
        uid=text(head, "uid"),
        api_version=text(raw, "apiVersion") or f"{GATEWAY_GROUP}/v1",
    )


def _gateway_address(raw: Raw) -> PublishedAddress:
    value = text(raw, "value")
    return PublishedAddress(hostname=value) if text(raw, "type") == "Hostname" else PublishedAddress(ip=value)


def _listener(raw: Raw) -> Listener:
    allowed = mapping(raw, "allowedRoutes")
    namespaces = mapping(allowed, "namespaces")
    return Listener(
        name=text(raw, "name"),
        port=integer(raw, "port"),
        protocol=text(raw, "protocol"),
        hostname=text(raw, "hostname"),
        allowed_from=text(namespaces, "from", "Same"),
        allowed_selector=optional_selector(namespaces, "selector"),
        allowed_kinds=tuple(
            RouteKind(text(entry, "group", GATEWAY_GROUP), text(entry, "kind")) for entry in objects(allowed, "kinds")
        ),
    )


def route(raw: Raw) -> Route:
    """An HTTPRoute, GRPCRoute, TLSRoute or TCPRoute. Backends that are not Services are left out."""
    spec = mapping(raw, "spec")
    namespace, name = place(raw)
    backends: list[Backend] = []
    for rule in objects(spec, "rules"):
        mirrors = [mapping(entry, "requestMirror") for entry in objects(rule, "filters")]
        for ref in (*objects(rule, "backendRefs"), *(mapping(mirror, "backendRef") for mirror in mirrors)):
            if text(ref, "name") and text(ref, "kind", "Service") == "Service" and not text(ref, "group"):
                target = Ref(text(ref, "namespace") or namespace, text(ref, "name"))
                backends.append(Backend(target, BackendPort(integer(ref, "port") or None)))
    return Route(
        namespace,
        name,
        kind=text(raw, "kind"),
        hostnames=texts(spec, "hostnames"),
        parents=tuple(
            ParentRef(
                Ref(text(ref, "namespace") or namespace, text(ref, "name")),
                optional_text(ref, "sectionName"),
                integer(ref, "port") or None,
            )
            for ref in objects(spec, "parentRefs")
            if text(ref, "kind", "Gateway") == "Gateway" and text(ref, "group", GATEWAY_GROUP) == GATEWAY_GROUP
        ),
        backends=tuple(dict.fromkeys(backends)),
    )


def reference_grant(raw: Raw) -> ReferenceGrant:
    spec = mapping(raw, "spec")
    services = [entry for entry in objects(spec, "to") if text(entry, "kind") == "Service" and not text(entry, "group")]
    return ReferenceGrant(
        *place(raw),
        sources=tuple(
            (text(entry, "namespace"), text(entry, "kind"))
            for entry in objects(spec, "from")
            if text(entry, "group") == GATEWAY_GROUP
        ),
        services=tuple(text(entry, "name") for entry in services if text(entry, "name")),
        every_service=any(not text(entry, "name") for entry in services),
    )
