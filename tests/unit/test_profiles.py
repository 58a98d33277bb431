"""Which load balancer stands before an entry point, how its traffic arrives, and whose ranges count."""

from typing import Any

import pytest

from exposure.addresses import network
from exposure.model.intent import LoadBalancerOverrides
from exposure.model.objects import Service
from exposure.resolve import cluster_facts
from exposure.resolve.arrival import Arrival, LoadBalancer
from exposure.resolve.clients import families_of, own_ranges
from exposure.resolve.profiles import ingress_profile, profile_of
from tests.unit.snapshots import named, node, service, snapshot

BETA = "service.beta.kubernetes.io/"
NLB, ATTRIBUTES = f"{BETA}aws-load-balancer-type", f"{BETA}aws-load-balancer-target-group-attributes"
PROBE_PORT = f"{BETA}aws-load-balancer-healthcheck-port"
NONE = LoadBalancerOverrides()


def parsed(**spec: Any) -> Service:
    return snapshot(service(**spec)).services["shop"]["web"]


def profile(annotations: Any = None, provider_id: str = "", kubelet: str = "", profile: str = "", **spec: Any) -> str:
    """The slug that is chosen, and the delivery behind it."""
    raw = node(providerID=provider_id)
    raw["status"]["nodeInfo"] = {"kubeletVersion": kubelet}
    here = snapshot(raw, service(annotations=annotations, **spec))
    overrides = LoadBalancerOverrides(profile or None)
    row = profile_of(here.services["shop"]["web"], overrides, cluster_facts(here))
    return f"{row.slug} {row.delivery}"


@pytest.mark.parametrize(
    "given, expected",
    [
        pytest.param({}, "metallb node", id="nothing-said-on-premises"),
        pytest.param({"provider_id": "aws:///eu/i-1"}, "aws-classic node", id="by-the-nodes"),
        pytest.param({"provider_id": "linode://1"}, "unknown node", id="a-cloud-that-no-row-knows"),
        pytest.param({"provider_id": "cn-hangzhou.i-bp1"}, "alibaba-clb node", id="alibaba-s-own-form"),
        pytest.param(
            {"provider_id": "aws:///i-1", "annotations": {NLB: "nlb"}}, "aws-nlb-instance node", id="annotation"
        ),
        pytest.param({"annotations": {NLB: "nlb-ip"}}, "aws-nlb-ip pod", id="annotation-in-one-word"),
        pytest.param({"loadBalancerClass": "service.k8s.aws/nlb"}, "aws-nlb-instance node", id="class-without-target"),
        pytest.param({"loadBalancerClass": "eks.amazonaws.com/nlb"}, "aws-nlb-ip pod", id="auto-mode-targets-pods"),
        pytest.param(
            {
                "loadBalancerClass": "eks.amazonaws.com/nlb",
                "annotations": {f"{BETA}aws-load-balancer-nlb-target-type": "instance"},
            },
            "aws-nlb-instance node",
            id="auto-mode-with-instances",
        ),
        pytest.param({"loadBalancerClass": "example.com/lb"}, "unknown node", id="an-unknown-class"),
        pytest.param(
            {"loadBalancerClass": "example.com/lb", "annotations": {NLB: "nlb"}},
            "unknown node",
            id="beside-an-unknown-class-annotations-say-nothing",
        ),
        pytest.param({"provider_id": "metal3://n1"}, "metallb node", id="a-platform-without-load-balancers"),
        pytest.param({"loadBalancerClass": "io.cilium/l2-announcer"}, "cilium node", id="cilium-s-class"),
        pytest.param({"profile": "azure", "loadBalancerClass": "metallb"}, "azure node", id="a-policy-s-word-wins"),
        pytest.param({"profile": "digitalocean", "kubelet": "v1.33.1"}, "digitalocean node", id="digitalocean-1-33"),
        pytest.param(
            {"profile": "aws-alb", "annotations": {"alb.ingress.kubernetes.io/target-type": "ip"}},
            "aws-alb pod",
            id="alb-to-pods",
        ),
        pytest.param({"profile": "aws-alb"}, "aws-alb node", id="alb-to-nodes"),
        pytest.param({"loadBalancerClass": "alibabacloud.com/nlb"}, "alibaba-nlb pod", id="alibaba-nlb"),
        pytest.param({"provider_id": "k3s://n1", "kubelet": "garbled"}, "k3s node", id="an-unreadable-version"),
        pytest.param({"provider_id": "k3s://n1", "kubelet": "v1"}, "k3s node", id="a-version-without-a-minor"),
    ],
)
def test_profiles(given: Any, expected: str) -> None:
    """The policy's profile, then class, annotations, the nodes' provider, the configured one."""
    assert expected == profile(**given)


@pytest.mark.parametrize(
    "kubelet, annotation, preserved",
    [
        pytest.param("v1.33.0", None, True, id="network-load-balancers-since-1-33"),
        pytest.param("v1.32.9", None, False, id="proxies-before"),
        pytest.param("v1.33.0", "REGIONAL", False, id="as-asked-for"),
        pytest.param("v1.32.9", "REGIONAL_NETWORK", True, id="as-asked-for-before"),
    ],
)
def test_digitalocean(kubelet: str, annotation: str | None, preserved: bool) -> None:
    """The type decides whether the client's address is kept, and the version decides the type."""
    raw = node(providerID="digitalocean://1")
    raw["status"]["nodeInfo"] = {"kubeletVersion": kubelet}
    notes = {f"{BETA}do-loadbalancer-type": annotation} if annotation else {}
    here = snapshot(raw, service(annotations=notes))
    assert preserved == bool(profile_of(here.services["shop"]["web"], NONE, cluster_facts(here)).preserved)


TCPSSL = f"{BETA}alibaba-cloud-loadbalancer-protocol-port"
GROUP_TYPE = f"{BETA}alibaba-cloud-loadbalancer-server-group-type"


def arriving(slug: str, overrides: LoadBalancerOverrides = NONE, ip: str = "", **more: Any) -> Arrival:
    """How traffic for the first port arrives through that profile."""
    here = snapshot(service(ip=ip, **more))
    own = here.services["shop"]["web"]
    chosen = profile_of(own, LoadBalancerOverrides(slug), cluster_facts(here))
    families, annotations = families_of(own, ()), dict(own.annotations)
    balancer = LoadBalancer(chosen, own, overrides, cluster_facts(here), families, own.published, annotations)
    return balancer.arrival(own.ports[0])


@pytest.mark.parametrize(
    "slug, more, kept",
    [
        pytest.param("aws-nlb-instance", {}, True, id="instance-targets"),
        pytest.param(
            "aws-nlb-instance", {"annotations": {ATTRIBUTES: "a=b,preserve_client_ip.enabled=false"}}, False, id="off"
        ),
        pytest.param("aws-nlb-instance", {"annotations": {ATTRIBUTES: "a=b"}}, True, id="of-other-attributes"),
        pytest.param("aws-nlb-ip", {}, False, id="ip-targets"),
        pytest.param("aws-nlb-ip", {"annotations": {ATTRIBUTES: "preserve_client_ip.enabled=true"}}, True, id="on"),
        pytest.param(
            "aws-nlb-ip",
            {"annotations": {ATTRIBUTES: "x=y", f"{ATTRIBUTES}.80": "preserve_client_ip.enabled=true"}},
            True,
            id="for-one-port",
        ),
        pytest.param("aws-nlb-ip", {"ports": [{"port": 53, "protocol": "UDP"}]}, True, id="udp-is-kept"),
        pytest.param(
            "aws-nlb-ip",
            {
                "ports": [{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}],
                "annotations": {f"{BETA}aws-load-balancer-enable-tcp-udp-listener": "true"},
            },
            True,
            id="one-target-group-for-both",
        ),
        pytest.param(
            "aws-nlb-ip",
            {"ports": [{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]},
            False,
            id="two-target-groups",
        ),
        pytest.param("oci-nlb", {"externalTrafficPolicy": "Local"}, True, id="oci-local"),
        pytest.param("oci-nlb", {}, False, id="oci-cluster"),
        pytest.param("alibaba-nlb", {}, True, id="alibaba"),
        pytest.param("alibaba-nlb", {"annotations": {TCPSSL: "tcpssl:443"}}, False, id="alibaba-tls"),
        pytest.param("alibaba-nlb", {"annotations": {GROUP_TYPE: "Ip"}}, False, id="alibaba-ip-groups"),
    ],
)
def test_the_client_s_address(slug: str, more: Any, kept: bool) -> None:
    """Kept or not: by profile, protocol, switch and externalTrafficPolicy."""
    assert kept == arriving(slug, **more).preserved


@pytest.mark.parametrize(
    "more, port",
    [
        pytest.param({}, None, id="the-target-port-itself"),
        pytest.param({"annotations": {PROBE_PORT: "8081"}}, 8081, id="another"),
        pytest.param({"annotations": {PROBE_PORT: "traffic-port"}}, None, id="traffic-port"),
        pytest.param({"annotations": {PROBE_PORT: "http"}}, 8080, id="a-service-port-by-name"),
        pytest.param({"annotations": {PROBE_PORT: "nowhere"}}, None, id="a-name-of-nothing"),
        pytest.param({"annotations": {PROBE_PORT: "99999"}}, None, id="no-port-at-all"),
    ],
)
def test_probe_ports(more: Any, port: int | None) -> None:
    """Under pod delivery a health check may have a port of its own."""
    assert port == arriving("aws-nlb-ip", **more).probe_port


OWN = LoadBalancerOverrides(cidrs=(network("10.0.0.0/20"), network("2001:db8::/64")))


@pytest.mark.parametrize(
    "slug, overrides, more, own, probes",
    [
        pytest.param("metallb", NONE, {}, [], [], id="none-arrive"),
        pytest.param("aws-classic", NONE, {}, None, None, id="unknown-until-configured"),
        pytest.param("aws-classic", OWN, {}, OWN.cidrs, OWN.cidrs, id="configured"),
        pytest.param("hetzner", NONE, {"ip": "203.0.113.10"}, ["203.0.113.10"], ["203.0.113.10"], id="published"),
        pytest.param("hetzner", NONE, {"ip": "10.0.0.3"}, None, None, id="a-private-one-without-the-switch"),
        pytest.param(
            "hetzner",
            NONE,
            {"ip": "10.0.0.3", "annotations": {"load-balancer.hetzner.cloud/use-private-ip": "true"}},
            ["10.0.0.3"],
            ["10.0.0.3"],
            id="private-ones-where-they-are-used",
        ),
        pytest.param(
            "aws-nlb-instance", OWN, {"externalTrafficPolicy": "Local"}, OWN.cidrs, [], id="probes-end-at-the-node"
        ),
        pytest.param(
            "aws-nlb-instance",
            OWN,
            {"externalTrafficPolicy": "Local", "annotations": {PROBE_PORT: "traffic-port"}},
            OWN.cidrs,
            OWN.cidrs,
            id="unless-the-traffic-port-is-probed",
        ),
        pytest.param(
            "metallb",
            LoadBalancerOverrides(health_check_cidrs=(network("10.9.0.0/24"),)),
            {},
            [],
            ["10.9.0.0/24"],
            id="a-policy-s-probes-always",
        ),
    ],
)
def test_the_balancer_s_own_addresses(slug: str, overrides: Any, more: Any, own: Any, probes: Any) -> None:
    """L and H; None where they are needed and not known."""
    arrives = arriving(slug, overrides, **more)
    for expected, actual in ((own, arrives.load_balancer), (probes, arrives.probes)):
        assert (None if expected is None else [network(str(text)) for text in expected]) == (
            None if actual is None else list(actual)
        )


@pytest.mark.parametrize(
    "more, beside",
    [
        pytest.param({}, OWN.cidrs, id="private-link-clients"),
        pytest.param({"ipFamilies": ["IPv4", "IPv6"]}, (OWN.cidrs[1], *OWN.cidrs), id="ipv4-clients-of-ipv6-targets"),
    ],
)
def test_beside_the_clients(more: Any, beside: Any) -> None:
    """An NLB that keeps addresses still translates some clients to its own."""
    assert tuple(beside) == arriving("aws-nlb-instance", OWN, **more).beside_clients


TARGET_TYPE = "alb.ingress.kubernetes.io/target-type"
NEG = "cloud.google.com/neg"


def of_ingress(class_name: str, controller: str, notes: Any, service_notes: Any, provider_id: str = "") -> str:
    """The row of the load balancer that an Ingress of this class leads through, and its delivery."""
    spec = {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}
    ingress = named("Ingress", "shop", spec | ({"ingressClassName": class_name} if class_name else {}))
    ingress["metadata"]["annotations"] = notes
    objects = [ingress, service(annotations=service_notes), node(providerID=provider_id)]
    if controller:
        objects.append(named("IngressClass", class_name, {"controller": controller}))
    here = snapshot(*objects)
    return through(here, "Ingress")


def through(here: Any, kind: str) -> str:
    facts = cluster_facts(here)
    (route,) = (route for point in facts.ingress_points["shop"] if point.ref.kind == kind for route in point.routes)
    row = ingress_profile(route, here.services["shop"]["web"], facts)
    return f"{row.slug} {row.delivery}"


@pytest.mark.parametrize(
    "class_name, controller, notes, service_notes, expected",
    [
        pytest.param("alb", "", {}, {}, "aws-alb node", id="alb-instance"),
        pytest.param("own", "ingress.k8s.aws/alb", {}, {}, "aws-alb node", id="alb-by-its-controller"),
        pytest.param("alb", "eks.amazonaws.com/alb", {}, {}, "aws-alb pod", id="alb-of-auto-mode"),
        pytest.param(
            "alb", "eks.amazonaws.com/alb", {TARGET_TYPE: "instance"}, {}, "aws-alb node", id="auto-mode-as-written"
        ),
        pytest.param("alb", "", {TARGET_TYPE: "ip"}, {}, "aws-alb pod", id="by-the-ingress"),
        pytest.param(
            "alb", "", {TARGET_TYPE: "ip"}, {TARGET_TYPE: "instance"}, "aws-alb node", id="the-service-s-own-wins"
        ),
        pytest.param("gce", "", {}, {}, "gke-instance-group node", id="gke-without-neg"),
        pytest.param("gce", "", {}, {NEG: "{}"}, "gke-neg pod", id="gke-with-neg"),
        pytest.param("gce-internal", "", {}, {}, "gke-envoy pod", id="envoy"),
    ],
)
def test_load_balancers_of_ingresses(
    class_name: str, controller: str, notes: Any, service_notes: Any, expected: str
) -> None:
    """By the class and its controller. Targets are pods or node ports, by annotation of the Ingress or the Service."""
    assert expected == of_ingress(class_name, controller, notes, service_notes)


def test_an_ingress_without_a_class() -> None:
    """On Google's nodes it is Google's own.

    https://cloud.google.com/kubernetes-engine/docs/concepts/ingress#deprecated_annotation
    """
    assert "gke-neg pod" == of_ingress("", "", {}, {NEG: "{}"}, "gce://p/z/n1")


@pytest.mark.parametrize(
    "class_name, expected",
    [
        pytest.param("gke-l7-gxlb", "gke-neg pod", id="gateways-use-negs"),
        pytest.param("gke-l7-gxlb-mc", "gke-neg pod", id="of-several-clusters"),
        pytest.param("gke-l7-rilb", "gke-envoy pod", id="internal"),
    ],
)
def test_load_balancers_of_gateways(class_name: str, expected: str) -> None:
    """https://cloud.google.com/kubernetes-engine/docs/concepts/gateway-api#gatewayclass"""
    listener = {"name": "h", "port": 80, "protocol": "HTTP"}
    gateway = named("Gateway", "edge", {"gatewayClassName": class_name, "listeners": [listener]})
    route = named(
        "HTTPRoute",
        "r",
        {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
    )
    assert expected == through(snapshot(gateway, route, service()), "Gateway")


RANGES, AZURE = f"{BETA}load-balancer-source-ranges", f"{BETA}azure-allowed-ip-ranges"


@pytest.mark.parametrize(
    "slug, spec, ranges, origin, reported",
    [
        pytest.param("metallb", {}, [], "", [], id="none"),
        pytest.param("metallb", {"loadBalancerSourceRanges": ["10.0.0.0/8"]}, ["10.0.0.0/8"], "field", [], id="field"),
        pytest.param(
            "metallb",
            {"loadBalancerSourceRanges": ["office"]},
            [],
            "field",
            [],
            id="what-is-no-range-admits-no-address",
        ),
        pytest.param(
            "gke-passthrough",
            {"annotations": {RANGES: "10.0.0.0/8, 192.0.2.0/24"}},
            ["10.0.0.0/8", "192.0.2.0/24"],
            "annotation",
            [],
            id="an-annotation-that-is-honoured",
        ),
        pytest.param(
            "metallb", {"annotations": {RANGES: "10.0.0.0/8"}}, [], "", ["AnnotationNotEnforced"], id="one-that-is-not"
        ),
        pytest.param(
            "gke-passthrough", {"annotations": {RANGES: "office"}}, [], "", ["AnnotationNotEnforced"], id="garbled"
        ),
        pytest.param(
            "aws-nlb-ip",
            {"annotations": {RANGES: "10.0.0.0/8"}, "loadBalancerClass": "eks.amazonaws.com/nlb"},
            [],
            "",
            ["AnnotationNotEnforced"],
            id="auto-mode-reads-the-field-alone",
        ),
        pytest.param(
            "azure",
            {"annotations": {AZURE: "10.0.0.0/8", RANGES: "192.0.2.0/24"}},
            ["10.0.0.0/8", "192.0.2.0/24"],
            "annotation",
            [],
            id="azure-both-annotations",
        ),
        pytest.param(
            "azure",
            {"annotations": {AZURE: "10.0.0.0/8"}, "loadBalancerSourceRanges": ["192.0.2.0/24"]},
            ["192.0.2.0/24"],
            "field",
            ["ConflictingSourceRanges"],
            id="azure-field-and-annotation",
        ),
        pytest.param(
            "azure",
            {"annotations": {f"{BETA}azure-allowed-service-tags": "AzureCloud"}},
            [],
            "",
            ["ServiceTagsNotExpressible"],
            id="service-tags",
        ),
    ],
)
def test_the_service_s_own_ranges(slug: str, spec: Any, ranges: list[str], origin: str, reported: list[str]) -> None:
    """From the field, or an annotation that this controller honours; never wider than what is understood."""
    here = snapshot(service(**spec))
    own = here.services["shop"]["web"]
    asked = own_ranges(own, profile_of(own, LoadBalancerOverrides(slug), cluster_facts(here)))
    assert (ranges, origin, reported) == (
        list(map(str, asked.networks)),
        asked.origin,
        [spot.reason for spot in asked.blind_spots],
    )


@pytest.mark.parametrize(
    "spec, pods, expected",
    [
        pytest.param({"ipFamilies": ["IPv6"], "clusterIPs": ["10.96.0.1"]}, (), ("IPv6",), id="ip-families"),
        pytest.param({"ipFamilies": None, "clusterIPs": ["2001:db8::1"]}, (), ("IPv6",), id="cluster-ips"),
        pytest.param({"ipFamilies": None, "clusterIPs": ["None"]}, ("IPv6",), ("IPv6",), id="the-pods"),
        pytest.param({"ipFamilies": None, "clusterIPs": None}, (), ("IPv4",), id="else-ipv4"),
    ],
)
def test_families(spec: Any, pods: Any, expected: tuple[str, ...]) -> None:
    """Of the Service as written, else of its addresses, else of the pods."""
    assert expected == families_of(parsed(**spec), pods)
