"""Admission webhooks in isolated pods: when the API server still reaches them, and where it is reported if not."""

from typing import Any

import pytest

from tests.unit.snapshots import Json, named, node, pod, policy, reasons, resolved, service, the_exposure

API_SERVER, NODE = "192.0.2.5", "192.0.2.1"
HOOK = service("hook", type="ClusterIP", ports=[{"name": "https", "port": 443, "targetPort": 10250}])
BY_NAME = service("hook", type="ClusterIP", ports=[{"name": "https", "port": 443, "targetPort": "webhook"}])


def calls(name: str = "hook", **more: Any) -> Json:
    called = {"namespace": "shop", "name": name, **more}
    whole = named("ValidatingWebhookConfiguration", "checks")
    return {**whole, "webhooks": [{"clientConfig": {"service": called}}]}


def api_server(*addresses: str) -> Json:
    meta = {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}}
    endpoints = [{"addresses": [each]} for each in addresses]
    return {"kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4", "endpoints": endpoints}


def their_own(*ingress: Any) -> Json:
    """A NetworkPolicy of the team's for the webhook's pods."""
    pods = {"matchLabels": {"app": "hook"}}
    return named("NetworkPolicy", "hook", {"podSelector": pods, "policyTypes": ["Ingress"], "ingress": [*ingress]})


def rule(cidr: str = f"{API_SERVER}/32", port: Any = 10250, protocol: str = "TCP", **more: Any) -> Json:
    ports = [{"protocol": protocol, **({"port": port} if port else {}), **more}]
    return {"from": [{"ipBlock": {"cidr": cidr}}], "ports": ports}


def reported(*objects: Json, cni: str = "calico") -> bool:
    """Whether the only entry point of an isolated namespace reports that a webhook in other pods is cut off."""
    return "WebhookUnreachable" in reasons(resolved(policy(), service(), node(), *objects, cni=cni))


@pytest.mark.parametrize(
    "objects, expected",
    [
        pytest.param([HOOK, calls()], True, id="isolated"),
        pytest.param([calls()], False, id="a-service-that-does-not-exist"),
        pytest.param([HOOK, calls(port=9443)], False, id="a-port-that-does-not-exist"),
        pytest.param([service("hook", selector=None), calls()], False, id="a-service-without-a-selector"),
        pytest.param([HOOK, calls(), their_own({})], False, id="everyone-may-come"),
        pytest.param([HOOK, calls(), their_own(rule())], False, id="the-api-server-may-come"),
        pytest.param([HOOK, calls(), their_own(rule(port=None))], False, id="at-every-port-of-the-protocol"),
        pytest.param([HOOK, calls(), their_own(rule(port=443))], True, id="no-pod-listens-on-the-service-port"),
        pytest.param([HOOK, calls(), their_own(rule(protocol="UDP"))], True, id="webhooks-speak-tcp"),
        pytest.param([HOOK, calls(), their_own(rule(port=10000, endPort=10999))], False, id="inside-a-range"),
        pytest.param([HOOK, calls(), their_own(rule(port=9000, endPort=9999))], True, id="outside-a-range"),
        pytest.param([HOOK, calls(), their_own(rule("198.51.100.0/24"))], True, id="others-may-come"),
        pytest.param([BY_NAME, calls(), their_own(rule(port="webhook"))], False, id="by-the-name-of-the-port"),
        pytest.param([BY_NAME, calls(), their_own(rule())], True, id="a-name-whose-number-is-not-known"),
    ],
)
def test_when_a_webhook_is_cut_off(objects: list[Json], expected: bool) -> None:
    """Only where a policy isolates its pods and none admits the API server to the port that they listen on."""
    assert expected is reported(*objects, api_server(API_SERVER))


@pytest.mark.parametrize(
    "cidr, expected",
    [
        pytest.param("198.51.100.0/24", False, id="other-addresses-are-admitted-to-that-port"),
        pytest.param("0.0.0.0/0", False, id="everyone"),
        pytest.param(f"{NODE}/32", True, id="a-node-is-admitted-for-clients"),
    ],
)
def test_where_the_api_servers_addresses_are_not_known(cidr: str, expected: bool) -> None:
    """Manifests in a folder hold no EndpointSlice of the API server: then a rule for addresses counts as one for it."""
    assert expected is reported(HOOK, calls(), their_own(rule(cidr)))


@pytest.mark.parametrize(
    "address, expected",
    [
        pytest.param(API_SERVER, False, id="apart-from-the-nodes"),
        pytest.param(NODE, True, id="on-a-node"),
    ],
)
def test_on_cilium_no_block_matches_a_node(address: str, expected: bool) -> None:
    """A control plane on nodes cannot be admitted by a NetworkPolicy there, and the cure says by what it can."""
    objects = (HOOK, calls(), their_own(rule(f"{address}/32")), api_server(address))
    assert expected is reported(*objects, cni="cilium")
    found = resolved(policy(), service(), node(), HOOK, calls(), api_server(address), cni="cilium")
    (cure,) = (s.cure for s in the_exposure(found, "service-web").blind_spots if s.reason == "WebhookUnreachable")
    assert "CiliumNetworkPolicy with fromEntities: kube-apiserver" in cure


@pytest.mark.parametrize(
    "tracks, expected",
    [
        pytest.param(["stable"], False, id="every-pod-is-reached"),
        pytest.param(["stable", "canary"], True, id="one-of-two-is-not"),
        pytest.param([], True, id="no-pod-is-known"),
    ],
)
def test_every_pod_of_the_webhook_has_to_be_reached(tracks: list[str], expected: bool) -> None:
    """The API server calls any of them: a policy for some of the pods is not enough."""
    stable = {"podSelector": {"matchLabels": {"track": "stable"}}, "policyTypes": ["Ingress"], "ingress": [rule()]}
    pods = [pod(f"hook-{track}", labels={"app": "hook", "track": track}) for track in tracks]
    assert expected is reported(HOOK, calls(), named("NetworkPolicy", "stable", stable), *pods, api_server(API_SERVER))


def test_an_entry_point_that_names_no_pods_shares_none_with_a_webhook() -> None:
    """Where another entry point leads to the webhook's own pods, that one reports it."""
    exposed = service("hook", ports=[{"name": "https", "port": 443, "targetPort": 10250}])
    found = resolved(
        policy(clients={"cidrs": ["203.0.113.0/24"]}),
        service(selector=None),
        exposed,
        node(),
        calls(),
        api_server(API_SERVER),
        cni="calico-ebpf",
    )
    assert (False, True) == tuple("WebhookUnreachable" in reasons(found, f"service-{each}") for each in ("web", "hook"))
