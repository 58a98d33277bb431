"""What exposed pods may call where facts about the cluster are missing, or its CNI matches identities."""

from typing import Any

import pytest

from exposure.catalog.cnis import CNIS
from exposure.catalog.egress import METADATA
from exposure.flows.admission import Expectation
from exposure.flows.findings import ObservedFlow
from exposure.flows.proposed_rules import egress
from exposure.flows.table import Counts, FlowKey, FlowPeer
from exposure.flows.wording import ProposalLimits
from exposure.networkpolicy.evaluate import Verdict
from tests.unit.snapshots import Json, node, policy, reasons, resolved, service, the_policy

ALLOW = {"egress": {"dns": False, "apiServer": True}}


def api_server(*addresses: str, ports: Any = ({"name": "https", "protocol": "TCP", "port": 6443},)) -> Json:
    name = f"kubernetes-{len(addresses)}"
    meta = {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}}
    endpoints = [{"addresses": [address]} for address in addresses]
    whole = {"kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4", "endpoints": endpoints}
    return {**whole, "ports": list(ports)}


def kubernetes(*cluster_ips: str) -> Json:
    ports = [{"name": "https", "port": 443, "targetPort": 6443}]
    raw = service("kubernetes", type="ClusterIP", selector=None, ports=ports, clusterIPs=list(cluster_ips))
    raw["metadata"]["namespace"] = "default"
    return raw


def called(*objects: Json, cni: str = "calico", **spec: Any) -> tuple[set[str], bool]:
    """What the exposed pods may call, and whether APIServerUnreachable is reported."""
    resolution = resolved(policy(**(spec or ALLOW)), service(), node(), *objects, cni=cni)
    rules = the_policy(resolution, "exposure-to-web").spec.egress or ()
    peers = {f"{peer} {port}" for rule in rules for peer in rule.peers or () for port in rule.ports or ("every port",)}
    return peers, "APIServerUnreachable" in reasons(resolution)


@pytest.mark.parametrize(
    "objects, cni, expected",
    [
        pytest.param([api_server("192.0.2.5")], "calico", ({"192.0.2.5/32 tcp/6443"}, False), id="by-its-endpoints"),
        pytest.param(
            [api_server(), api_server("192.0.2.5")], "calico", ({"192.0.2.5/32 tcp/6443"}, False), id="an-empty-slice"
        ),
        pytest.param([api_server()], "calico", (set(), True), id="no-address-is-not-every-address"),
        pytest.param([api_server("192.0.2.5", ports=())], "calico", (set(), True), id="no-port-is-not-every-port"),
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
def test_egress_to_the_api_server(objects: list[Json], cni: str, expected: tuple[set[str], bool]) -> None:
    """By the addresses and ports of its EndpointSlices, never by an empty list."""
    assert expected == called(*objects, cni=cni)


def test_everywhere_on_cilium_names_pods_too() -> None:
    """There a whole family is what is outside the cluster. Pods are named beside it, metadata services excluded."""
    peers, _ = called(cni="cilium", egress={"dns": False, "to": [{"ports": [{"port": 443}]}]})
    assert "every pod in every namespace tcp/443" in peers
    (outside,) = (peer for peer in peers if peer.startswith("0.0.0.0/0"))
    assert "169.254.169.254/32" in outside


@pytest.mark.parametrize(
    "cni, expected",
    [
        pytest.param("calico", set(), id="after-dnat"),
        pytest.param("aws-vpc-cni", {"10.96.0.10/32 tcp/53", "10.96.0.10/32 udp/53"}, id="before-dnat"),
    ],
)
def test_dns_by_its_cluster_ip(cni: str, expected: set[str]) -> None:
    """Where egress is filtered before DNAT, the CNI sees the ClusterIP."""
    assert bool(expected) == CNIS[cni].egress_sees_cluster_ips
    dns = service("kube-dns", type="ClusterIP", selector={"k8s-app": "kube-dns"}, ports=[{"port": 53}])
    dns["metadata"]["namespace"] = "kube-system"
    peers, _ = called(dns, cni=cni, egress={})
    assert expected == {peer for peer in peers if not peer.startswith("pods ")}


@pytest.mark.parametrize(
    "provider_id, cloud_dns",
    [
        pytest.param("gce://p/z/n1", True, id="a-cloud-that-answers-dns"),
        pytest.param("aws:///eu/i-1", False, id="a-cloud-that-does-not"),
        pytest.param("kind://docker/c/n1", False, id="no-cloud"),
    ],
)
def test_dns_of_the_cloud(provider_id: str, cloud_dns: bool) -> None:
    """Without a DNS Service: Google's resolver on Google's nodes, elsewhere the usual DNS pods."""
    resolution = resolved(policy(egress={}), service(), node(providerID=provider_id), cni="calico")
    rules = the_policy(resolution, "exposure-to-web").spec.egress or ()
    assert cloud_dns == ("169.254.169.254/32" in {str(peer) for rule in rules for peer in rule.peers or ()})


def test_without_a_default_deny_each_service_admits_its_namespace() -> None:
    """No policy for the whole namespace could."""
    isolation = {"ingress": False, "allowSameNamespace": True}
    resolution = resolved(policy(isolation=isolation), service(), node(), cni="calico")
    rules = the_policy(resolution, "exposure-to-web").spec.ingress or ()
    peers = {str(peer) for rule in rules for peer in rule.peers or ()}
    assert "every pod of this namespace" in peers


@pytest.mark.parametrize("destination", [*map(str, METADATA), "169.254.20.10/32", "fe80::1/128"])
def test_a_proposal_names_no_metadata_service(destination: str) -> None:
    """A policy has to name it, even where pods called it. A link-local neighbor is not outside."""
    flows = [
        ObservedFlow(
            FlowKey("out", "shop/web", FlowPeer("address", address), "TCP", 80),
            Counts(allowed=3),
            Expectation(Verdict.ALLOWED),
        )
        for address in (destination.partition("/")[0], "198.51.100.7")
    ]
    lines = "\n".join(egress("shop", flows, ProposalLimits()))
    assert "198.51.100.7/32" in lines
    assert destination.partition("/")[0] not in lines
    assert "3 records went to" in lines
