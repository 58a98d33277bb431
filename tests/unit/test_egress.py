"""What exposed pods may call where the cluster's answers are incomplete, or its CNI sees identities."""

from typing import Any

import pytest

from tests.unit.snapshots import Json, node, policy, reasons, resolved, service, the_policy

ALLOW = {"egress": {"dns": False, "apiServer": True}}


def api_server(*addresses: str, ports: Any = ({"name": "https", "protocol": "TCP", "port": 6443},)) -> Json:
    name = f"kubernetes-{len(addresses)}"
    meta = {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}}
    endpoints = [{"addresses": [each]} for each in addresses]
    whole = {"kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4", "endpoints": endpoints}
    return {**whole, "ports": list(ports)}


def kubernetes(*cluster_ips: str) -> Json:
    ports = [{"name": "https", "port": 443, "targetPort": 6443}]
    found = service("kubernetes", type="ClusterIP", selector=None, ports=ports, clusterIPs=list(cluster_ips))
    found["metadata"]["namespace"] = "default"
    return found


def called(*objects: Json, cni: str = "calico", **spec: Any) -> tuple[set[str], bool]:
    """Whom the exposed pods may call, and whether the API server is told to be out of reach."""
    found = resolved(policy(**(spec or ALLOW)), service(), node(), *objects, cni=cni)
    rules = the_policy(found, "exposure-to-web").spec.egress or ()
    peers = {f"{peer} {port}" for rule in rules for peer in rule.peers or () for port in rule.ports or ("every port",)}
    return peers, "APIServerUnreachable" in reasons(found)


@pytest.mark.parametrize(
    "objects, cni, expected",
    [
        pytest.param([api_server("192.0.2.5")], "calico", ({"192.0.2.5/32 tcp/6443"}, False), id="by-its-endpoints"),
        pytest.param(
            [api_server(), api_server("192.0.2.5")], "calico", ({"192.0.2.5/32 tcp/6443"}, False), id="an-empty-slice"
        ),
        pytest.param([api_server()], "calico", (set(), True), id="no-address-is-nobody-not-everybody"),
        pytest.param([api_server("192.0.2.5", ports=())], "calico", (set(), True), id="no-port-is-none-not-all"),
        pytest.param(
            [api_server("192.0.2.5"), kubernetes("10.96.0.1")],
            "aws-vpc-cni",
            ({"192.0.2.5/32 tcp/6443", "10.96.0.1/32 tcp/443"}, False),
            id="also-by-its-service-on-amazon",
        ),
        pytest.param(
            [api_server("192.0.2.5"), kubernetes("None")],
            "aws-vpc-cni",
            ({"192.0.2.5/32 tcp/6443"}, False),
            id="a-service-without-an-address",
        ),
    ],
)
def test_the_api_server(objects: list[Json], cni: str, expected: tuple[set[str], bool]) -> None:
    """By the addresses and ports that the cluster itself names, never by an empty list."""
    assert expected == called(*objects, cni=cni)


def test_everywhere_on_cilium_is_everywhere() -> None:
    """A whole family means what is outside there, so pods are named beside it; metadata services stay cut out."""
    peers, _ = called(cni="cilium", egress={"dns": False, "to": [{"ports": [{"port": 443}]}]})
    assert "every pod in every namespace tcp/443" in peers
    (outside,) = (each for each in peers if each.startswith("0.0.0.0/0"))
    assert "169.254.169.254/32" in outside


def test_neighbours_pass_each_services_own_wall_where_no_other_stands() -> None:
    """Without a default-deny there is no policy for the whole namespace that could let them in."""
    found = resolved(policy(isolation={"ingress": False, "allowSameNamespace": True}), service(), node(), cni="calico")
    peers = {str(p) for rule in the_policy(found, "exposure-to-web").spec.ingress or () for p in rule.peers or ()}
    assert "every pod of this namespace" in peers
