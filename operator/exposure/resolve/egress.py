"""What exposed pods may call: DNS, the API server, and what the policy names. Metadata services only by name."""

from collections.abc import Iterable

from exposure.addresses import WHOLE_FAMILY, Block, Network, block, inside, network
from exposure.catalog.blind_spots import blind_spot
from exposure.catalog.egress import CLOUD_DNS, DNS_CONVENTION, DNS_PORT, METADATA, NODE_LOCAL_DNS
from exposure.catalog.providers import CLOUD_DNS_PROVIDERS
from exposure.labels import EVERYTHING, NAMESPACE_LABEL, LabelSelector, selecting
from exposure.model.exposures import BlindSpot
from exposure.model.intent import Egress
from exposure.model.objects import Service
from exposure.networkpolicy.values import Peer, PolicyPort, Rule
from exposure.resolve.facts import ClusterFacts

DNS_PORTS: tuple[PolicyPort, ...] = (PolicyPort("TCP", DNS_PORT), PolicyPort("UDP", DNS_PORT))


def egress_rules(egress: Egress, facts: ClusterFacts) -> tuple[tuple[Rule, ...], tuple[BlindSpot, ...]]:
    """The egress rules of exposed pods. Without any rule, only replies leave the pods."""
    rules: list[Rule] = []
    blind_spots: list[BlindSpot] = []
    if egress.dns:
        rules += dns_rules(facts)
    if egress.api_server:
        to_api_server, blind_spots = api_server_rules(facts)
        rules += to_api_server
    rules += [without_metadata(rule, facts) for rule in egress.to]
    return tuple(dict.fromkeys(rules)), tuple(blind_spots)


def dns_rules(facts: ClusterFacts) -> list[Rule]:
    """DNS: the pods of the cluster's DNS Service, at its target ports, or an address if no pod answers."""
    service = facts.dns_service
    cloud = facts.config.cloud_dns
    if cloud or (cloud is None and service is None and facts.provider in CLOUD_DNS_PROVIDERS):
        return [Rule((Peer(Block(CLOUD_DNS)),), DNS_PORTS)]
    (namespace, labels), ports = DNS_CONVENTION, DNS_PORTS
    if service is not None and service.selector:
        namespace, labels, ports = service.namespace, service.selector, facts.dns_ports or DNS_PORTS
    rules = [Rule((Peer(pods=LabelSelector(labels), namespaces=selecting({NAMESPACE_LABEL: namespace})),), ports)]
    addresses = [NODE_LOCAL_DNS] if facts.node_local_dns else []
    if service is not None and (facts.node_local_dns or facts.cni.egress_sees_cluster_ips):
        addresses += _cluster_ips(service)
    if addresses:
        rules.append(Rule(_peers(addresses), DNS_PORTS))
    return rules


def _cluster_ips(service: Service) -> list[Network]:
    return [network(ip) for ip in service.cluster_ips if ip and ip != "None"]


def _peers(networks: Iterable[Network]) -> tuple[Peer, ...]:
    return tuple(Peer(Block(network)) for network in networks)


def api_server_rules(facts: ClusterFacts) -> tuple[list[Rule], list[BlindSpot]]:
    """The API server by the addresses and ports of the EndpointSlices of default/kubernetes."""
    rules: list[Rule] = []
    addresses: list[str] = []
    for endpoint_slice in facts.api_server:
        listed = sorted({address for endpoint in endpoint_slice.endpoints for address in endpoint.addresses})
        ports = tuple(PolicyPort(port.protocol, port.port) for port in endpoint_slice.ports if port.port is not None)
        if listed and ports:
            addresses += listed
            rules.append(Rule(_peers(map(network, listed)), ports))
    service = facts.api_server_service
    if facts.cni.egress_sees_cluster_ips and service is not None:
        peers = _peers(_cluster_ips(service))
        ports = tuple(PolicyPort(port.protocol, port.port) for port in service.ports)
        if peers and ports:
            rules.append(Rule(peers, ports))
    if not rules:
        return [], [blind_spot("APIServerUnreachable", "The EndpointSlice default/kubernetes names no address.")]
    if facts.cni.pod_ranges == "matched-by-identity" and (
        not facts.node_addresses or facts.node_addresses.intersection(addresses)
    ):
        return rules, [
            blind_spot("APIServerUnreachable", "Cilium's ipBlocks match no nodes. The control plane runs on nodes.")
        ]
    return rules, []


def without_metadata(rule: Rule, facts: ClusterFacts) -> Rule:
    """The rule, with metadata services excluded from every block that strictly contains one."""
    if rule.peers is not None:
        return Rule(tuple(map(_without_metadata, rule.peers)), rule.ports)
    everywhere = _peers(WHOLE_FAMILY.values())
    if facts.cni.pod_ranges == "matched-by-identity":
        # There a whole family means what is outside, so pods are named beside it.
        everywhere = (*everywhere, Peer(namespaces=EVERYTHING))
    return Rule(tuple(map(_without_metadata, everywhere)), rule.ports)


def _without_metadata(peer: Peer) -> Peer:
    if peer.block is None:
        return peer
    cidr = peer.block.cidr
    metadata = (network for network in METADATA if inside(network, cidr) and network != cidr)
    left = block(cidr, (*peer.block.excepts, *metadata))
    return peer if left is None else Peer(left)
