"""What stands behind Ingresses and Gateways: which routes attach, which proxy calls, what is ready."""

import pytest

from exposure.resolve import survey
from tests.unit.worlds import named, node, pod, policy, resolved, service, the_exposure, world


@pytest.mark.parametrize(
    "allowed, rules, expected",
    [
        pytest.param("Same", 1, {"pods"}, id="of-the-gateways-own-namespace"),
        pytest.param("None", 1, set(), id="of-no-namespace"),
        pytest.param("Sometimes", 1, set(), id="a-word-that-means-nothing-here-opens-nothing"),
        pytest.param("Same", 3, {"pods"}, id="a-backend-in-several-rules-is-led-to-once"),
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
    found = resolved(policy(), gateway, route, *own, pod("other-1", labels={"app": "other"}), node(), cni="calico")
    assert expected == {"pods" for each in the_exposure(found, "gateway-edge").sources if each.peers}
    assert len(expected) == len(the_exposure(found, "gateway-edge").sources)


@pytest.mark.parametrize(
    "labels, kind",
    [
        pytest.param({"app": "one", "app.kubernetes.io/name": "proxy"}, "pods", id="one-proxy-is-of-that-class"),
        pytest.param({"app": "one", "app.kubernetes.io/part-of": "proxy"}, "pods", id="or-part-of-it"),
        pytest.param({"app": "other", "app.kubernetes.io/name": "proxy"}, "ambiguous", id="neighbours-do-not-count"),
    ],
)
def test_a_shared_address_is_decided_by_the_class(labels: dict[str, str], kind: str) -> None:
    """The proxy of an Ingress is the Service whose own pods say that they are the class's controller."""
    shared = [service("one", ip="203.0.113.10"), service("two", ip="203.0.113.10")]
    known = named("IngressClass", "proxy", {"controller": "example.org/proxy"})
    rules = [{"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]
    address = {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}
    front = named("Ingress", "front", {"ingressClassName": "proxy", "rules": rules}, status=address)
    here = world(*shared, known, front, service(type="ClusterIP"), pod("p", labels=labels), node(), cni="calico")
    assert [kind] == [each.proxy.kind for each in survey(here).fronts["shop"]]


def test_a_door_counts_what_is_ready_behind_it() -> None:
    """Endpoints are known before they are ready, and are counted once each."""
    labels = {"kubernetes.io/service-name": "web"}
    ready = [{"addresses": ["10.244.1.5"], "conditions": {"ready": True}}]
    late = [{"addresses": ["10.244.1.6"], "conditions": {"ready": False}}]
    slices = [
        {**named("EndpointSlice", f"web-{n}", labels=labels), "addressType": "IPv4", "endpoints": each}
        for n, each in enumerate([ready, [*ready, *late]])
    ]
    (backend,) = the_exposure(resolved(service(), *slices, node(), cni="calico"), "service-web").backends
    assert (1, 2) == (backend.ready, backend.total)
