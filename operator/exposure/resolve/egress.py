"""What exposed pods may call: DNS, the API server, what the policy names; and never a metadata service by accident."""

from collections.abc import Iterable

from exposure.facts.egress import CLOUD_DNS, DNS_CONVENTION, DNS_PORT, METADATA, NODE_LOCAL_DNS
from exposure.facts.reasons import blind_spot
from exposure.resolve.survey import Survey
from exposure.values.addresses import WHOLE_FAMILY, Block, Network, block, inside, network
from exposure.values.exposures import BlindSpot
from exposure.values.labels import EVERYTHING, NAMESPACE_LABEL, Pairs, selecting
from exposure.values.network_policy import Peer, PolicyPort, Rule
from exposure.values.policies import Egress

DNS_PORTS = (PolicyPort("TCP", DNS_PORT), PolicyPort("UDP", DNS_PORT))


def egress_rules(egress: Egress, survey: Survey) -> tuple[tuple[Rule, ...], tuple[BlindSpot, ...]]:
    """The egress rules of exposed pods: an empty tuple lets out nothing but replies, which need no rule."""
    rules: list[Rule] = []
    spots: list[BlindSpot] = []
    if egress.dns:
        rules += dns_rules(survey)
    if egress.api_server:
        found, seen = api_server_rules(survey)
        rules += found
        spots += seen
    rules += [guarded(rule, survey) for rule in egress.to]
    return tuple(dict.fromkeys(rules)), tuple(spots)


def dns_rules(survey: Survey) -> list[Rule]:
    """DNS by the pods of the cluster's DNS Service, on its target ports; by address where it is no pod."""
    service = survey.dns_service
    cloud = survey.config.cloud_dns
    if cloud or (cloud is None and service is None and survey.provider == "gce"):
        return [Rule((Peer(Block(CLOUD_DNS)),), DNS_PORTS)]
    namespace: str = DNS_CONVENTION[0]
    labels: Pairs = DNS_CONVENTION[1]
    ports: tuple[PolicyPort, ...] = DNS_PORTS
    addresses: list[Network] = []
    if service is not None and service.selector:
        namespace, labels = service.namespace, service.selector
        ports = survey.dns_ports or DNS_PORTS
    cluster_ips = [network(ip) for ip in (service.cluster_ips if service else ()) if ip and ip != "None"]
    rules = [Rule((Peer(pods=selecting(dict(labels)), namespaces=selecting({NAMESPACE_LABEL: namespace})),), ports)]
    if survey.node_local_dns:
        addresses += [NODE_LOCAL_DNS, *cluster_ips]
    elif survey.cni.slug == "aws-vpc-cni":
        addresses += cluster_ips
    if addresses:
        rules.append(Rule(tuple(Peer(Block(each)) for each in addresses), DNS_PORTS))
    return rules


def api_server_rules(survey: Survey) -> tuple[list[Rule], list[BlindSpot]]:
    """The API server by the addresses and ports of the EndpointSlices of default/kubernetes."""
    rules: list[Rule] = []
    addresses: list[str] = []
    for each in survey.api_server:
        found = sorted({address for endpoint in each.endpoints for address in endpoint.addresses})
        ports = tuple(PolicyPort(port.protocol, port.port) for port in each.ports if port.port is not None)
        if found and ports:
            addresses += found
            rules.append(Rule(tuple(Peer(Block(network(address))) for address in found), ports))
    service = survey.api_server_service
    if survey.cni.slug == "aws-vpc-cni" and service is not None:
        peers = tuple(Peer(Block(network(ip))) for ip in service.cluster_ips if ip and ip != "None")
        ports = tuple(PolicyPort(port.protocol, port.port) for port in service.ports)
        if peers and ports:
            rules.append(Rule(peers, ports))
    if not rules:
        return [], [blind_spot("APIServerUnreachable", "The EndpointSlice default/kubernetes names no address.")]
    if survey.cni.pod_ranges == "matched-by-identity" and (
        not survey.node_addresses or survey.node_addresses.intersection(addresses)
    ):
        return rules, [
            blind_spot("APIServerUnreachable", "Cilium's ipBlocks match no node, and the control plane runs on one.")
        ]
    return rules, []


def guarded(rule: Rule, survey: Survey) -> Rule:
    """The rule with metadata services cut out of every block that strictly contains one."""
    if rule.peers is None:
        wide = tuple(Peer(Block(each)) for each in WHOLE_FAMILY.values())
        if survey.cni.pod_ranges == "matched-by-identity":
            # There a whole family means what is outside: pods are named apart, so that "everywhere" stays that.
            wide = (*wide, Peer(namespaces=EVERYTHING))
        return guarded(Rule(wide, rule.ports), survey)
    return Rule(tuple(_guarded_peer(peer) for peer in rule.peers), rule.ports)


def _guarded_peer(peer: Peer) -> Peer:
    if peer.block is None:
        return peer
    cidr = peer.block.cidr
    hidden: Iterable[Network] = (each for each in METADATA if inside(each, cidr) and each != cidr)
    found = block(cidr, (*peer.block.excepts, *hidden))
    return peer if found is None else Peer(found)
