"""Objects with unexpected content: each is parsed, and its namespace is resolved."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exposure.parse.kinds import KINDS
from tests.examples import examples
from tests.unit.snapshots import Json, agent, cluster_policy, named, node, pod, policy, resolved, service
from tests.unit.test_parse_intent import JSON, spoilt

WEIRD = st.sampled_from(
    [
        "",
        "-",
        "None",
        "²",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "10.0.0.0/33",
        "010.0.0.1",
        "1.2.3",
        "/",
        "{}",
        "9" * 5000,
    ]
)
GATEWAY_API = "gateway.networking.k8s.io"
NODE_NOTES = {
    "projectcalico.org/IPv4IPIPTunnelAddr": "10.244.1.1",
    "k8s.ovn.org/node-gateway-router-lrp-ifaddr": '{"ipv4": "100.64.0.2/16"}',
    "flannel.alpha.coreos.com/public-ip": "192.0.2.1",
}
#: A cluster with an object of each kind, each of them used by another.
WHOLE: dict[str, Json] = {
    "service": service(
        ip="203.0.113.10",
        loadBalancerSourceRanges=["198.51.100.0/24"],
        externalIPs=["203.0.113.77"],
        annotations={
            "service.beta.kubernetes.io/aws-load-balancer-type": "external",
            "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip",
            "service.beta.kubernetes.io/aws-load-balancer-healthcheck-port": "8081",
            "service.beta.kubernetes.io/load-balancer-source-ranges": "198.51.100.0/24",
        },
    ),
    "node": node(annotations=NODE_NOTES, providerID="aws:///eu/i-1"),
    "pod": pod("web-1", ip="10.244.1.5", containers=[{"ports": [{"containerPort": 8080, "hostPort": 8080}]}]),
    "agent": agent("calico-node"),
    "slice": named("EndpointSlice", "web-x", labels={"kubernetes.io/service-name": "web"})
    | {
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["10.244.1.5"], "targetRef": {"kind": "Pod", "name": "web-1"}, "nodeName": "n1"}],
    },
    "api": named(
        "EndpointSlice", "kubernetes", namespace="default", labels={"kubernetes.io/service-name": "kubernetes"}
    )
    | {"addressType": "IPv4", "ports": [{"port": 6443}], "endpoints": [{"addresses": ["192.0.2.1"]}]},
    "dns": named(
        "Service",
        "kube-dns",
        {"selector": {"k8s-app": "kube-dns"}, "clusterIPs": ["10.96.0.53"], "ports": [{"port": 53, "protocol": "UDP"}]},
        namespace="kube-system",
    ),
    "kubernetes": named(
        "Service", "kubernetes", {"clusterIPs": ["10.96.0.1"], "ports": [{"port": 443}]}, namespace="default"
    ),
    "namespace": named("Namespace", "shop", labels={"team": "a"}, annotations={"exposure.dev/mode": "Enforce"}),
    "policy": policy(
        entryPoints=["LoadBalancer", "NodePort", "ExternalIP", "HostPort", "Ingress", "Gateway"],
        clients={"cidrs": ["0.0.0.0/0"]},
        egress={"apiServer": True, "to": [{}]},
    ),
    "cluster policy": cluster_policy(limits={"ports": [80, 443]}),
    "theirs": named("NetworkPolicy", "theirs", {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}),
    "pool": named("IPPool", "p", {"cidr": "10.244.0.0/16"}),
    "class": named("IngressClass", "nginx", {"controller": "k8s.io/ingress-nginx"}),
    "ingress": named(
        "Ingress",
        "shop",
        {
            "ingressClassName": "nginx",
            "rules": [{"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}],
        },
        status={"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}},
    ),
    "gateway class": named("GatewayClass", "eg", {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"}),
    "gateway": named(
        "Gateway",
        "edge",
        {"gatewayClassName": "eg", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        status={"addresses": [{"value": "203.0.113.10"}]},
    ),
    "route": named(
        "HTTPRoute",
        "web",
        {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
    ),
    "grant": named(
        "ReferenceGrant",
        "g",
        {"from": [{"group": GATEWAY_API, "kind": "HTTPRoute", "namespace": "shop"}], "to": [{"kind": "Service"}]},
    ),
}


@st.composite
def with_odd_texts(draw: st.DrawFn, whole: Any) -> Any:
    """The object with one of its strings replaced by one that is nearly right."""
    if isinstance(whole, dict) and whole:
        key = draw(st.sampled_from(sorted(whole)))
        return {**whole, key: draw(with_odd_texts(whole[key]))}
    if isinstance(whole, list) and whole:
        index = draw(st.integers(0, len(whole) - 1))
        return [*whole[:index], draw(with_odd_texts(whole[index])), *whole[index + 1 :]]
    return draw(WEIRD)


def keeps_its_name(raw: Any, of: Json) -> Json:
    """With its own kind and name, which the API server checks, and the reader of files."""
    content = raw if isinstance(raw, dict) else {}
    metadata = content.get("metadata")
    own = {key: of["metadata"][key] for key in ("name", "namespace") if key in of["metadata"]}
    return {**content, "kind": of["kind"], "metadata": {**(metadata if isinstance(metadata, dict) else {}), **own}}


@examples(25)
@pytest.mark.parametrize("spoil", [spoilt, with_odd_texts], ids=["anything", "nearly-right"])
@pytest.mark.parametrize("which", sorted(WHOLE))
@given(data=st.data(), cni=st.sampled_from(["auto", "aws-vpc-cni", "kube-router", "ovn-kubernetes", "cilium"]))
def test_a_namespace_is_resolved_whatever_one_object_has(which: str, cni: str, spoil: Any, data: st.DataObject) -> None:
    """One bad object must not keep a namespace, or the cluster, from being isolated."""
    odd = keeps_its_name(data.draw(spoil(WHOLE[which])), WHOLE[which])
    others = [whole for key, whole in WHOLE.items() if key != which]
    assert "shop" == resolved(odd, *others, cni=cni).namespace


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@given(content=st.dictionaries(st.sampled_from(["metadata", "spec", "status", "kind"]), JSON))
def test_any_json_becomes_a_value(kind: Any, content: Json) -> None:
    """For each kind that is read."""
    assert kind.parse(content) is not None
