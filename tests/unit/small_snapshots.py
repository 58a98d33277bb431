"""Random small worlds, and what the policies that follow let through: addresses, pods and ports to be counted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from exposure.addresses import address
from exposure.labels import pairs
from exposure.model.exposures import Resolution
from exposure.networkpolicy.values import NetworkPolicy, Peer, Rule
from tests.unit.snapshots import Json, cluster_policy, named, node, pod, policy, service

CIDRS = ["0.0.0.0/0", "::/0", "203.0.113.0/24", "203.0.113.0/25", "198.51.100.0/24", "2001:db8:1::/48", "10.0.0.0/8"]
#: Who may come: clients inside and outside of those ranges, load balancers, pods, nodes; in both families.
OUTSIDE = ["203.0.113.5", "203.0.113.200", "198.51.100.7", "8.8.8.8", "10.9.9.9", "2001:db8:1::5", "2001:db8:9::9"]
NODES = ["192.0.2.1", "192.0.2.2", "2001:db8:f::1"]
PODS = ["10.244.1.9", "10.244.2.9"]
PORTS: list[int | str] = [8080, 8443, "http", 53]
POD_LABELS = [{"app": "web"}, {"app": "web", "tier": "edge"}, {"app": "db"}]

FAMILIES = st.sampled_from([["IPv4"], ["IPv6"], ["IPv4", "IPv6"]])
SERVICE_PORTS = st.lists(
    st.sampled_from(
        [
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "https", "port": 443, "targetPort": 8443},
            {"name": "named", "port": 81, "targetPort": "http"},
            {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
        ]
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda each: str(each["name"]),
)
ANNOTATIONS = st.sampled_from(
    [
        {},
        {"service.beta.kubernetes.io/load-balancer-source-ranges": "203.0.113.0/24"},
        {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"},
        {
            "service.beta.kubernetes.io/aws-load-balancer-type": "external",
            "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip",
        },
    ]
)


@st.composite
def services(draw: st.DrawFn, name: str) -> Json:
    selector: dict[str, str] | None = draw(st.sampled_from([*POD_LABELS, *POD_LABELS, None]))
    return service(
        name,
        annotations=draw(ANNOTATIONS),
        type=draw(st.sampled_from(["LoadBalancer", "LoadBalancer", "NodePort", "ClusterIP"])),
        selector=selector,
        ports=draw(SERVICE_PORTS),
        ipFamilies=draw(FAMILIES),
        clusterIPs=None,
        externalTrafficPolicy=draw(st.sampled_from(["Local", "Cluster"])),
        loadBalancerSourceRanges=draw(st.sampled_from([None, None, ["203.0.113.0/25"], ["2001:db8:1::/48"]])),
        externalIPs=draw(st.sampled_from([None, None, ["203.0.113.99"]])),
    )


@st.composite
def specs(draw: st.DrawFn) -> Json:
    """The spec of an ExposurePolicy, as a person may write it."""
    found: Json = {}
    if draw(st.booleans()):
        found["clients"] = {"cidrs": draw(st.lists(st.sampled_from(CIDRS), min_size=1, max_size=2, unique=True))}
    if draw(st.integers(0, 3)) == 0:
        found["clients"] = {**found.get("clients", {}), "unenforceable": "Deny"}
    if draw(st.integers(0, 2)) == 0:
        found["ports"] = draw(st.lists(st.sampled_from([80, 443, "http", 53]), min_size=1, max_size=2, unique=True))
    if draw(st.integers(0, 2)) == 0:
        found["entryPoints"] = ["LoadBalancer", "NodePort", "ExternalIP"]
    if draw(st.integers(0, 2)) == 0:
        found["peers"] = [{"podSelector": {"matchLabels": {"app": "db"}}}]
    if draw(st.booleans()):
        flags = st.dictionaries(st.sampled_from(["ingress", "egress", "allowSameNamespace"]), st.booleans())
        found["isolation"] = draw(flags)
    if draw(st.integers(0, 3)) == 0:
        found["egress"] = draw(
            st.sampled_from([{}, {"dns": False}, {"to": [{}]}, {"to": [{"ports": [{"port": 443}]}]}])
        )
    if draw(st.integers(0, 3)) == 0:
        found["loadBalancer"] = {"cidrs": ["10.9.0.0/16"]}
    return found


@st.composite
def limits(draw: st.DrawFn) -> Json:
    found: Json = {}
    if draw(st.booleans()):
        found["clients"] = {"cidrs": draw(st.lists(st.sampled_from(CIDRS), max_size=2, unique=True))}
    if draw(st.booleans()):
        found["ports"] = draw(st.lists(st.sampled_from([80, 443, 53]), max_size=2, unique=True))
    if draw(st.integers(0, 3)) == 0:
        found["allowPublic"] = False
    return found


@dataclass(frozen=True)
class Small:
    """Objects of one namespace `shop` with its cluster, and the configuration's `network`."""

    policies: dict[str, Json]
    platform: Json | None
    services: tuple[Json, ...]
    facts: tuple[Json, ...]
    network: Json

    def objects(self) -> list[Json]:
        own = [policy(name, **spec) for name, spec in self.policies.items()]
        above = [] if self.platform is None else [cluster_policy(**self.platform)]
        return [*own, *above, *self.services, *self.facts]


@st.composite
def small_snapshots(draw: st.DrawFn) -> Small:
    cni = draw(st.sampled_from(["calico", "kube-router", "aws-vpc-cni", "cilium", "ovn-kubernetes", "none", "auto"]))
    facts = [
        named("Namespace", "shop", labels={"team": "a"}),
        node("n1", NODES[0], pods=["10.244.1.0/24"]),
        node("n2", NODES[1], pods=["10.244.2.0/24"]),
        *(pod(f"p{n}", labels=labels, ip=f"10.244.1.{n + 5}") for n, labels in enumerate(POD_LABELS)),
    ]
    platform = None
    if draw(st.integers(0, 2)) == 0:
        platform = {"defaults": draw(specs()), "limits": draw(limits())}
        platform["defaults"].pop("isolation", None)
    return Small(
        {name: draw(specs()) for name in draw(st.sampled_from([["a"], ["a"], ["a", "b"]]))},
        platform,
        tuple(draw(services(name)) for name in draw(st.sampled_from([["web"], ["web", "api"]]))),
        tuple(facts),
        {"cni": cni, "loadBalancerCIDRs": draw(st.sampled_from([[], ["10.9.0.0/16"]]))},
    )


@dataclass(frozen=True)
class Caller:
    """An address, or a pod: its labels, in `shop` or elsewhere."""

    at: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    neighbour: bool = True


CALLERS = [
    *(Caller(at) for at in (*OUTSIDE, *NODES, *PODS)),
    Caller(labels=(("app", "db"),)),
    Caller(labels=(("app", "web"),)),
    Caller(labels=(("app", "db"),), neighbour=False),
]


def let_in(found: Resolution) -> set[tuple[int, Caller, int | str]]:
    """Every connection that gets through to a pod of `shop`: the pod, who calls, the port."""
    return {
        (index, caller, port)
        for index, labels in enumerate(POD_LABELS)
        for caller in CALLERS
        for port in PORTS
        if _passes([p for p in found.policies if p.spec.pod_selector.matches(pairs(labels))], caller, port)
    }


def _passes(policies: list[NetworkPolicy], caller: Caller, port: int | str) -> bool:
    isolating = [each.spec.ingress for each in policies if each.spec.ingress is not None]
    return not isolating or any(_admits(rule, caller, port) for rules in isolating for rule in rules)


def _admits(rule: Rule, caller: Caller, port: int | str) -> bool:
    at_port = rule.ports is None or any(each.port in (None, port) for each in rule.ports)
    return at_port and (rule.peers is None or any(_is(peer, caller) for peer in rule.peers))


def _is(peer: Peer, caller: Caller) -> bool:
    if peer.block is not None:
        at = address(caller.at)
        return at is not None and at in peer.block.cidr and not any(at in cut for cut in peer.block.excepts)
    if caller.at:
        return False
    if peer.namespaces is not None:
        # The only namespaces are shop and one without labels of interest.
        return peer.namespaces.empty and (peer.pods is None or peer.pods.matches(caller.labels))
    return caller.neighbour and (peer.pods is None or peer.pods.matches(caller.labels))


def all_rules(found: Resolution) -> Iterator[tuple[NetworkPolicy, str, Rule]]:
    for each in found.policies:
        yield from ((each, "ingress", rule) for rule in each.spec.ingress or ())
        yield from ((each, "egress", rule) for rule in each.spec.egress or ())


def narrower(spec: Json, by: str) -> Json:
    """The same intent, more restrictive in one respect."""
    result: dict[str, Any] = dict(spec)
    clients = dict(spec.get("clients", {}))
    match by:
        case "clients":
            clients["cidrs"] = ["203.0.113.0/25"]
        case "one-client-range-fewer":
            clients["cidrs"] = (clients.get("cidrs") or ["203.0.113.0/24"])[:1]
        case "except":
            clients["cidrs"] = clients.get("cidrs") or ["0.0.0.0/0", "::/0"]
            inside = {"0.0.0.0/0": "203.0.113.5/32", "::/0": "2001:db8:1::5/128"}
            clients["except"] = [inside[each] for each in clients["cidrs"] if each in inside] or None
        case "deny-what-cannot-be-held":
            clients["unenforceable"] = "Deny"
        case "ports":
            result["ports"] = spec["ports"][:1] if "ports" in spec else [80]
        case "no-peers":
            result.pop("peers", None)
        case "isolation":
            result["isolation"] = {"ingress": True, "egress": True, "allowSameNamespace": False}
        case "no-balancer":
            result.pop("loadBalancer", None)
        case _:
            raise AssertionError(by)
    if clients:
        result["clients"] = clients
    return result


NARROWINGS = (
    "clients",
    "one-client-range-fewer",
    "except",
    "deny-what-cannot-be-held",
    "ports",
    "no-peers",
    "isolation",
    "no-balancer",
)
