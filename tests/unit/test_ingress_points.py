"""Ingress points: which routes attach, which proxy calls the backends, and how many endpoints are ready."""

from typing import Any

import pytest

from exposure.resolve import cluster_facts
from exposure.resolve.ports import routed_port
from tests.unit.snapshots import named, node, pod, policy, resolved, service, snapshot, the_exposure


@pytest.mark.parametrize(
    "allowed, rules, expected",
    [
        pytest.param("Same", 1, {"pods"}, id="of-the-gateways-own-namespace"),
        pytest.param("None", 1, set(), id="of-no-namespace"),
        pytest.param("Sometimes", 1, set(), id="an-unknown-word-opens-nothing"),
        pytest.param("Same", 3, {"pods"}, id="a-backend-in-several-rules-counts-once"),
    ],
)
def test_which_routes_a_listener_lets_attach(allowed: str, rules: int, expected: set[str]) -> None:
    """https://gateway-api.sigs.k8s.io/reference/spec/ (FromNamespaces: All, Selector, Same, None)"""
    listener = {"name": "h", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": allowed}}}
    address = {"addresses": [{"type": "IPAddress", "value": "203.0.113.10"}]}
    gateway = named("Gateway", "edge", {"gatewayClassName": "proxy", "listeners": [listener]}, status=address)
    led = [{"backendRefs": [{"name": "web", "port": 80}]}] * rules
    route = named("HTTPRoute", "r", {"parentRefs": [{"name": "edge"}], "rules": led})
    own = [service("proxy", ip="203.0.113.10"), service(type="ClusterIP"), pod("proxy-1", labels={"app": "proxy"})]
    resolution = resolved(policy(), gateway, route, *own, pod("other-1", labels={"app": "other"}), node(), cni="calico")
    assert expected == {"pods" for source in the_exposure(resolution, "gateway-edge").sources if source.peers}
    assert len(expected) == len(the_exposure(resolution, "gateway-edge").sources)


SERVICE = {"name": "web", "port": 80}


@pytest.mark.parametrize(
    "backends, expected",
    [
        pytest.param([SERVICE], ["shop/web"], id="a-service"),
        pytest.param([{"group": "", "kind": "Service", **SERVICE}], ["shop/web"], id="a-service-by-its-kind"),
        pytest.param([{"kind": "ServiceImport", "group": "multicluster.x-k8s.io", **SERVICE}], [], id="another-kind"),
        pytest.param([{"kind": "Backend", "group": "example.org", **SERVICE}, SERVICE], ["shop/web"], id="one-of-two"),
    ],
)
def test_a_backend_that_is_no_service_is_ignored(backends: list[Any], expected: list[str]) -> None:
    """It has no pods that a policy could name."""
    route = named("HTTPRoute", "r", {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": backends}]})
    parsed = snapshot(route).http_routes["shop"]["r"].backends
    assert expected == [str(backend.service) for backend in parsed]


def path(**port: Any) -> Any:
    backend = {"service": {"name": "web", **({"port": port} if port else {})}}
    return {"rules": [{"http": {"paths": [{"backend": backend}]}}]}


@pytest.mark.parametrize(
    "spec, ports, expected",
    [
        pytest.param(path(number=80), 2, 80, id="by-number"),
        pytest.param(path(name="http"), 2, 80, id="by-name"),
        pytest.param(path(), 1, 80, id="the-only-one-there-is"),
        pytest.param(path(), 2, None, id="none-where-several-could-be-meant"),
    ],
)
def test_a_route_leads_to_a_service_port(spec: Any, ports: int, expected: int | None) -> None:
    """By number, by name, or to the only port of the Service."""
    own = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443}]
    here = snapshot(service(type="ClusterIP", ports=own[:ports]), named("Ingress", "site", spec))
    (backend,) = here.ingresses["shop"]["site"].backends
    port = routed_port(here.services["shop"]["web"], backend.port)
    assert expected == (port.port if port else None)


@pytest.mark.parametrize(
    "labels, kind",
    [
        pytest.param({"app": "one", "app.kubernetes.io/name": "proxy"}, "pods", id="one-proxy-is-of-that-class"),
        pytest.param({"app": "one", "app.kubernetes.io/part-of": "proxy"}, "pods", id="or-part-of-it"),
        pytest.param({"app": "other", "app.kubernetes.io/name": "proxy"}, "ambiguous", id="neighbours-do-not-count"),
    ],
)
def test_a_shared_address_is_decided_by_the_class(labels: dict[str, str], kind: str) -> None:
    """The proxy of an Ingress is the Service whose pods have the labels of the class's controller."""
    shared = [service("one", ip="203.0.113.10"), service("two", ip="203.0.113.10")]
    known = named("IngressClass", "proxy", {"controller": "example.org/proxy"})
    rules = [{"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]
    address = {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}
    site = named("Ingress", "site", {"ingressClassName": "proxy", "rules": rules}, status=address)
    here = snapshot(*shared, known, site, service(type="ClusterIP"), pod("p", labels=labels), node(), cni="calico")
    assert [kind] == [ingress_point.proxy.kind for ingress_point in cluster_facts(here).ingress_points["shop"]]


def test_an_entry_point_counts_what_is_ready_behind_it() -> None:
    """Each endpoint counts once, ready or not."""
    labels = {"kubernetes.io/service-name": "web"}
    ready = [{"addresses": ["10.244.1.5"], "conditions": {"ready": True}}]
    late = [{"addresses": ["10.244.1.6"], "conditions": {"ready": False}}]
    slices = [
        {**named("EndpointSlice", f"web-{n}", labels=labels), "addressType": "IPv4", "endpoints": endpoints}
        for n, endpoints in enumerate([ready, [*ready, *late]])
    ]
    (backend,) = the_exposure(resolved(service(), *slices, node(), cni="calico"), "service-web").backends
    assert (1, 2) == (backend.ready, backend.total)
