"""Rules that admit. Most look at one delivery and yield the sources that are admitted."""

from functools import cache

from exposure.addresses import Block, blocks, everyone, of_families
from exposure.catalog.blind_spots import blind_spot
from exposure.catalog.decision_table import PEERS
from exposure.labels import NAMESPACE_LABEL, selecting
from exposure.model.exposures import BlindSpot, Source, SourceKind
from exposure.networkpolicy.values import Peer, PolicyPort
from exposure.resolve.arrival import Arrival
from exposure.resolve.delivery import Case, Delivery
from exposure.resolve.egress import egress_rules
from exposure.resolve.node_addresses import snat_sources
from exposure.resolve.rules.access import Access, Findings, for_each_delivery
from exposure.resolve.rules.withholding import withheld_host_network_proxy, withheld_service_lb

EXPLANATIONS = {
    SourceKind.CLIENTS: "Clients arrive with their own addresses: {why}.",
    SourceKind.LOAD_BALANCER: "Traffic arrives with the load balancer's own addresses: {why}.",
    SourceKind.HEALTH_CHECKS: "The load balancer sends health checks to the pod's port.",
    SourceKind.NODES: "Nodes replace the client's address with these (SNAT): {why}.",
    SourceKind.OUTSIDE: "Everyone outside the cluster is admitted: {why}.",
}
WITHHELD = "Only connections that keep this address are admitted: clients.unenforceable is Deny."
BESIDE_CLIENTS = "PrivateLink clients and clients of the other address family have the load balancer's addresses."


def allow_egress(case: Case, access: Access) -> None:
    """What the pods may call: DNS, the API server, and what the policy names. If omitted, egress is unrestricted."""
    if case.policy.spec.egress is not None:
        access.egress, blind_spots = egress_rules(case.policy.spec.egress, case.facts)
        access.report(*blind_spots)


@for_each_delivery
def admit_clients(case: Case, delivery: Delivery) -> Findings:
    """Clients are admitted by their own addresses if these are kept until the CNI filters.

    Rows `*-preserved` of the decision table.
    """
    if SourceKind.CLIENTS in delivery.kinds:
        yield _source(delivery, SourceKind.CLIENTS, delivery.clients.blocks)


@for_each_delivery
def admit_load_balancer(case: Case, delivery: Delivery) -> Findings:
    """The load balancer's own addresses are admitted if they replace those of all clients, or of some.

    All: rows `*-proxied` of the decision table. Some, in the other rows: clients of PrivateLink, and clients of the
    other address family. Addresses that are needed and not known are reported. No range is guessed.
    """
    arrival, kind = delivery.arrival, SourceKind.LOAD_BALANCER
    if arrival is None:
        return
    if kind in delivery.kinds:
        if arrival.load_balancer is None:
            yield blind_spot("LoadBalancerAddressesRequired", f"Profile {delivery.profile.slug}.")
        else:
            yield _source(delivery, kind, of_families(blocks(arrival.load_balancer), case.families))
    elif SourceKind.CLIENTS in delivery.kinds:
        beside = of_families(blocks(arrival.beside_clients), case.families)
        if beside:
            yield _source(delivery, kind, beside, explanation=BESIDE_CLIENTS)
        if arrival.beside_unknown and delivery.clients.narrow:
            detail = "Clients of the other address family arrive with the load balancer's addresses."
            yield blind_spot("LoadBalancerAddressesRequired", detail)


@for_each_delivery
def admit_health_checks(case: Case, delivery: Delivery) -> Findings:
    """Health checks are admitted at the port that they probe. A UDP target is probed over TCP at the same number.

    Probes from unknown addresses are reported, unless everyone may reach that port or the load balancer's addresses
    are missing anyway.
    """
    arrival = delivery.arrival
    if SourceKind.HEALTH_CHECKS not in delivery.kinds or arrival is None:
        return
    targets, unresolved = _probed(delivery, arrival)
    if arrival.probes is None:
        admitted_anyway = not delivery.clients.narrow and set(targets) <= set(delivery.targets)
        if targets and arrival.preserved and not admitted_anyway:
            yield blind_spot("HealthCheckSourcesUnknown", f"Profile {delivery.profile.slug}.")
        return
    probes = of_families(blocks(arrival.probes), case.families)
    if probes and targets:
        yield _source(delivery, SourceKind.HEALTH_CHECKS, probes, targets)
    for name in unresolved if probes else ():
        yield blind_spot("NamedPortUnresolved", f"Health checks use TCP on the port number of {name}.")


@for_each_delivery
def admit_nodes(case: Case, delivery: Delivery) -> Findings:
    """The nodes' addresses are admitted if, with externalTrafficPolicy Cluster, the CNI sees a node's address.

    Rows `node-cluster-post` (for every connection) and `node-cluster-pre-*` (for a pod on another node). Not where that
    is withheld: the clients are narrow, and clients.unenforceable is Deny (`Delivery.withheld`).
    """
    if SourceKind.NODES in delivery.kinds:
        addresses, blind_spots = _node_addresses(case)
        yield _source(delivery, SourceKind.NODES, addresses)
        yield from blind_spots


@for_each_delivery
def admit_everyone_outside(case: Case, delivery: Delivery) -> Findings:
    """On Cilium with SNAT, only a whole family matches what another node forwarded, so everyone outside is admitted.

    Row `node-cluster-identity` of the decision table.
    """
    if SourceKind.OUTSIDE in delivery.kinds:
        yield _source(delivery, SourceKind.OUTSIDE, everyone(case.families))


@for_each_delivery
def admit_service_lb_pods(case: Case, delivery: Delivery) -> Findings:
    """ServiceLB of k3s forwards through pods that masquerade, with either externalTrafficPolicy. They are admitted.

    They enforce the Service's own ranges. If the policy or its limits are narrower and unenforceable is Deny, they
    are not admitted.
    """
    proxies, service = delivery.profile.proxy_pods, case.service
    if proxies is None or delivery.row is None or withheld_service_lb(case, delivery):
        return
    labels = {proxies.service_name_label: service.name, proxies.service_namespace_label: service.namespace}
    pods = Peer(pods=selecting(labels), namespaces=selecting({NAMESPACE_LABEL: proxies.namespace}))
    explanation = f"The pods of {proxies.title} forward to the Service and masquerade."
    yield _source(
        delivery, SourceKind.PROXY_PODS, peers=(pods,), explanation=explanation, reference=delivery.profile.source
    )


@for_each_delivery
def admit_proxy_pods(case: Case, delivery: Delivery) -> Findings:
    """Behind an Ingress or a Gateway, the pods see only the proxy, so the proxy's pods are admitted."""
    route = delivery.route
    if route is not None and route.proxy.peer is not None and delivery.row is not None:
        explanation = f"The proxy's pods connect: {delivery.route}."
        yield _source(delivery, SourceKind.PROXY_PODS, peers=(route.proxy.peer,), explanation=explanation)


@for_each_delivery
def admit_host_network_proxies(case: Case, delivery: Delivery) -> Findings:
    """A proxy that uses hostNetwork calls with its node's address: the nodes' addresses are admitted.

    Not on Cilium, where ipBlocks match no nodes, and not if clients are narrower and unenforceable is Deny.
    """
    if delivery.calls_from_nodes and not withheld_host_network_proxy(case, delivery):
        addresses, blind_spots = _node_addresses(case)
        if addresses:
            explanation = f"The proxy uses hostNetwork: {delivery.route}."
            yield _source(delivery, SourceKind.NODES, addresses, explanation=explanation)
        yield from blind_spots


def admit_peers(case: Case, access: Access) -> None:
    """Callers that the policy names in peers are admitted to the same target ports, as written."""
    peers = case.policy.spec.peers
    targets = tuple(dict.fromkeys(target for ports in case.ports for target in ports.targets))
    if peers and targets:
        explanation = "The policy names these callers in peers."
        own = (delivery.entry_point for delivery in case.deliveries if delivery.route is None)
        access.admit(Source(SourceKind.PEERS, (), targets, PEERS, explanation, PEERS.reference, peers, next(own, "")))


def _source(
    delivery: Delivery,
    kind: SourceKind,
    admitted: tuple[Block, ...] = (),
    ports: tuple[PolicyPort, ...] | None = None,
    *,
    peers: tuple[Peer, ...] = (),
    explanation: str = "",
    reference: str = "",
) -> Source:
    """A source that arrives by a delivery, explained by its row unless more is known. `ports` None: all its targets."""
    row = delivery.row
    assert row is not None
    of_provider = kind in (SourceKind.LOAD_BALANCER, SourceKind.HEALTH_CHECKS)
    reference = reference or (delivery.profile.source if of_provider else row.reference)
    if delivery.withheld and kind is not SourceKind.HEALTH_CHECKS:
        explanation = WITHHELD
    explanation = explanation or _explanation(kind, row.why)
    ports = delivery.targets if ports is None else ports
    return Source(kind, admitted, ports, row, explanation, reference, peers, delivery.entry_point)


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


def _probed(delivery: Delivery, arrival: Arrival) -> tuple[tuple[PolicyPort, ...], list[str]]:
    """The targets that are probed, and the names of those that are probed on TCP of a number that is not known."""
    if arrival.probe_port is not None:
        return (PolicyPort("TCP", arrival.probe_port),), []
    if delivery.protocol == "TCP":
        return delivery.targets, []
    if delivery.profile.delivery != "pod":
        return (), []
    numbers = [target.port for target in delivery.targets if isinstance(target.port, int)]
    numbers += [number for ports in delivery.ports for number in ports.numbers]
    unknown = (target.port for ports in delivery.ports if not ports.numbers for target in ports.targets)
    targets = tuple(PolicyPort("TCP", number) for number in dict.fromkeys(numbers))
    return targets, [port for port in unknown if isinstance(port, str)]
