"""Rules that admit: each looks at what arrives by one delivery and returns the sources that are let in."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from exposure.addresses import Block, blocks, everyone, of_families
from exposure.catalog.blind_spots import blind_spot
from exposure.catalog.decision_table import INGRESS, PEERS
from exposure.labels import NAMESPACE_LABEL, selecting
from exposure.model.exposures import BlindSpot, Source, SourceKind
from exposure.networkpolicy.values import Peer, PolicyPort
from exposure.resolve.delivery import Delivery
from exposure.resolve.egress import egress_rules
from exposure.resolve.node_addresses import snat_sources
from exposure.resolve.rules.access import NOTHING, Access, Case, Findings, admits, for_each_delivery, reports

EXPLANATIONS = {
    SourceKind.CLIENTS: "Clients reach the pod with their own addresses: {why}.",
    SourceKind.LOAD_BALANCER: "The load balancer's own addresses arrive: {why}.",
    SourceKind.HEALTH_CHECKS: "Health checks of the load balancer arrive at the pod's port.",
    SourceKind.NODES: "Nodes SNAT to these addresses: {why}.",
    SourceKind.OUTSIDE: "Everyone outside the cluster: {why}.",
}


def allow_egress(case: Case, access: Access) -> None:
    """What the pods may call: DNS, the API server, and what the policy names. Omitted, egress stays unrestricted."""
    if case.policy.spec.egress is not None:
        access.egress, blind_spots = egress_rules(case.policy.spec.egress, case.facts)
        access.report(*blind_spots)


@for_each_delivery
def admit_clients(case: Case, delivery: Delivery) -> Findings:
    """Clients are admitted by their own addresses where these are kept until the CNI filters."""
    if SourceKind.CLIENTS not in delivery.kinds:
        return NOTHING
    return admits(_source(delivery, SourceKind.CLIENTS, delivery.clients.blocks, delivery.targets))


@for_each_delivery
def admit_load_balancer(case: Case, delivery: Delivery) -> Findings:
    """The load balancer's own addresses are admitted where they arrive: for all clients, or for some beside others.

    Beside clients that keep their address: those of PrivateLink, and those of the other address family. Addresses that
    are needed and not known are reported; no range is guessed.
    """
    arrival, kind = delivery.arrival, SourceKind.LOAD_BALANCER
    if arrival is None:
        return NOTHING
    if kind in delivery.kinds:
        if arrival.load_balancer is None:
            return reports(blind_spot("LoadBalancerAddressesRequired", f"Profile {delivery.profile.slug}."))
        own = of_families(blocks(arrival.load_balancer), case.families)
        return admits(_source(delivery, kind, own, delivery.targets))
    if SourceKind.CLIENTS not in delivery.kinds:
        return NOTHING
    sources: tuple[Source, ...] = ()
    beside = of_families(blocks(arrival.beside_clients), case.families)
    if beside:
        why = "PrivateLink clients, and clients of the other address family, arrive from the load balancer."
        sources = (replace(_source(delivery, kind, beside, delivery.targets), explanation=why),)
    if arrival.beside_unknown and delivery.clients.narrow:
        detail = "Clients of the other address family arrive from the load balancer's addresses."
        return Findings(sources, (blind_spot("LoadBalancerAddressesRequired", detail),))
    return Findings(sources) if sources else NOTHING


@for_each_delivery
def admit_health_checks(case: Case, delivery: Delivery) -> Findings:
    """Health checks are admitted at the port that they probe. Over TCP: a UDP target is probed on TCP of its number.

    Probes from unknown addresses are reported, unless everyone may reach that port or the load balancer's addresses
    are missing anyway.
    """
    arrival = delivery.arrival
    if SourceKind.HEALTH_CHECKS not in delivery.kinds or arrival is None:
        return NOTHING
    targets = _probed_targets(delivery)
    if arrival.probes is None:
        admitted_anyway = not delivery.clients.narrow and set(targets) <= set(delivery.targets)
        if admitted_anyway or not arrival.preserved or not targets:
            return NOTHING
        return reports(blind_spot("HealthCheckSourcesUnknown", f"Profile {delivery.profile.slug}."))
    probes = of_families(blocks(arrival.probes), case.families)
    if not probes:
        return NOTHING
    sources = (_source(delivery, SourceKind.HEALTH_CHECKS, probes, targets),) if targets else ()
    unresolved = (
        blind_spot("NamedPortUnresolved", f"Health checks probe TCP of the number of {name}.")
        for name in _unresolved_probed_names(delivery)
    )
    return Findings(sources, tuple(unresolved))


@for_each_delivery
def admit_nodes(case: Case, delivery: Delivery) -> Findings:
    """The nodes' addresses are admitted where externalTrafficPolicy Cluster makes nodes SNAT before the CNI filters."""
    if SourceKind.NODES not in delivery.kinds:
        return NOTHING
    addresses, blind_spots = _node_addresses(case)
    return Findings((_source(delivery, SourceKind.NODES, addresses, delivery.targets),), blind_spots)


@for_each_delivery
def admit_everyone_outside(case: Case, delivery: Delivery) -> Findings:
    """On Cilium with SNAT, only a whole family matches what another node forwarded: it means everyone outside."""
    if SourceKind.OUTSIDE not in delivery.kinds:
        return NOTHING
    return admits(_source(delivery, SourceKind.OUTSIDE, everyone(case.families), delivery.targets))


@for_each_delivery
def admit_service_lb_pods(case: Case, delivery: Delivery) -> Findings:
    """ServiceLB of k3s forwards by pods that masquerade, with either externalTrafficPolicy: these pods are admitted.

    They hold the Service's own ranges. Where the policy or its limits are narrower and unenforceable is Deny, they are
    not admitted.
    """
    proxies = delivery.profile.proxy_pods
    if proxies is None or delivery.row is None:
        return NOTHING
    if narrower_than_service(delivery) and case.denies_unenforceable:
        return NOTHING
    service = case.service
    pods = Peer(
        namespaces=selecting({NAMESPACE_LABEL: proxies.namespace}),
        pods=selecting(
            {
                proxies.service_name_label: service.name,
                proxies.service_namespace_label: service.namespace,
            }
        ),
    )
    explanation = f"The pods of {proxies.title} forward to the Service and masquerade."
    reference = delivery.profile.source
    kind = SourceKind.PROXY_PODS
    return admits(
        Source(kind, (), delivery.targets, delivery.row, explanation, reference, (pods,), delivery.entry_point)
    )


@for_each_delivery
def admit_proxy_pods(case: Case, delivery: Delivery) -> Findings:
    """Behind an Ingress or a Gateway the pods see the proxy: its pods are admitted, whoever called them."""
    route = delivery.route
    if route is None or route.proxy.peer is None or delivery.row is None:
        return NOTHING
    return admits(
        Source(
            kind=SourceKind.PROXY_PODS,
            blocks=(),
            ports=delivery.targets,
            row=delivery.row,
            explanation=f"The proxy's pods call: {way(delivery)}.",
            reference=INGRESS,
            peers=(route.proxy.peer,),
            entry_point=delivery.entry_point,
        )
    )


@for_each_delivery
def admit_host_network_proxies(case: Case, delivery: Delivery) -> Findings:
    """A proxy that uses hostNetwork calls with its node's address: the nodes' addresses are admitted.

    Not on Cilium, whose ipBlocks match no node, and not where clients are narrower and unenforceable is Deny.
    """
    if not calls_from_nodes(delivery) or withholds_host_network_proxy(case, delivery) or delivery.row is None:
        return NOTHING
    addresses, blind_spots = _node_addresses(case)
    if not addresses:
        return Findings(blind_spots=blind_spots)
    source = Source(
        kind=SourceKind.NODES,
        blocks=addresses,
        ports=delivery.targets,
        row=delivery.row,
        explanation=f"The proxy uses hostNetwork: {way(delivery)}.",
        reference=INGRESS,
        entry_point=delivery.entry_point,
    )
    return Findings((source,), blind_spots)


def admit_peers(case: Case, access: Access) -> None:
    """Callers that the policy names in peers are admitted to the same target ports, as written."""
    peers = case.policy.spec.peers
    if peers and case.targets:
        explanation = "The policy names these callers in peers."
        own = (delivery.entry_point for delivery in case.deliveries if delivery.route is None)
        source = Source(SourceKind.PEERS, (), case.targets, PEERS, explanation, PEERS.reference, peers, next(own, ""))
        access.admit(source)


def way(delivery: Delivery) -> str:
    """`HTTPRoute shop/web leads here from Gateway edge/public`."""
    assert delivery.route is not None
    return f"{delivery.route.route} leads here from {delivery.route.ingress_point}"


def calls_from_nodes(delivery: Delivery) -> bool:
    return delivery.route is not None and delivery.route.proxy.kind == "nodes"


def withholds_host_network_proxy(case: Case, delivery: Delivery) -> str:
    """Why the nodes of a hostNetwork proxy are not admitted; "" where they are."""
    if delivery.clients.narrow and case.denies_unenforceable:
        return f"{way(delivery)} by its nodes, and clients.unenforceable is Deny."
    if case.facts.cni.pod_ranges == "matched-by-identity":
        return f"{way(delivery)} by its nodes, which no ipBlock matches on Cilium."
    return ""


def narrower_than_service(delivery: Delivery) -> bool:
    """Whether the policy or its limits admit fewer clients than the Service's own ranges."""
    return not delivery.clients.narrowed_by.isdisjoint({"policy", "limits"})


def _source(delivery: Delivery, kind: SourceKind, admitted: tuple[Block, ...], ports: tuple[PolicyPort, ...]) -> Source:
    row = delivery.row
    assert row is not None
    of_provider = kind in (SourceKind.LOAD_BALANCER, SourceKind.HEALTH_CHECKS)
    reference = delivery.profile.source if of_provider else row.reference
    return Source(kind, admitted, ports, row, _explanation(kind, row.why), reference, (), delivery.entry_point)


@cache
def _explanation(kind: SourceKind, why: str) -> str:
    return EXPLANATIONS[kind].format(why=why)


def _node_addresses(case: Case) -> tuple[tuple[Block, ...], tuple[BlindSpot, ...]]:
    facts = case.facts
    excluded = facts.pod_ranges.excluded
    networks, widened = snat_sources(facts.snat, case.families, facts.config.node_address_limit, excluded)
    if not widened:
        return blocks(networks), ()
    detail = f"{len(networks)} ranges stand for {len(facts.snat)} node addresses."
    return blocks(networks), (blind_spot("NodeRangesWidened", detail),)


def _probed_targets(delivery: Delivery) -> tuple[PolicyPort, ...]:
    assert delivery.arrival is not None
    if delivery.arrival.probe_port is not None:
        return (PolicyPort("TCP", delivery.arrival.probe_port),)
    if delivery.protocol == "TCP":
        return delivery.targets
    if delivery.profile.delivery != "pod":
        return ()
    numbers = [target.port for target in delivery.targets if isinstance(target.port, int)]
    numbers += [number for ports in delivery.ports for number in ports.numbers]
    return tuple(PolicyPort("TCP", number) for number in dict.fromkeys(numbers))


def _unresolved_probed_names(delivery: Delivery) -> Iterator[str]:
    """Named targets of another protocol than TCP that are probed on TCP of a number that is not known."""
    assert delivery.arrival is not None
    by_number = (
        delivery.protocol != "TCP" and delivery.arrival.probe_port is None and delivery.profile.delivery == "pod"
    )
    for ports in delivery.ports if by_number else ():
        if not ports.numbers:
            yield from (target.port for target in ports.targets if isinstance(target.port, str))
