"""Cluster facts: CNI, SNAT addresses of nodes, pod ranges, and which namespaces a change concerns."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from exposure.addresses import blocks, collapsed, network
from exposure.catalog.cnis import CNIS
from exposure.cli import main
from exposure.controller.invalidation import Invalidation
from exposure.fields import port
from exposure.parse.kinds import KINDS
from exposure.resolve import cluster_facts, resolve
from exposure.resolve.attachment import hostnames_meet
from exposure.resolve.cache import ResolveCache
from exposure.resolve.detection import detect_provider
from exposure.resolve.node_addresses import snat_addresses, snat_sources
from exposure.resolve.pod_ranges import MOST_UNEXPECTED, pod_ranges
from tests.unit.snapshots import (
    BY_KIND,
    admitted,
    agent,
    cluster_policy,
    named,
    node,
    pod,
    policy,
    reasons,
    resolved,
    service,
    snapshot,
    the_exposure,
)

OVN = "k8s.ovn.org/node-gateway-router-lrp-ifaddr"


@pytest.mark.parametrize(
    "objects, expected",
    [
        pytest.param([node()], "unknown", id="no-mark"),
        pytest.param([node(annotations={"network.cilium.io/x": "1"})], "cilium", id="an-annotation-of-a-subdomain"),
        pytest.param([node(annotations={"mycilium.io/x": "1"})], "unknown", id="another-domain-that-ends-alike"),
        pytest.param([node(annotations={"projectcalico.org/x": "1"})], "calico", id="an-annotation-of-the-domain"),
        pytest.param([node(), agent("aws-node")], "aws-vpc-cni", id="an-agent"),
        pytest.param([node(), agent("aws-node"), agent("cilium")], "cilium", id="the-first-row-wins"),
        pytest.param([node(), pod("agent", labels={"app": ""}, namespace="kube-system")], "unknown", id="no-name"),
        pytest.param([node(), pod("agent", labels={"k8s-app": "cilium"})], "unknown", id="an-agent-where-tenants-are"),
        pytest.param(
            [node(), pod("agent", labels={"k8s-app": "calico-node"}, namespace="calico-system")],
            "calico",
            id="an-agent-in-its-own-namespace",
        ),
        pytest.param([node(), named("IPPool", "p", {"cidr": "10.0.0.0/16"})], "calico", id="pools-of-calico"),
        pytest.param([node(annotations={"flannel.alpha.coreos.com/x": "1"})], "none", id="flannel-enforces-nothing"),
        pytest.param([node(providerID="k3s://n1")], "kube-router", id="k3s-enforces-by-itself"),
        pytest.param(
            [node(providerID="k3s://n1", annotations={"flannel.alpha.coreos.com/x": "1"})],
            "kube-router",
            id="k3s-beside-flannel",
        ),
        pytest.param([node(providerID="k3s://n1"), agent("cilium")], "cilium", id="k3s-with-another-policy-engine"),
    ],
)
def test_the_cni_is_detected(objects: Any, expected: str) -> None:
    """By the marks of the first matching row, else by what the platform enforces."""
    here = snapshot(*objects)
    assert expected == cluster_facts(here).cni.slug


@pytest.mark.parametrize(
    "provider_ids, configured, expected",
    [
        pytest.param([], "auto", None, id="nothing-known"),
        pytest.param([], "metallb", "metallb", id="configured"),
        pytest.param(["aws:///i-1", "aws:///i-2"], "metallb", "aws", id="the-nodes-win"),
        pytest.param(["aws:///i-1", "gce://p/z/n"], "auto", "unknown", id="two-clouds"),
        pytest.param(["aws:///i-1", "kind://n"], "auto", "aws", id="a-platform-without-load-balancers-beside-one"),
        pytest.param(["linode://1"], "auto", "unknown", id="a-cloud-that-no-row-knows"),
        pytest.param(["linode://1"], "hetzner", "hetzner", id="a-cloud-that-no-row-knows-configured"),
        pytest.param(["cn-hangzhou.i-bp1"], "auto", "alibaba", id="by-a-pattern"),
        pytest.param(["kind://n"], "auto", None, id="no-cloud"),
    ],
)
def test_the_provider_is_detected(provider_ids: list[str], configured: str, expected: str | None) -> None:
    """One cloud on all nodes, else what is configured; a platform without load balancers names none."""
    nodes = [node(f"n{number}", providerID=provider_id) for number, provider_id in enumerate(provider_ids)]
    assert expected == detect_provider(snapshot(*nodes, provider=configured))


@pytest.mark.parametrize(
    "cni, notes, expected",
    [
        pytest.param("calico", {}, ["192.0.2.1/32"], id="internal-ips"),
        pytest.param(
            "calico",
            {"projectcalico.org/IPv4Address": "192.0.2.9/24"},
            ["192.0.2.1/32", "192.0.2.9/32"],
            id="bare-or-not",
        ),
        pytest.param(
            "calico", {"flannel.alpha.coreos.com/x": "y"}, ["10.244.1.0/32", "192.0.2.1/32"], id="flannel-beside-calico"
        ),
        pytest.param("kube-router", {}, ["10.244.1.0/32", "192.0.2.1/32"], id="flannel-of-kube-router"),
        pytest.param("antrea", {}, ["10.244.1.1/32", "192.0.2.1/32"], id="the-gateway-of-antrea"),
        pytest.param("ovn-kubernetes", {OVN: '{"ipv4": "100.64.0.2/16"}'}, ["100.64.0.2/32", "fd98::/64"], id="ovn"),
        pytest.param(
            "ovn-kubernetes",
            {f"{OVN}s": '{"default": {"ipv4": "100.64.0.3/16", "ipv6": "fd98::3/64"}}'},
            ["100.64.0.3/32", "fd98::3/128"],
            id="ovn-of-later",
        ),
        pytest.param("ovn-kubernetes", {OVN: "{broken"}, ["100.64.0.0/16", "fd98::/64"], id="ovn-invalid"),
        pytest.param("ovn-kubernetes", {f"{OVN}s": '{"default": 7}'}, ["100.64.0.0/16", "fd98::/64"], id="ovn-odd"),
    ],
)
def test_the_snat_addresses_of_nodes(cni: str, notes: dict[str, str], expected: list[str]) -> None:
    """InternalIPs, and what tunnels, bridges, gateways and join networks use."""
    assert set(expected) == set(map(str, collapsed(snat_addresses(snapshot(node(annotations=notes)), CNIS[cni]))))


def test_a_pod_range_of_one_address_has_no_second() -> None:
    """No gateway can be named inside it."""
    assert ["192.0.2.1/32"] == list(
        map(str, collapsed(snat_addresses(snapshot(node(pods=["10.244.1.7/32"])), CNIS["antrea"])))
    )


@pytest.mark.parametrize("text", ["node-1.internal", "fe80::1%eth0", "010.0.0.1", "10.0.0.0/8", ""])
def test_an_invalid_address_is_ignored(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A host name, as a kubelet may have, or an address with a zone."""
    objects = [node("n1", ip=text), node("n2", ip="192.0.2.2"), pod("web-1", ip=text), service(), policy()]
    here = snapshot(*objects)
    assert () == (*here.nodes["n1"].internal_ips, *here.pods["shop"]["web-1"].ips)
    assert ["192.0.2.2/32"] == list(map(str, collapsed(snat_addresses(here, CNIS["calico"]))))
    versions = {"Pod": "v1", "Node": "v1", "Service": "v1", "ExposurePolicy": "exposure.dev/v1alpha1"}
    documents = [{"apiVersion": versions[raw["kind"]], **raw} for raw in (*objects, named("Namespace", "shop"))[:-1]]
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(documents))
    assert 0 == main(["plan", "-f", str(tmp_path / "objects.yaml")])
    assert "create shop/exposure-to-web" in capsys.readouterr().out


MANY = tuple(network(f"192.0.2.{n}") for n in range(1, 16, 2))


@pytest.mark.parametrize(
    "networks, families, limit, expected, widened",
    [
        pytest.param(MANY, ("IPv4",), 8, 8, False, id="as-many-as-fit"),
        pytest.param(MANY, ("IPv4",), 4, 4, True, id="widened"),
        pytest.param((*MANY, network("2001:db8::1")), ("IPv4", "IPv6"), 6, 6, True, id="the-other-family-leaves-some"),
        pytest.param(MANY, ("IPv6",), 4, 0, False, id="of-the-service-s-families"),
    ],
)
def test_node_addresses_past_the_limit(networks: Any, families: Any, limit: int, expected: int, widened: bool) -> None:
    """The narrowest cover of as many prefixes as the limit allows."""
    sources, were_widened = snat_sources(networks, families, limit, ())
    assert (expected, widened) == (len(sources), were_widened)


UNEXPECTED = pod("p1", ip="10.99.0.5")


@pytest.mark.parametrize(
    "cni, objects, excluded, because",
    [
        pytest.param("kube-router", [node(), pod("p1", ip="10.244.1.5")], ["10.244.1.0/24"], "", id="confirmed"),
        pytest.param("kube-router", [node()], ["10.244.1.0/24"], "", id="none-seen"),
        pytest.param(
            "kube-router", [node(), UNEXPECTED], ["10.244.1.0/24"], "10.99.0.5", id="an-unexpected-address-is-named"
        ),
        pytest.param("calico", [node()], [], "No pod address", id="calico-with-none-seen"),
        pytest.param("calico", [node(), pod("p1", ip="10.244.1.5")], ["10.244.1.0/24"], "", id="calico-confirmed"),
        pytest.param("calico", [node(), UNEXPECTED], [], "10.99.0.5", id="calico-elsewhere"),
        pytest.param("azure-npm", [node(), UNEXPECTED], [], "10.99.0.5", id="azure-without-overlay"),
        pytest.param(
            "calico", [node(), named("IPPool", "p", {"cidr": "10.0.0.0/16"})], ["10.0.0.0/16"], "", id="pools"
        ),
        pytest.param("aws-vpc-cni", [node()], [], "share one network", id="shared"),
        pytest.param("cilium", [node()], [], "", id="never-on-cilium"),
        pytest.param("kube-router", [node(pods=[])], [], "not known", id="unknown"),
        pytest.param(
            "kube-router",
            [node(), pod("p1", ip="10.99.0.5", hostNetwork=True), pod("p2", ip="192.0.2.1")],
            ["10.244.1.0/24"],
            "",
            id="node-addresses-are-not-unexpected",
        ),
    ],
)
def test_pod_ranges_and_where_they_are_unsure(cni: str, objects: Any, excluded: list[str], because: str) -> None:
    """The ranges that are excluded from wider blocks, and why a block may still admit pods."""
    ranges = pod_ranges(snapshot(*objects), CNIS[cni])
    assert excluded == list(map(str, ranges.excluded))
    assert because in ranges.open_because
    assert bool(because) == bool(ranges.open_because)


def test_a_range_with_an_unexpected_address_may_hold_pods() -> None:
    """Not a block of one address, which is intended, and not a range elsewhere."""
    ranges = pod_ranges(snapshot(node(), UNEXPECTED), CNIS["kube-router"])
    wide, single, apart = (blocks([network(text)])[0] for text in ("10.99.0.0/16", "10.99.0.5", "8.0.0.0/8"))
    without = blocks([network("10.99.0.0/16")], [network("10.99.0.0/24")])[0]
    assert [True, False, False, False] == [ranges.can_hold_pods(block) for block in (wide, single, apart, without)]


def many(count: int, base: str = "10.99.0") -> list[Any]:
    """Pods with addresses outside the nodes' podCIDRs."""
    return [pod(f"p{number}", ip=f"{base}.{number}") for number in range(1, count + 1)]


@pytest.mark.parametrize(
    "pods, unexpected, message",
    [
        pytest.param(many(1), ["10.99.0.1/32"], "The pod address 10.99.0.1 lies outside", id="one"),
        pytest.param(
            many(MOST_UNEXPECTED),
            [f"10.99.0.{number}/32" for number in range(1, MOST_UNEXPECTED + 1)],
            "The pod address 10.99.0.1 lies outside",
            id="as-many-as-are-kept",
        ),
        pytest.param(many(200), ["10.99.0.0/24"], "Pod addresses in 10.99.0.0/24 lie outside", id="one-range"),
        pytest.param(
            [pod(f"p{n}", ip=f"10.99.{n}.1") for n in range(40)],
            ["10.99.0.0/20", "10.99.16.0/20", "10.99.32.0/20"],
            "Pod addresses in 10.99.0.0/20 lie outside",
            id="many-ranges",
        ),
        pytest.param(
            [pod(f"p{n}", ip=f"{n}.0.0.1") for n in range(11, 111)],
            ["0.0.0.0/0"],
            "Pod addresses in 0.0.0.0/0 lie outside",
            id="everywhere",
        ),
        pytest.param(
            [*many(20), pod("six", ip="2001:db8::5")],
            ["10.99.0.0/24", "2001:db8::/64"],
            "Pod addresses in 10.99.0.0/24 lie outside",
            id="both-families",
        ),
    ],
)
def test_unexpected_pod_addresses_become_few_networks(pods: list[Any], unexpected: list[str], message: str) -> None:
    """However many addresses there are."""
    ranges = pod_ranges(snapshot(node(), *pods), CNIS["kube-router"])
    assert unexpected == list(map(str, ranges.unexpected))
    assert message in ranges.open_because


def affects(before: list[Any], removed: list[Any], added: list[Any], cni: str = "kube-router", **network: Any) -> bool:
    """Whether pod events invalidate the facts: for each event, with the pods that exist after it."""
    invalidation = Invalidation(cluster_facts(snapshot(node(), *before, cni=cni, **network)))
    kinds = {kind.kind: kind for kind in KINDS}
    there = list(before)
    answers = []
    for raw, old, new in [*((raw, raw, None) for raw in removed), *((raw, None, raw) for raw in added)]:
        there = [other for other in there if other is not old] + ([new] if new else [])
        kind = kinds[raw["kind"]]
        before_it, after_it = (kind.parse(value) if value else None for value in (old, new))
        key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        left = snapshot(node(), *there, cni=cni, **network)
        answers.append(invalidation.affects_facts(kind, key, before_it, after_it, left))
    return any(answers)


CROWD = many(40)
ENDPOINTS = named("EndpointSlice", "web-1", labels={"kubernetes.io/service-name": "web"}) | {
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.99.0.5"], "targetRef": {"kind": "Pod", "name": "p1"}}],
}


@pytest.mark.parametrize(
    "before, removed, added, affected",
    [
        pytest.param([], [], [pod("x", ip="10.244.1.9")], False, id="inside-the-pod-cidrs"),
        pytest.param([], [], [pod("x", ip="10.99.0.5")], True, id="the-first-one-outside"),
        pytest.param([UNEXPECTED], [], [pod("x", ip="10.99.0.5")], False, id="an-address-that-is-known"),
        pytest.param([UNEXPECTED], [], [pod("x", ip="10.99.0.6")], True, id="one-more"),
        pytest.param(CROWD, [], [pod("x", ip="10.99.0.40")], False, id="known-beyond-what-is-kept-one-by-one"),
        pytest.param(CROWD, [], [pod("x", ip="10.99.0.77")], False, id="in-a-range-that-is-known"),
        pytest.param(CROWD, CROWD[:30], [], False, id="some-of-a-range-go"),
        pytest.param(CROWD, CROWD, [], True, id="all-of-a-range-go"),
        pytest.param([UNEXPECTED], [UNEXPECTED], [], True, id="the-last-one-goes"),
        pytest.param(
            [pod("p0", ip="10.244.1.8"), UNEXPECTED], [UNEXPECTED], [], True, id="only-expected-ones-are-left"
        ),
        pytest.param([UNEXPECTED, ENDPOINTS], [UNEXPECTED], [], False, id="its-endpoint-is-still-there"),
        pytest.param([UNEXPECTED, ENDPOINTS], [UNEXPECTED, ENDPOINTS], [], True, id="its-endpoint-goes-too"),
        pytest.param([], [], [pod("x", ip="10.99.0.5", hostNetwork=True)], False, id="on-the-node-s-network"),
        pytest.param([], [], [pod("x", ip="192.0.2.1")], False, id="with-its-node-s-address"),
        pytest.param([], [], [pod("x", ip="")], False, id="without-an-address"),
    ],
)
def test_only_a_new_pod_address_changes_the_facts(
    before: list[Any], removed: list[Any], added: list[Any], affected: bool
) -> None:
    """A known one never does, however many there are."""
    assert affected == affects(before, removed, added)


@pytest.mark.parametrize(
    "cni, network, before, affected",
    [
        pytest.param("cilium", {}, [], False, id="pods-are-matched-by-identity"),
        pytest.param("aws-vpc-cni", {}, [], False, id="pods-share-their-ranges"),
        pytest.param("kube-router", {"podCIDRs": ["10.0.0.0/16"]}, [], False, id="configured-ranges"),
        pytest.param("calico", {}, [named("IPPool", "p", {"cidr": "10.0.0.0/16"})], False, id="pools-of-calico"),
        pytest.param("calico", {}, [], True, id="calico-sees-its-first-pod"),
        pytest.param("calico", {}, [pod("p1", ip="10.244.1.8")], False, id="calico-sees-its-second"),
        pytest.param("azure-npm", {}, [UNEXPECTED], False, id="inside-while-others-are-outside"),
    ],
)
def test_pod_addresses_matter_for_pod_cidrs_of_nodes_only(
    cni: str, network: Any, before: list[Any], affected: bool
) -> None:
    """Other pod ranges do not depend on pods."""
    assert affected == affects(before, [], [pod("x", ip="10.244.1.9")], cni, **network)


def test_without_pod_cidrs_pod_addresses_do_not_matter() -> None:
    """There is nothing to exclude."""
    facts = cluster_facts(snapshot(node(pods=[]), cni="kube-router"))
    added = BY_KIND["Pod"].parse(pod("x", ip="10.244.1.9"))
    assert not Invalidation(facts).affects_facts(BY_KIND["Pod"], ("shop", "x"), None, added, snapshot(node(pods=[])))


def test_a_block_within_the_pod_ranges_is_dropped() -> None:
    """Nothing of it is outside."""
    ranges = pod_ranges(snapshot(node(pods=["10.0.0.0/25", "10.0.0.128/26", "10.0.0.192/27"])), CNIS["kube-router"])
    left = blocks([network("10.0.0.0/24")], [network("10.0.0.224/27")])
    assert ((), True) == ranges.exclude(left)


@pytest.mark.parametrize(
    "left, right, meet",
    [
        pytest.param("a.example.com", "A.example.com", True, id="the-same"),
        pytest.param("*.example.com", "a.example.com", True, id="a-wildcard-holds-it"),
        pytest.param("a.b.example.com", "*.example.com", True, id="also-more-labels"),
        pytest.param("*.example.com", "*.a.example.com", True, id="two-wildcards"),
        pytest.param("*.example.com", "*.example.org", False, id="two-that-do-not"),
        pytest.param("*.example.com", "example.com", False, id="not-the-bare-name"),
        pytest.param("a.example.com", "b.example.com", False, id="two-names"),
    ],
)
def test_host_names_match_with_wildcards(left: str, right: str, meet: bool) -> None:
    """https://gateway-api.sigs.k8s.io/reference/spec/#hostname"""
    assert meet == hostnames_meet(left, right) == hostnames_meet(right, left)


@pytest.mark.parametrize(
    "value, expected",
    [
        pytest.param(80, 80, id="a-number"),
        pytest.param("80", 80, id="digits"),
        pytest.param("http", "http", id="a-name"),
        pytest.param("²", "²", id="a-digit-of-another-script"),
        pytest.param(True, None, id="a-boolean"),
        pytest.param("", None, id="nothing"),
        pytest.param(8.5, None, id="a-fraction"),
    ],
)
def test_a_port_is_a_number_or_a_name(value: Any, expected: int | str | None) -> None:
    """As Kubernetes' IntOrString."""
    assert expected == port(value)


def test_the_path_of_a_kind() -> None:
    """The core group is below /api, every other group below /apis."""
    paths = {kind.kind: kind.path(kind.versions[0]) for kind in KINDS}
    assert ("/api/v1/services", "/apis/networking.k8s.io/v1/ingresses") == (paths["Service"], paths["Ingress"])


def theirs(*rules: Any, selector: Any = None) -> Any:
    spec = {"podSelector": selector or {}, "policyTypes": ["Ingress"], "ingress": list(rules)}
    return named("NetworkPolicy", "theirs", spec)


TCP_8080 = [{"port": 8080}]


@pytest.mark.parametrize(
    "foreign, reopens",
    [
        pytest.param(theirs({}), True, id="everyone"),
        pytest.param(
            theirs({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": TCP_8080}), True, id="a-range-more"
        ),
        pytest.param(
            theirs({"from": [{"ipBlock": {"cidr": "203.0.113.0/25"}}], "ports": TCP_8080}),
            False,
            id="a-part-of-the-operators",
        ),
        pytest.param(
            theirs({"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": TCP_8080}), False, id="the-same"
        ),
        pytest.param(
            theirs({"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 22}]}),
            True,
            id="another-port",
        ),
        pytest.param(theirs({"from": [{"podSelector": {}}], "ports": TCP_8080}), True, id="pods-more"),
        pytest.param(theirs(), False, id="no-one"),
        pytest.param(theirs({}, selector={"matchLabels": {"app": "db"}}), False, id="of-other-pods"),
        pytest.param(theirs({}, selector={"matchLabels": {"pod": "one"}}), True, id="of-one-of-the-pods"),
    ],
)
def test_a_wider_policy_of_others_is_named(foreign: Any, reopens: bool) -> None:
    """It admits what the operator's policy denies."""
    resolution = resolved(
        policy(clients={"cidrs": ["203.0.113.0/24"]}),
        service(externalTrafficPolicy="Local"),
        pod("web-1", labels={"app": "web", "pod": "one"}),
        foreign,
        cni="calico",
    )
    assert reopens == ("AdditivePolicy" in reasons(resolution))


def test_a_service_without_pods_of_its_own_is_not_reopened() -> None:
    """It admits nothing, so no other policy adds to it."""
    assert "AdditivePolicy" not in reasons(resolved(policy(), service(selector=None), theirs({})))


def test_a_name_conflict_is_reported() -> None:
    """An object that the operator did not write is never overwritten."""
    name_conflicts = named("NetworkPolicy", "exposure-to-web", {"podSelector": {}})
    assert "ForeignPolicySameName" in reasons(resolved(policy(), service(), name_conflicts))


@pytest.mark.parametrize(
    "objects, spots, written",
    [
        pytest.param([pod("a", hostNetwork=True)], True, False, id="all-pods-on-their-nodes"),
        pytest.param([pod("a", hostNetwork=True), pod("b")], True, True, id="some"),
        pytest.param([pod("b")], False, True, id="none"),
    ],
)
def test_host_network_pods_have_no_policy(objects: Any, spots: bool, written: bool) -> None:
    """No policy can select them. Where there are no other pods, none is written."""
    resolution = resolved(policy(), service(), *objects)
    assert spots == ("HostNetworkBackends" in reasons(resolution))
    assert written == ("exposure-to-web" in {made.name for made in resolution.policies})


@pytest.mark.parametrize(
    "service_, reason",
    [
        pytest.param(service(type="LoadBalancer", selector={}), "SelectorMissing", id="an-empty-selector"),
        pytest.param(service(selector=None), "SelectorMissing", id="none"),
    ],
)
def test_a_service_without_a_selector_has_no_policy(service_: Any, reason: str) -> None:
    """An empty podSelector would open the whole namespace. The default deny holds."""
    resolution = resolved(policy(), service_)
    assert reason in reasons(resolution)
    assert {"exposure-default-deny"} == {written.name for written in resolution.policies}


def test_azure_npm_does_not_filter_cluster_traffic() -> None:
    """Reported where it matters, and only there."""
    assert "PolicyNotEnforced" in reasons(resolved(policy(), service(), node(), cni="azure-npm"))
    local = resolved(policy(), service(externalTrafficPolicy="Local"), node(), cni="azure-npm")
    assert "PolicyNotEnforced" not in reasons(local)


def test_a_cache_never_changes_the_result() -> None:
    """It is used where every input is equal, and dropped by namespace."""
    here = snapshot(policy(), service(), node())
    known, cache = cluster_facts(here), ResolveCache()
    first = resolve(here, known, "shop", cache)
    assert first == resolve(here, known, "shop", cache) == resolve(here, known, "shop")
    cache.forget("other")
    assert cache.entries
    cache.forget("shop")
    assert not cache.entries


INGRESS = named(
    "Ingress",
    "shop",
    {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]},
    status={"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}},
)
WEBHOOK = named("ValidatingWebhookConfiguration", "check") | {
    "webhooks": [{"clientConfig": {"service": {"name": "hook", "namespace": "hooks", "port": 443}}}]
}


@pytest.mark.parametrize(
    "added, concerned",
    [
        pytest.param(pod("x", ip="10.244.1.8"), [], id="a-pod-like-others"),
        pytest.param(INGRESS, ["shop"], id="an-entry-point-of-this-namespace"),
        pytest.param(WEBHOOK, ["hooks"], id="a-webhook-there"),
        pytest.param(node("n2", "192.0.2.2"), None, id="a-node-concerns-every-namespace"),
        pytest.param(agent("calico-node"), None, id="so-does-a-cni"),
    ],
)
def test_a_change_concerns_only_some_namespaces(added: Any, concerned: list[str] | None) -> None:
    """Only they are resolved again."""
    objects = [service(ip="203.0.113.9"), node()]
    before, after = cluster_facts(snapshot(*objects)), cluster_facts(snapshot(*objects, added))
    expected = None if concerned is None else frozenset(concerned)
    assert expected == after.affected(before)
    assert frozenset() == after.affected(after)
    assert after.affected(None) is None


def test_a_gateway_shows_its_backends_in_other_namespaces() -> None:
    """Its Exposure has what the policy of the other namespace admits."""
    listener = {"name": "h", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    gateway = named("Gateway", "edge", {"listeners": [listener]}, namespace="infra")
    parent, backend = {"name": "edge", "namespace": "infra"}, {"name": "web", "port": 80}
    route = named("HTTPRoute", "r", {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]})
    before, after = cluster_facts(snapshot(gateway, service())), cluster_facts(snapshot(gateway, service(), route))
    assert frozenset({"infra", "shop"}) == after.affected(before)


@pytest.mark.parametrize(
    "spec, message",
    [
        pytest.param(
            {"entryPoints": ["LoadBalancer"]},
            "do not list Ingress",
            id="an-entry-point-that-is-not-opened",
        ),
        pytest.param({"ports": [443]}, "no such port", id="a-port-that-is-not-there"),
        pytest.param(
            {"clients": {"cidrs": ["2001:db8::/32"]}, "entryPoints": ["Ingress"]},
            "no address in common",
            id="clients-of-the-other-family",
        ),
    ],
)
def test_a_backend_that_is_not_open_is_reported(spec: Any, message: str) -> None:
    """The Exposure of the entry point names the backend and what its policy does not admit."""
    path = {"backend": {"service": {"name": "web", "port": {"number": 8088 if "no such" in message else 80}}}}
    ingress = {**INGRESS, "spec": {"rules": [{"http": {"paths": [path]}}]}}
    own = service(ip="203.0.113.10", ports=[{"port": 80, "targetPort": 8080}, {"port": 443, "targetPort": 8443}])
    resolution = resolved(policy(**spec), own, ingress, node(), cni="calico")
    messages = [
        spot.message
        for spot in the_exposure(resolution, "ingress-shop").blind_spots
        if spot.reason == "BackendNotGranted"
    ]
    assert any(message in text for text in messages)
    assert not [peer for peer in admitted(resolution) if peer.startswith("pods")]


def test_a_paused_policy_keeps_what_it_would_change() -> None:
    """While one policy of several is paused, its NetworkPolicies and the default deny stay as they are."""
    resolution = resolved(policy("a", mode="Paused"), service())
    assert {"exposure-to-web", "exposure-default-deny", "exposure-same-namespace"} == resolution.frozen
    both = resolved(policy("a", mode="Paused"), policy("b", services={"names": ["api"]}), service())
    assert frozenset({"exposure-to-web"}) == both.frozen
    assert {"exposure-default-deny"} == {written.name for written in both.policies}


def test_a_gateway_over_namespaces_of_several_modes_is_enforced_as_a_whole() -> None:
    """One ClusterExposurePolicy governs backends of an audited and of an enforced namespace."""
    listener = {"name": "h", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    gateway = named("Gateway", "edge", {"listeners": [listener]}, namespace="infra")
    parent, backend = {"name": "edge", "namespace": "infra"}, {"name": "web", "port": 80}
    spec = {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]}
    objects = [
        gateway,
        cluster_policy(limits={"allowModes": ["Enforce", "Audit"]}),
        named("Namespace", "shop", annotations={"exposure.dev/mode": "Audit"}),
        *(named("Namespace", name) for name in ("media", "infra")),
        *({**(raw := service()), "metadata": {**raw["metadata"], "namespace": name}} for name in ("shop", "media")),
        *(named("HTTPRoute", "r", spec, namespace=name) for name in ("shop", "media")),
    ]
    assert "Enforce" == the_exposure(resolved(*objects, namespace="infra"), "gateway-edge").mode


def test_an_accepted_audit_admits_nothing_now() -> None:
    """Nothing was written for it, so enforcing it would open entry points."""
    last = {"lastAccepted": {"spec": {"mode": "Audit"}}}
    resolution = resolved(policy(status=last, ports=["80"]), service(), cni="cilium")
    assert set() == admitted(resolution)
