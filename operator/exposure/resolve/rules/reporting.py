"""Rules that report what the admitted sources cannot enforce, or what they omit."""

from exposure.addresses import family
from exposure.catalog.blind_spots import blind_spot
from exposure.model.exposures import SourceKind
from exposure.resolve.delivery import Case, Delivery
from exposure.resolve.rules.access import Access, Findings, for_each_delivery
from exposure.resolve.rules.withholding import masquerading, withheld_host_network_proxy, withheld_service_lb

#: The fields of policies that narrow clients, by what `ClientRanges.narrowed_by` calls them.
POLICY_RANGES = {"policy": "clients", "limits": "limits.clients"}


def report_unresolved_ports(case: Case, access: Access) -> None:
    """A named target port that the CNI does not resolve, and whose number is not known, stays closed."""
    unresolved = (
        blind_spot("NamedPortUnresolved", f"Service port {ports.port.port} targets {ports.port.target_port!r}.")
        for ports in case.ports
        if not ports.targets
    )
    access.report(*unresolved)


def report_source_range_problems(case: Case, access: Access) -> None:
    """Problems of the Service's own source ranges: no controller reads them, or they omit an address family."""
    for delivery in case.deliveries:
        access.report(*delivery.clients.blind_spots)


@for_each_delivery
def report_lost_client_addresses(case: Case, delivery: Delivery) -> Findings:
    """If nodes or a whole family are admitted for narrower clients, every client that reaches a node port is admitted.

    Not if there is no node port and kube-proxy enforces loadBalancerSourceRanges at the load balancer.
    """
    clients = delivery.clients
    if not clients.narrow:
        return
    if delivery.calls_from_nodes:
        if not withheld_host_network_proxy(case, delivery):
            yield blind_spot("SourceFilterLost", f"{delivery.route}. The proxy calls with node addresses.")
    elif delivery.hides_clients and not _held_before_the_pods(delivery):
        yield blind_spot(
            "SourceFilterLost", f"Clients that the policy should admit: {', '.join(map(str, clients.blocks))}."
        )
    elif delivery.hidden_by_proxy_pods and not case.denies_unenforceable:
        yield blind_spot("SourceFilterLost", masquerading(delivery))


@for_each_delivery
def report_dropped_cross_node_traffic(case: Case, delivery: Delivery) -> Findings:
    """Connections through another node are dropped if node addresses are withheld, unknown, or not matched."""
    if delivery.calls_from_nodes:
        if why := withheld_host_network_proxy(case, delivery):
            yield blind_spot("CrossNodeTrafficDropped", why)
    elif delivery.withheld:
        yield blind_spot("CrossNodeTrafficDropped", "clients.unenforceable is Deny.")
    elif why := withheld_service_lb(case, delivery):
        yield blind_spot("CrossNodeTrafficDropped", why)
    elif _needs_unknown_nodes(case, delivery):
        detail = "No node address is known. For files, add the Nodes or set network.nodeCIDRs."
        yield blind_spot("CrossNodeTrafficDropped", detail, cure="Set network.nodeCIDRs in the configuration.")
    elif SourceKind.OUTSIDE in delivery.kinds and delivery.clients.narrow and not _held_before_the_pods(delivery):
        detail = "Cilium sees what another node SNATed as world or remote-node. That depends on version and routing."
        yield blind_spot("CrossNodeTrafficDropped", detail, effect="Unproven")


@for_each_delivery
def report_unenforced_ranges(case: Case, delivery: Delivery) -> Findings:
    """Narrow client ranges that neither the policy, nor the load balancer, nor kube-proxy enforces."""
    clients, arrival = delivery.clients, delivery.arrival
    if not clients.narrow:
        return
    if delivery.route is not None and delivery.route.proxy.kind == "pods":
        # The pods see the proxy, never its clients.
        detail = f"{delivery.route}, for every client of the proxy. Narrow the clients of the proxy's own Service."
        yield blind_spot("SourceRangesUnenforced", detail)
    if arrival is None or (SourceKind.CLIENTS in delivery.kinds and not delivery.hides_clients):
        return
    unenforced = []
    by_load_balancer = delivery.profile.enforces_ranges
    by_kube_proxy = arrival.preserved and _kube_proxy_holds_field(delivery)
    if "field" in clients.narrowed_by and not (by_load_balancer or by_kube_proxy):
        unenforced.append("spec.loadBalancerSourceRanges")
    if "annotation" in clients.narrowed_by and not by_load_balancer:
        unenforced.append("the source range annotation")
    if not delivery.hides_clients or not arrival.preserved:
        # Behind a load balancer that proxies, no externalTrafficPolicy restores the client's address.
        unenforced += [name for key, name in POLICY_RANGES.items() if key in clients.narrowed_by]
    if unenforced:
        yield blind_spot("SourceRangesUnenforced", f"Not enforced: {', '.join(sorted(unenforced))}.")


def report_unfiltered_cluster_traffic(case: Case, access: Access) -> None:
    """Some CNIs do not filter what kube-proxy forwards with externalTrafficPolicy Cluster, admitted or not."""
    cni = case.facts.cni
    for delivery in () if cni.enforces_cluster_policy else case.deliveries:
        forwarded = delivery.profile.delivery == "node" and delivery.service.external_traffic_policy == "Cluster"
        if delivery.route is None and forwarded:
            detail = f"{cni.slug} does not enforce them with externalTrafficPolicy: Cluster."
            access.report(blind_spot("PolicyNotEnforced", detail))


def _held_before_the_pods(delivery: Delivery) -> bool:
    """Whether kube-proxy alone enforces the clients, at the only address that leads to the pods."""
    by_kube_proxy = delivery.clients.narrowed_by <= {"field"} and _kube_proxy_holds_field(delivery)
    return delivery.entry_point == "LoadBalancer" and not delivery.service.has_node_ports and by_kube_proxy


def _kube_proxy_holds_field(delivery: Delivery) -> bool:
    """kube-proxy and its replacements filter loadBalancerSourceRanges at the addresses that they treat as VIPs."""
    published = delivery.service.published
    return delivery.profile.delivery == "node" and all(address.ip and address.ip_mode == "VIP" for address in published)


def _needs_unknown_nodes(case: Case, delivery: Delivery) -> bool:
    """Whether cross-node traffic needs the nodes' addresses in a family of which none is known."""
    needed = {family(block.cidr) for block in delivery.clients.blocks}
    if SourceKind.NODES not in delivery.kinds or needed <= {family(network) for network in case.facts.snat}:
        return False
    # If everyone is admitted, so are nodes.
    return SourceKind.CLIENTS not in delivery.kinds or delivery.clients.narrow
