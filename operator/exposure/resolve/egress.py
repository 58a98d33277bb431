"""What exposed pods may call: DNS, the API server, what the policy names; and never a metadata service by accident."""

from collections.abc import Iterable

from exposure.addresses import WHOLE_FAMILY, Block, Network, block, inside, network
from exposure.catalog.blind_spots import blind_spot
from exposure.catalog.egress import CLOUD_DNS, DNS_CONVENTION, DNS_PORT, METADATA, NODE_LOCAL_DNS
from exposure.labels import EVERYTHING, NAMESPACE_LABEL, Pairs, selecting
from exposure.model.exposures import BlindSpot
from exposure.model.intent import Egress
from exposure.networkpolicy.values import Peer, PolicyPort, Rule
from exposure.resolve.facts import ClusterFacts

DNS_PORTS = (PolicyPort("TCP", DNS_PORT), PolicyPort("UDP", DNS_PORT))


def egress_rules(egress: Egress, facts: ClusterFacts) -> tuple[tuple[Rule, ...], tuple[BlindSpot, ...]]:
    """The egress rules of exposed pods: an empty tuple lets out nothing but replies, which need no rule."""
    rules: list[Rule] = []
    spots: list[BlindSpot] = []
    if egress.dns:
        rules += dns_rules(facts)
    if egress.api_server:
        found, seen = api_server_rules(facts)
        rules += found
        spots += seen
    rules += [guarded(rule, facts) for rule in egress.to]
    return tuple(dict.fromkeys(rules)), tuple(spots)


def dns_rules(facts: ClusterFacts) -> list[Rule]:
    """DNS by the pods of the cluster's DNS Service, on its target ports; by address where it is no pod."""
    service = facts.dns_service
    cloud = facts.config.cloud_dns
    if cloud or (cloud is None and service is None and facts.provider == "gce"):
        return [Rule((Peer(Block(CLOUD_DNS)),), DNS_PORTS)]
    namespace: str = DNS_CONVENTION[0]
    labels: Pairs = DNS_CONVENTION[1]
    ports: tuple[PolicyPort, ...] = DNS_PORTS
    addresses: list[Network] = []
    if service is not None and service.selector:
        namespace, labels = service.namespace, service.selector
        ports = facts.dns_ports or DNS_PORTS
    cluster_ips = [network(ip) for ip in (service.cluster_ips if service else ()) if ip and ip != "None"]
    rules = [Rule((Peer(pods=selecting(dict(labels)), namespaces=selecting({NAMESPACE_LABEL: namespace})),), ports)]
    if facts.node_local_dns:
        addresses += [NODE_LOCAL_DNS, *cluster_ips]
    elif facts.cni.slug == "aws-vpc-cni":
        addresses += cluster_ips
    if addresses:
        rules.append(Rule(tuple(Peer(Block(each)) for each in addresses), DNS_PORTS))
    return rules


def api_server_rules(facts: ClusterFacts) -> tuple[list[Rule], list[BlindSpot]]:
    """The API server by the addresses and ports of the EndpointSlices of default/kubernetes."""
    rules: list[Rule] = []
    addresses: list[str] = []
    for each in facts.api_server:
        found = sorted({address for endpoint in each.endpoints for address in endpoint.addresses})
        ports = tuple(PolicyPort(port.protocol, port.port) for port in each.ports if port.port is not None)
        if found and ports:
            addresses += found
            rules.append(Rule(tuple(Peer(Block(network(address))) for address in found), ports))
    service = facts.api_server_service
    if facts.cni.slug == "aws-vpc-cni" and service is not None:
        peers = tuple(Peer(Block(network(ip))) for ip in service.cluster_ips if ip and ip != "None")
        ports = tuple(PolicyPort(port.protocol, port.port) for port in service.ports)
        if peers and ports:
            rules.append(Rule(peers, ports))
    if not rules:
        return [], [blind_spot("APIServerUnreachable", "The EndpointSlice default/kubernetes names no address.")]
    if facts.cni.pod_ranges == "matched-by-identity" and (
        not facts.node_addresses or facts.node_addresses.intersection(addresses)
    ):
        return rules, [
            blind_spot("APIServerUnreachable", "Cilium's ipBlocks match no node, and the control plane runs on one.")
        ]
    return rules, []


def guarded(rule: Rule, facts: ClusterFacts) -> Rule:
    """The rule with metadata services cut out of every block that strictly contains one."""
    if rule.peers is None:
        wide = tuple(Peer(Block(each)) for each in WHOLE_FAMILY.values())
        if facts.cni.pod_ranges == "matched-by-identity":
            # There a whole family means what is outside: pods are named apart, so that "everywhere" stays that.
            wide = (*wide, Peer(namespaces=EVERYTHING))
        return guarded(Rule(wide, rule.ports), facts)
    return Rule(tuple(_guarded_peer(peer) for peer in rule.peers), rule.ports)


def _guarded_peer(peer: Peer) -> Peer:
    if peer.block is None:
        return peer
    cidr = peer.block.cidr
    hidden: Iterable[Network] = (each for each in METADATA if inside(each, cidr) and each != cidr)
    found = block(cidr, (*peer.block.excepts, *hidden))
    return peer if found is None else Peer(found)
