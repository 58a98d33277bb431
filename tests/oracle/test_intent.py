"""From intent to connections, past everything in between: what people asked for is what an independent reader allows.

What should pass is computed here straight from the intent and the truth table, in `Intent`, with nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address, ip_network
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exposure.cli.gathering import Gathering, kind_of
from exposure.networkpolicy.render import network_policy_manifest
from exposure.parse.config import config
from exposure.plan.changes import make_plan
from exposure.resolve import cluster_facts, resolve
from tests.examples import examples
from tests.oracle.opinion import Nca
from tests.plan.evaluator import Party

Json = dict[str, Any]

NODES = {"n1": ("192.0.2.11", "10.244.1.0/24"), "n2": ("192.0.2.12", "10.244.2.0/24")}
OUTSIDE = ("203.0.113.7", "203.0.113.66", "198.51.100.7", "192.0.2.11", "192.0.2.12", "192.0.2.200")
RANGES = ("0.0.0.0/0", "203.0.113.0/24", "203.0.113.64/28", "198.51.100.0/24", "10.0.0.0/8", "10.244.1.0/24")
#: What each data plane does with traffic that comes by way of another node, and whether pod ranges can be cut out.
PLANES = {"calico": ("pre", True), "calico-ebpf": ("preserving", True), "aws-vpc-cni": ("post", False)}
NAMED = {"http": 8080}
PORTS = (8080, 8443, 9090)
APPS = ("web", "db")

ranges = st.lists(st.sampled_from(RANGES), min_size=1, max_size=2, unique=True)
peers = st.sampled_from(
    [
        [],
        [{"podSelector": {"matchLabels": {"app": "db"}}}],
        [{"namespaceSelector": {"matchLabels": {"team": "bank"}}}],
        [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}],
    ]
)


@st.composite
def services(draw: st.DrawFn) -> Json:
    kind = draw(st.sampled_from(["LoadBalancer", "LoadBalancer", "NodePort", "ClusterIP"]))
    some = draw(st.lists(st.sampled_from([80, 443]), min_size=1, unique=True))
    by_name: int | str = draw(st.one_of(st.just("http"), st.just(8080)))
    targets: dict[int, int | str] = {80: by_name, 443: 8443}
    local = kind != "ClusterIP" and draw(st.booleans())
    narrow = draw(st.one_of(st.none(), ranges)) if kind == "LoadBalancer" else None
    return {
        "type": kind,
        "selector": {"app": draw(st.sampled_from(APPS))},
        "ports": [{"name": f"p{port}", "port": port, "targetPort": targets[port]} for port in some],
        "ipFamilies": ["IPv4"],
        **({"externalTrafficPolicy": "Local"} if local else {}),
        **({"loadBalancerSourceRanges": narrow} if narrow else {}),
    }


@st.composite
def specs(draw: st.DrawFn) -> Json:
    clients: Json = {}
    if draw(st.booleans()):
        clients["cidrs"] = draw(ranges)
    if draw(st.booleans()):
        clients["unenforceable"] = draw(st.sampled_from(["Allow", "Deny"]))
    said = {
        "isolation": draw(
            st.dictionaries(st.sampled_from(["ingress", "egress", "allowSameNamespace"]), st.booleans(), max_size=3)
        ),
        "clients": clients,
        "peers": draw(peers),
        "ports": draw(st.sampled_from([None, [80], [443]])),
        "entryPoints": draw(st.sampled_from([None, ["LoadBalancer", "NodePort"]])),
    }
    return {key: value for key, value in said.items() if value}


@dataclass(frozen=True)
class Tenant:
    spec: Json | None
    services: list[Json]
    pods: list[str]


tenants = st.builds(
    Tenant,
    st.one_of(st.none(), specs(), specs()),
    st.lists(services(), max_size=2),
    st.lists(st.sampled_from(APPS), min_size=1, max_size=2),
)


#: One whose Services certainly have pods: most of what there is to get wrong begins there.
exposed_tenants = st.builds(Tenant, specs(), st.lists(services(), min_size=1, max_size=2), st.just(list(APPS)))


@dataclass(frozen=True)
class Snapshot:
    plane: str
    tenants: dict[str, Tenant]

    def pods(self) -> Iterator[Party]:
        for index, (name, tenant) in enumerate(self.tenants.items(), 1):
            for number, app in enumerate(tenant.pods, 1):
                yield Party(f"10.244.{index}.{number}", name, (("app", app),), (("http", "TCP", 8080),))


def labels(namespace: str) -> dict[str, str]:
    return {"kubernetes.io/metadata.name": namespace, "team": namespace}


@dataclass(frozen=True)
class Intent:
    """Whether a connection is meant to pass, from what people wrote and the truth table alone."""

    snapshot: Snapshot

    def allows(self, source: Party, receiver: Party, port: int) -> bool:
        return source == receiver or (self.leaves(source, receiver) and self.enters(source, receiver, port))

    def leaves(self, source: Party, receiver: Party) -> bool:
        tenant = self.snapshot.tenants.get(source.namespace)
        isolation = (tenant.spec or {}).get("isolation", {}) if tenant else {}
        near = source.namespace == receiver.namespace
        return not isolation.get("egress", False) or (near and isolation.get("allowSameNamespace", False))

    def enters(self, source: Party, receiver: Party, port: int) -> bool:
        tenant = self.snapshot.tenants.get(receiver.namespace)
        if tenant is None or tenant.spec is None:
            return True
        isolation = tenant.spec.get("isolation", {})
        entry_points = tenant.spec.get("entryPoints") or ["LoadBalancer"]
        exposed = [
            each for each in tenant.services if each["selector"] == dict(receiver.labels) and behind(each, entry_points)
        ]
        if not exposed and not isolation.get("ingress", True):
            return True
        if source.namespace == receiver.namespace and isolation.get("allowSameNamespace", False):
            return True
        return any(self.through(each, tenant.spec, source, receiver, port) for each in exposed)

    def through(self, service: Json, spec: Json, source: Party, receiver: Party, port: int) -> bool:
        wanted = spec.get("ports") or [each["port"] for each in service["ports"]]
        targets = {
            NAMED.get(each["targetPort"], each["targetPort"]) for each in service["ports"] if each["port"] in wanted
        }
        if port not in targets:
            return False
        if any(is_peer(each, source, receiver.namespace) for each in spec.get("peers", [])):
            return True
        entry_points = behind(service, spec.get("entryPoints") or ["LoadBalancer"])
        return any(self.from_outside(entry_point, service, spec, source.address) for entry_point in entry_points)

    def from_outside(self, entry_point: str, service: Json, spec: Json, address: str) -> bool:
        """The rows of the truth table for delivery by nodes that keep the client's address."""
        position, carves = PLANES[self.snapshot.plane]
        said = spec.get("clients", {})
        clients = [IPv4Network(each) for each in said.get("cidrs", ["0.0.0.0/0"])]
        if entry_point == "LoadBalancer" and service.get("loadBalancerSourceRanges"):
            narrow = [IPv4Network(each) for each in service["loadBalancerSourceRanges"]]
            clients = [a if a.subnet_of(b) else b for a, b in product(clients, narrow) if a.overlaps(b)]
        if not clients:
            return False
        everyone = any(each.prefixlen == 0 for each in clients)
        is_client = any(ip_address(address) in each and not (carves and is_cut(each, address)) for each in clients)
        if service.get("externalTrafficPolicy") == "Local" or position == "preserving":
            return is_client
        if said.get("unenforceable") == "Deny" and not everyone:
            return is_client
        is_node = address in {ip for ip, _ in NODES.values()}
        return is_node or (position == "pre" and is_client)


def behind(service: Json, entry_points: list[str]) -> list[str]:
    stands = {"LoadBalancer": ["LoadBalancer", "NodePort"], "NodePort": ["NodePort"], "ClusterIP": []}[service["type"]]
    return [entry_point for entry_point in entry_points if entry_point in stands]


def is_cut(block: Any, address: str) -> bool:
    """Pods are cut out of blocks that are wider than their range."""
    pod_ranges = [ip_network(cidr) for _, cidr in NODES.values()]
    return any(each.subnet_of(block) and each != block and ip_address(address) in each for each in pod_ranges)


def is_peer(peer: Json, source: Party, home: str) -> bool:
    if not source.namespace:
        return False
    where = peer.get("namespaceSelector")
    near = (
        source.namespace == home
        if where is None
        else where.get("matchLabels", {}).items() <= labels(source.namespace).items()
    )
    return near and peer.get("podSelector", {}).get("matchLabels", {}).items() <= dict(source.labels).items()


def manifests(snapshot: Snapshot) -> list[Json]:
    found: list[Json] = []
    for name, (ip, cidr) in NODES.items():
        addresses = [{"type": "InternalIP", "address": ip}]
        found.append(named("v1", "Node", name, spec={"podCIDRs": [cidr]}, status={"addresses": addresses}))
    for name, tenant in snapshot.tenants.items():
        found.append(named("v1", "Namespace", name) | {"metadata": {"name": name, "labels": labels(name)}})
        for number, service in enumerate(tenant.services):
            found.append(named("v1", "Service", f"s{number}", name, spec=service))
        if tenant.spec is not None:
            found.append(named("exposure.dev/v1alpha1", "ExposurePolicy", "edge", name, spec=tenant.spec))
    return [*found, *map(pod, snapshot.pods())]


def named(version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> Json:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        **rest,
    }


def pod(party: Party) -> Json:
    ports = [{"name": name, "protocol": protocol, "containerPort": number} for name, protocol, number in party.ports]
    made = named("v1", "Pod", f"pod-{party.address.replace('.', '-')}", party.namespace)
    made["metadata"]["labels"] = dict(party.labels)
    made["spec"] = {"nodeName": "n1", "containers": [{"name": "c", "image": "registry.example/c", "ports": ports}]}
    made["status"] = {"phase": "Running", "podIP": party.address, "podIPs": [{"ip": party.address}]}
    return made


def generated(snapshot: Snapshot, objects: list[Json]) -> list[Json]:
    """The NetworkPolicies that the product would write on an empty cluster."""
    gathering = Gathering()
    for each in objects:
        kind = kind_of(each["apiVersion"], each["kind"])
        assert kind is not None
        gathering.keep(kind, kind.parse(each))
    known = gathering.snapshot(config({"network": {"cni": snapshot.plane}}))
    facts = cluster_facts(known)
    found: dict[tuple[str, str], Json] = {}
    for name in snapshot.tenants:
        for change in make_plan(resolve(known, facts, name), {}).writes:
            found[name, change.name] = network_policy_manifest(change.policy)
    return list(found.values())


@examples(120)
@given(plane=st.sampled_from(sorted(PLANES)), shop=exposed_tenants, bank=tenants)
def test_what_is_meant_is_what_is_allowed(nca: Nca, plane: str, shop: Tenant, bank: Tenant) -> None:
    """Exactly the intended connections pass, and no others, as network-config-analyzer reads the policies."""
    snapshot = Snapshot(plane, {"shop": shop, "bank": bank})
    objects = manifests(snapshot)
    intent = Intent(snapshot)
    spaces = [each for each in objects if each["kind"] == "Namespace"]
    opinion = nca.read(spaces, [each for each in objects if each["kind"] == "Pod"], generated(snapshot, objects))
    everyone = [*snapshot.pods(), *map(Party, OUTSIDE)]
    for source, receiver, port in product(everyone, snapshot.pods(), PORTS):
        if source != receiver:
            asked = (source.namespace, source.address, receiver.namespace, receiver.address, port)
            expected = (*asked, intent.allows(source, receiver, port))
            assert expected == (*asked, opinion.allows(source, receiver, "TCP", port))
