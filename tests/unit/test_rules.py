"""The list of rules: each with a case in which it acts, and a case like it in which it does not."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from exposure.model.exposures import Exposure, Resolution
from exposure.resolve.rules import RULES
from tests.unit.snapshots import Json, cluster_policy, named, node, pod, policy, resolved, service, the_exposure

CLIENTS: Json = {"cidrs": ["203.0.113.0/24"]}
DENY: Json = {"clients": {**CLIENTS, "unenforceable": "Deny"}}
LOCAL: Json = {"externalTrafficPolicy": "Local"}
DNS = named("Service", "kube-dns", {"selector": {"k8s-app": "kube-dns"}, "ports": []}, namespace="kube-system")
K3S = node(annotations={"k3s.io/node-args": "[]"}, providerID="k3s://n1")
TARGET_IP: Json = {
    "service.beta.kubernetes.io/aws-load-balancer-type": "external",
    "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip",
}


def through_ingress(*, host_network: bool) -> list[Json]:
    """An Ingress that leads to `web`; the proxy's pods run with or without hostNetwork."""
    rules = [{"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]
    status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}
    return [
        named("Ingress", "web", {"rules": rules}, status=status),
        service("proxy", ip="203.0.113.10", namespace="shop"),
        pod("proxy-1", labels={"app": "proxy"}, hostNetwork=host_network),
    ]


def admits(kind: str, *who: str) -> Callable[[Exposure], bool]:
    """Whether the Exposure shows a source of this kind, with these blocks and peers."""

    def check(exposure: Exposure) -> bool:
        return any(
            source.kind == kind and {*who} <= {*map(str, source.blocks), *map(str, source.peers)}
            for source in exposure.sources
        )

    return check


def reports(reason: str) -> Callable[[Exposure], bool]:
    return lambda exposure: reason in {blind_spot.reason for blind_spot in exposure.blind_spots}


def refuses(word: str) -> Callable[[Exposure], bool]:
    return lambda exposure: word in exposure.refusal and not exposure.ports


CASES: dict[str, tuple[Callable[[Exposure], bool], list[Json], list[Json]]] = {
    "refuse_without_selector": (reports("SelectorMissing"), [policy(), service(selector=None)], [policy(), service()]),
    "refuse_host_network_pods": (
        reports("HostNetworkBackends"),
        [policy(), service(), pod("web-1", hostNetwork=True)],
        [policy(), service(), pod("web-1")],
    ),
    "refuse_unaccepted_policy": (
        refuses("requires an ExposurePolicy"),
        [cluster_policy(requireExposurePolicy=True), service()],
        [cluster_policy(requireExposurePolicy=True), policy(), service()],
    ),
    "report_source_range_problems": (
        reports("FamilyRangesMissing"),
        [
            policy(),
            service(
                ipFamilies=["IPv4", "IPv6"],
                clusterIPs=["10.96.0.10", "fd00::10"],
                loadBalancerSourceRanges=["10.0.0.0/8"],
            ),
        ],
        [policy(), service(loadBalancerSourceRanges=["10.0.0.0/8"])],
    ),
    "refuse_public_entry_points": (
        refuses("limits.allowPublic is false"),
        [policy(), cluster_policy(limits={"allowPublic": False}), service()],
        [policy(clients=CLIENTS), cluster_policy(limits={"allowPublic": False}), service()],
    ),
    "refuse_disjoint_client_ranges": (
        refuses("no address in common"),
        [policy(clients=CLIENTS), service(loadBalancerSourceRanges=["198.51.100.0/24"])],
        [policy(clients=CLIENTS), service(loadBalancerSourceRanges=["203.0.113.0/28"])],
    ),
    "admit_clients": (
        admits("Clients", "203.0.113.0/24"),
        [policy(clients=CLIENTS), service(**LOCAL)],
        [policy(clients=CLIENTS, loadBalancer={"profile": "aws-classic", "cidrs": ["192.0.2.0/25"]}), service(**LOCAL)],
    ),
    "admit_load_balancer": (
        admits("LoadBalancer", "192.0.2.0/25"),
        [policy(loadBalancer={"profile": "aws-classic", "cidrs": ["192.0.2.0/25"]}), service(**LOCAL)],
        [policy(loadBalancer={"profile": "metallb", "cidrs": ["192.0.2.0/25"]}), service(**LOCAL)],
    ),
    "admit_health_checks": (
        admits("HealthChecks", "192.0.2.128/25"),
        [policy(loadBalancer={"healthCheckCIDRs": ["192.0.2.128/25"]}), service(**LOCAL)],
        [policy(), service(**LOCAL)],
    ),
    "admit_nodes": (
        admits("Nodes", "192.0.2.1/32"),
        [policy(), service(externalTrafficPolicy="Cluster")],
        [policy(), service(**LOCAL)],
    ),
    "admit_service_lb_pods": (
        lambda exposure: any("svcname=web" in str(peer) for source in exposure.sources for peer in source.peers),
        [policy(), service(**LOCAL), K3S],
        [policy(), service(**LOCAL)],
    ),
    "admit_peers": (
        admits("Peers", "pods app=caller of this namespace"),
        [policy(peers=[{"podSelector": {"matchLabels": {"app": "caller"}}}]), service()],
        [policy(), service()],
    ),
    "report_lost_client_addresses": (
        reports("SourceFilterLost"),
        [policy(clients=CLIENTS), service(externalTrafficPolicy="Cluster")],
        [policy(clients=CLIENTS), service(**LOCAL)],
    ),
    "report_dropped_cross_node_traffic": (
        reports("CrossNodeTrafficDropped"),
        [policy(**DENY), service(externalTrafficPolicy="Cluster")],
        [policy(**DENY), service(**LOCAL)],
    ),
    "report_unenforced_ranges": (
        reports("SourceRangesUnenforced"),
        [policy(clients=CLIENTS, loadBalancer={"profile": "aws-nlb-ip", "cidrs": ["192.0.2.0/25"]}), service()],
        [policy(loadBalancer={"profile": "aws-nlb-ip", "cidrs": ["192.0.2.0/25"]}), service()],
    ),
}
#: Rules that act on another CNI, on the way out, or at the Exposure of an Ingress.
ELSEWHERE: dict[str, tuple[Callable[[Resolution], bool], Resolution, Resolution]] = {
    "refuse_external_name": (
        lambda resolution: reports("ExternalName")(the_exposure(resolution, "ingress-web")),
        resolved(policy(), service(type="ExternalName"), *through_ingress(host_network=False), node(), cni="calico"),
        resolved(policy(), service(), *through_ingress(host_network=False), node(), cni="calico"),
    ),
    "allow_egress": (
        lambda resolution: bool(_policy_to_web(resolution).spec.egress),
        resolved(policy(egress={}), service(), DNS, node(), cni="calico"),
        resolved(policy(), service(), DNS, node(), cni="calico"),
    ),
    "report_unresolved_ports": (
        lambda resolution: reports("NamedPortUnresolved")(the_exposure(resolution, "service-web")),
        resolved(policy(), service(ports=[{"port": 80, "targetPort": "http"}]), cni="cilium"),
        resolved(policy(), service(ports=[{"port": 80, "targetPort": "http"}]), cni="calico"),
    ),
    "admit_everyone_outside": (
        lambda resolution: admits("Outside", "0.0.0.0/0")(the_exposure(resolution, "service-web")),
        resolved(policy(clients=CLIENTS), service(), node(), cni="cilium"),
        resolved(policy(clients=CLIENTS), service(), node(), cni="cilium-dsr"),
    ),
    "admit_proxy_pods": (
        lambda resolution: any(
            source.kind == "ProxyPods" for source in the_exposure(resolution, "ingress-web").sources
        ),
        resolved(policy(), service(), *through_ingress(host_network=False), node(), cni="calico"),
        resolved(policy(), service(), *through_ingress(host_network=True), node(), cni="calico"),
    ),
    "admit_host_network_proxies": (
        lambda resolution: admits("Nodes", "192.0.2.1/32")(the_exposure(resolution, "ingress-web")),
        resolved(policy(), service(), *through_ingress(host_network=True), node(), cni="calico"),
        resolved(policy(), service(), *through_ingress(host_network=False), node(), cni="calico"),
    ),
    "exclude_pod_ranges": (
        lambda resolution: admits("Clients", "0.0.0.0/0 except 10.244.1.0/24")(the_exposure(resolution, "service-web")),
        resolved(policy(), service(**LOCAL), node(pods=["10.244.1.0/24"]), cni="kube-router"),
        resolved(policy(), service(**LOCAL), node(pods=["10.244.1.0/24"]), cni="cilium"),
    ),
    "report_unfiltered_cluster_traffic": (
        lambda resolution: reports("PolicyNotEnforced")(the_exposure(resolution, "service-web")),
        resolved(policy(), service(), node(), cni="azure-npm"),
        resolved(policy(), service(**LOCAL), node(), cni="azure-npm"),
    ),
}


def _policy_to_web(resolution: Resolution) -> Any:
    return next(policy for policy in resolution.policies if policy.name == "exposure-to-web")


@pytest.mark.parametrize("name", CASES)
def test_a_rule_acts_in_its_case_only(name: str) -> None:
    """At a MetalLB Service under Calico, with one node, unless the case has others."""
    acts, given, unlike = CASES[name]
    assert (True, False) == tuple(
        acts(
            the_exposure(
                resolved(node(), *objects, cni="calico" if K3S not in objects else "kube-router"), "service-web"
            )
        )
        for objects in (given, unlike)
    )


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_rule_of_another_cni_or_entry_point_acts_in_its_case_only(name: str) -> None:
    acts, given, unlike = ELSEWHERE[name]
    assert (True, False) == (acts(given), acts(unlike))


@pytest.mark.parametrize("unenforceable, reason", [("Allow", "SourceFilterLost"), ("Deny", "CrossNodeTrafficDropped")])
@pytest.mark.parametrize("ports, reported", [([80], True), ([81], False)])
def test_masquerading_pods_hide_only_what_is_exposed(
    unenforceable: str, reason: str, ports: list[int], reported: bool
) -> None:
    """Without an exposed port, the pods of ServiceLB forward nothing that could lose its filter."""
    here = policy(ports=ports, clients={**CLIENTS, "unenforceable": unenforceable})
    exposure = the_exposure(resolved(here, service(**LOCAL), K3S, cni="kube-router"), "service-web")
    assert reported == reports(reason)(exposure)


def test_what_is_not_filtered_is_reported_though_nothing_is_admitted() -> None:
    """With externalTrafficPolicy Cluster, azure-npm admits what the refusal does not."""
    disjoint = service(loadBalancerSourceRanges=["198.51.100.0/24"])
    exposure = the_exposure(resolved(policy(clients=CLIENTS), disjoint, node(), cni="azure-npm"), "service-web")
    assert exposure.refusal
    assert reports("PolicyNotEnforced")(exposure)


def test_a_refusal_closes_one_entry_point_and_no_other_reports_it() -> None:
    """limits.allowPublic: false closes the load balancer of a Service. The Ingress that leads to it stays open."""
    resolution = resolved(
        policy(),
        cluster_policy(limits={"allowPublic": False}),
        service(ip="203.0.113.20"),
        *through_ingress(host_network=False),
    )
    own, ingress = the_exposure(resolution, "service-web"), the_exposure(resolution, "ingress-web")
    assert ("LoadBalancer admits everyone" in own.refusal, own.ports, own.sources) == (True, (), ())
    assert [80] == [port.port for port in ingress.ports]
    assert ["ProxyPods"] == [source.kind for source in ingress.sources]
    assert not reports("BackendNotGranted")(ingress)
    [message] = [
        of.message for outcome in resolution.outcomes for of in outcome.services if of.name == "web" and of.governed
    ]
    assert "Opens 1 port to ProxyPods." in message
    assert "LoadBalancer admits everyone" in message


@pytest.mark.parametrize("unenforceable", ["Allow", "Deny"])
def test_the_explanation_of_a_source_says_what_is_withheld(unenforceable: str) -> None:
    """On a CNI that filters after SNAT, no client keeps its address through another node."""
    here = policy(clients={**CLIENTS, "unenforceable": unenforceable})
    exposure = the_exposure(resolved(here, service(), node(), cni="ovn-kubernetes"), "service-web")
    explanations = " ".join(source.explanation for source in exposure.sources)
    assert (unenforceable == "Deny") == ("clients.unenforceable is Deny" in explanations)


def test_every_rule_has_a_case() -> None:
    """No rule is untested."""
    assert {rule.__name__ for rule in RULES} == {*CASES, *ELSEWHERE}


def test_every_rule_has_a_docstring_and_a_comment() -> None:
    """The page of rules is made from them."""
    assert [] == [rule.__name__ for rule in RULES if not inspect.getdoc(rule)]


def test_a_host_network_proxy_without_known_nodes_is_not_admitted() -> None:
    """Without Node objects, no address can stand for the proxy."""
    resolution = resolved(policy(), service(), *through_ingress(host_network=True), cni="calico")
    assert () == the_exposure(resolution, "ingress-web").sources
