"""The addresses that nodes use when they SNAT: InternalIPs, and those of tunnels, bridges, gateways, join networks."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

from exposure.addresses import Family, Network, family, in_any, network
from exposure.catalog.cnis import FLANNEL, CNIProfile
from exposure.fields import is_network
from exposure.model.snapshot import Snapshot
from exposure.resolve.widening import narrowest_cover


def snat_addresses(snapshot: Snapshot, cni: CNIProfile) -> list[Network]:
    """The addresses one by one. Configured node CIDRs stand for the InternalIPs, and for nothing else."""
    nodes = list(snapshot.nodes.values())
    addresses: list[Network] = []
    if cni.internal_ips:
        addresses += snapshot.config.node_cidrs or [network(ip) for node in nodes for ip in node.internal_ips]
    annotated = [
        address
        for node in nodes
        for key, value in node.annotations
        if key in cni.snat_annotations
        for address in _addresses_in(value)
    ]
    addresses += annotated
    for fallback in map(network, cni.snat_fallback):
        if not any(family(address) == family(fallback) for address in annotated):
            addresses.append(fallback)
    hosts = cni.pod_cidr_hosts
    if cni.pod_cidr_hosts_beside_flannel and any(
        key.startswith(FLANNEL) for node in nodes for key, _ in node.annotations
    ):
        hosts = (*hosts, *cni.pod_cidr_hosts_beside_flannel)
    for node in nodes:
        for cidr in map(network, node.pod_cidrs):
            addresses += [network(str(cidr[index])) for index in hosts if index < cidr.num_addresses]
    return addresses


def addresses_among_pods(networks: Sequence[Network], pod_ranges: tuple[Network, ...]) -> tuple[Network, ...]:
    """Addresses inside pod ranges that are lost where these are excluded from a wider network, such as a node CIDR."""
    wide = [network for network in networks if network.num_addresses > 1]
    return tuple(
        address
        for address in networks
        if in_any(address, (network for network in wide if network != address)) and in_any(address, pod_ranges)
    )


@lru_cache(maxsize=16384)
def _addresses_in(value: str) -> tuple[Network, ...]:
    """Addresses in an annotation: bare, with a prefix length, or OVN's JSON by family, perhaps under `default`."""
    if value.startswith("{"):
        try:
            parsed = json.loads(value)
        except ValueError:
            return ()
        by_family = parsed.get("default", parsed)
        texts = [text for text in by_family.values() if isinstance(text, str)] if isinstance(by_family, dict) else []
    else:
        texts = [value]
    bare = [text.split("/")[0] for text in texts]
    return tuple(network(text) for text in bare if text and is_network(text))


def snat_sources(
    networks: tuple[Network, ...], families: Iterable[Family], limit: int, forbidden: tuple[Network, ...]
) -> tuple[tuple[Network, ...], bool]:
    """The addresses of a Service's families, and whether they had to be widened to fit the limit of peers."""
    wanted = sorted(set(families))
    by_family = [tuple(network for network in networks if family(network) == name) for name in wanted]
    if sum(map(len, by_family)) <= limit:
        return tuple(network for of_family in by_family for network in of_family), False
    share = max(1, limit // len(wanted))
    spare = sum(max(0, share - len(of_family)) for of_family in by_family)
    covers = [
        narrowest_cover(of_family, share if len(of_family) <= share else share + spare, forbidden)
        for of_family in by_family
    ]
    # Where every prefix that could stand for several crosses a pod CIDR, all of them are kept as they are.
    return tuple(network for cover in covers for network in cover), covers != by_family
