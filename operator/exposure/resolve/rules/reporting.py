"""Rules that report: what the sources that were admitted cannot hold, or what they leave out."""

from exposure.addresses import family
from exposure.catalog.blind_spots import blind_spot
from exposure.catalog.profile import ProxyPods
from exposure.model.exposures import SourceKind
from exposure.resolve.delivery import Case, Delivery
from exposure.resolve.rules.access import Access, Findings, for_each_delivery
from exposure.resolve.rules.admitting import calls_from_nodes, narrower_than_service, way, withholds_host_network_proxy

#: The fields of policies that narrow clients, by what `ClientRanges.narrowed_by` calls them.
POLICY_RANGES = {"policy": "clients", "limits": "limits.clients"}


def report_unresolved_ports(case: Case, access: Access) -> None:
    """A named target port stays a name where the CNI resolves it. Where no number is known either, it stays closed."""
    unresolved = (
        blind_spot("NamedPortUnresolved", f"Service port {ports.port.port} targets {ports.port.target_port!r}.")
        for ports in case.ports
        if not ports.targets
    )
    access.report(*unresolved)


def report_source_range_problems(case: Case, access: Access) -> None:
    """What is wrong with the Service's own source ranges: no controller reads them, or they leave out a family."""
    for delivery in case.deliveries:
        access.report(*delivery.clients.blind_spots)


@for_each_delivery
def report_lost_client_addresses(case: Case, delivery: Delivery) -> Findings:
    """Where nodes or a whole family are admitted for narrower clients, whoever reaches a NodePort gets in.

    Not where no node port exists and kube-proxy holds the ranges of loadBalancerSourceRanges at the load balancer.
    """
    clients, proxies = delivery.clients, delivery.profile.proxy_pods
    if not clients.narrow:
        return
    if calls_from_nodes(delivery):
        if not withholds_host_network_proxy(case, delivery):
            yield blind_spot("SourceFilterLost", f"{way(delivery)}, by the addresses of its nodes.")
    elif delivery.hides_clients and not _held_before_the_pods(delivery):
        yield blind_spot("SourceFilterLost", f"Clients asked for: {', '.join(map(str, clients.blocks))}.")
    elif proxies and narrower_than_service(delivery) and not case.denies_unenforceable:
        yield blind_spot("SourceFilterLost", _masquerading(proxies))


@for_each_delivery
def report_dropped_cross_node_traffic(case: Case, delivery: Delivery) -> Findings:
    """Connections by way of another node drop where the nodes' addresses are withheld, unknown, or not matched."""
    proxies = delivery.profile.proxy_pods
    if calls_from_nodes(delivery):
        why = withholds_host_network_proxy(case, delivery)
        if why:
            yield blind_spot("CrossNodeTrafficDropped", why)
    elif delivery.withheld:
        yield blind_spot("CrossNodeTrafficDropped", "clients.unenforceable is Deny.")
    elif proxies and narrower_than_service(delivery) and case.denies_unenforceable:
        yield blind_spot("CrossNodeTrafficDropped", _masquerading(proxies))
    elif _needs_unknown_nodes(case, delivery):
        detail = "No node address is known. Give the command line Nodes, or set network.nodeCIDRs."
        yield blind_spot("CrossNodeTrafficDropped", detail, cure="Set network.nodeCIDRs in the configuration.")
    elif SourceKind.OUTSIDE in delivery.kinds and delivery.clients.narrow and not _held_before_the_pods(delivery):
        detail = "Cilium sees what another node SNATed as world or as a remote node, by version and routing mode."
        yield blind_spot("CrossNodeTrafficDropped", detail, effect="Unproven")


@for_each_delivery
def report_unenforced_ranges(case: Case, delivery: Delivery) -> Findings:
    """Narrow client ranges that the policy cannot hold, and that neither the load balancer nor kube-proxy holds."""
    clients, arrival = delivery.clients, delivery.arrival
    if not clients.narrow:
        return
    if delivery.route is not None and delivery.route.proxy.kind == "pods":
        # The pods see the proxy, never who called it.
        detail = f"{way(delivery)}, whoever calls that. Narrow the clients of the proxy's own Service."
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
        # Behind a load balancer that proxies, no externalTrafficPolicy brings the client's address back.
        unenforced += [name for key, name in POLICY_RANGES.items() if key in clients.narrowed_by]
    if unenforced:
        yield blind_spot("SourceRangesUnenforced", f"Not enforced: {', '.join(sorted(unenforced))}.")


@for_each_delivery
def report_unfiltered_cluster_traffic(case: Case, delivery: Delivery) -> Findings:
    """Some CNIs do not filter what kube-proxy forwards with externalTrafficPolicy Cluster."""
    cni = case.facts.cni
    forwarded = delivery.profile.delivery == "node" and delivery.service.external_traffic_policy == "Cluster"
    if delivery.route is None and forwarded and not cni.enforces_cluster_policy:
        yield blind_spot("PolicyNotEnforced", f"{cni.slug} does not filter it with externalTrafficPolicy Cluster.")


def _masquerading(proxies: ProxyPods) -> str:
    return f"The pods of {proxies.title} masquerade, and hold only the Service's own ranges."


def _held_before_the_pods(delivery: Delivery) -> bool:
    """Whether kube-proxy alone holds the clients that were asked for, at the only address that leads to the pods."""
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
    # Where everyone is admitted, so are nodes.
    return SourceKind.CLIENTS not in delivery.kinds or delivery.clients.narrow
