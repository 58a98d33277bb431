"""Which addresses belong to pods, and how they are excluded from the ranges of clients outside."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from exposure.addresses import (
    PRIVATE,
    WHOLE_FAMILY,
    Address,
    Block,
    Family,
    Network,
    address,
    block,
    collapsed,
    family,
    in_any,
    inside,
    network,
    overlap,
    sort_key,
    union,
)
from exposure.catalog.cnis import CNIProfile
from exposure.model.snapshot import Snapshot

#: How many networks stand for the unexpected pod addresses, at most.
MOST_UNEXPECTED = 16
#: Prefix lengths by IP version: the first at which there are few enough networks is used.
SUMMARY_LENGTHS = tuple(
    {4: ipv4, 6: ipv6} for ipv4, ipv6 in ((32, 128), (24, 64), (20, 56), (16, 48), (12, 40), (8, 32), (0, 0))
)


@dataclass(frozen=True, slots=True)
class PodRanges:
    """`excluded`: what is excluded from wider blocks. `open_because`: why pods may stay inside these; "": none do.

    `unexpected`: networks that hold every pod address outside the ranges that pods should have. A network of several
    addresses stays until the last one is gone. `suspects`: where pods may be as long as none was seen there.
    `settled`: a pod address inside these changes nothing, because it is expected there, or because no pod address
    decides anything in this cluster.
    """

    excluded: tuple[Network, ...] = ()
    open_because: str = ""
    unexpected: tuple[Network, ...] = ()
    families: tuple[Family, ...] = ()
    suspects: tuple[Network, ...] = PRIVATE
    settled: tuple[Network, ...] = tuple(WHOLE_FAMILY.values())

    def changed_by(self, added: Iterable[str], removed: Iterable[str], snapshot: Snapshot) -> bool:
        """Whether the ranges may differ now that pod addresses were added to `snapshot` and removed from it.

        A known pod address changes nothing. Removing an unexpected one does, if it was the last of its network.
        """
        known = (*self.settled, *self.unexpected)
        if any(not in_any(network(text), known) for text in added):
            return True
        left = {unexpected for text in removed for unexpected in self.unexpected if inside(network(text), unexpected)}
        if not left:
            return False
        for still_there in pod_addresses(snapshot):
            left = {unexpected for unexpected in left if still_there not in unexpected}
            if not left:
                return False
        return True

    def can_hold_pods(self, emitted: Block) -> bool:
        """Whether a block that is written may admit pods that could not be excluded."""
        if not self.open_because or emitted.cidr.num_addresses == 1:
            return False
        return any(
            overlap(emitted.cidr, suspect) and not in_any(suspect, emitted.excepts)
            for suspect in self.unexpected or self.suspects
        )

    def exclude(self, blocks: Iterable[Block]) -> tuple[tuple[Block, ...], bool]:
        """The blocks without the pod ranges that lie strictly inside them, and whether any block was cut."""
        return _exclude(self.excluded, tuple(blocks))


@lru_cache(maxsize=8192)
def _exclude(pod_ranges: tuple[Network, ...], blocks: tuple[Block, ...]) -> tuple[tuple[Block, ...], bool]:
    kept: list[Block] = []
    cut = False
    for whole in blocks:
        inner = [cidr for cidr in pod_ranges if inside(cidr, whole.cidr) and cidr != whole.cidr]
        left = block(whole.cidr, (*whole.excepts, *inner)) if inner else whole
        cut = cut or left != whole
        if left is not None:
            kept.append(left)
    return union(kept), cut


def pod_ranges(snapshot: Snapshot, cni: CNIProfile) -> PodRanges:
    """The configured ranges; else Calico's pools; else the nodes' podCIDRs, if the known pods lie inside them."""
    configured = snapshot.config.pod_cidrs
    known = configured or _node_cidrs(snapshot)
    if cni.pod_ranges == "matched-by-identity":
        return PodRanges(families=_families(known))
    if cni.pod_ranges == "shared":
        because = "Pods, nodes and load balancers share one network."
        # Where it is not known which addresses are pods': private ones, and those around the nodes, because IPv6
        # networks of a cloud are public.
        suspects = configured or (*PRIVATE, *_node_addresses(snapshot))
        return PodRanges((), because, families=_families(known), suspects=tuple(dict.fromkeys(suspects)))
    pools = configured or tuple(network(pool.cidr) for pool in snapshot.ip_pools.values() if pool.cidr)
    if pools:
        return PodRanges(collapsed(pools), families=_families(pools))
    return _by_nodes(snapshot, cni)


def _by_nodes(snapshot: Snapshot, cni: CNIProfile) -> PodRanges:
    cidrs = collapsed(_node_cidrs(snapshot))
    families = _families(cidrs)
    if not cidrs:
        return PodRanges((), "The pod CIDRs are not known.", families=families)
    pods = set(pod_addresses(snapshot))
    unexpected = [pod for pod in pods if not any(pod in cidr for cidr in cidrs)]
    if not pods and cni.pod_cidrs == "once-one-lies-inside":
        because = "No pod address is known yet, and this CNI may not use the nodes' podCIDRs."
        return PodRanges((), because, families=families, settled=())
    if not unexpected:
        return PodRanges(cidrs, families=families, settled=cidrs)
    networks = _summarized(unexpected)
    return PodRanges(
        excluded=cidrs if cni.pod_cidrs == "always" else (),
        open_because=_outside(networks),
        unexpected=networks,
        families=families,
        settled=cidrs,
    )


def _summarized(addresses: Collection[Address]) -> tuple[Network, ...]:
    """The addresses themselves or, if there are too many, wider networks around them."""
    lengths = next(
        lengths for lengths in SUMMARY_LENGTHS if len({_prefix(pod, lengths) for pod in addresses}) <= MOST_UNEXPECTED
    )
    examples = {_prefix(pod, lengths): pod for pod in addresses}.values()
    return tuple(sorted((network(f"{pod}/{lengths[pod.version]}") for pod in examples), key=sort_key))


def _prefix(of: Address, lengths: Mapping[int, int]) -> tuple[int, int]:
    return of.version, int(of) >> (of.max_prefixlen - lengths[of.version])


def _outside(networks: tuple[Network, ...]) -> str:
    """`The pod address 10.99.0.5 lies outside the nodes' podCIDRs.`"""
    first = networks[0]
    if first.num_addresses == 1:
        return f"The pod address {first.network_address} lies outside the nodes' podCIDRs."
    return f"Pod addresses in {first} lie outside the nodes' podCIDRs."


def pod_addresses(snapshot: Snapshot) -> Iterator[Address]:
    """Every address of a pod in Pods and EndpointSlices. Pods that use hostNetwork are left out."""
    hosts = {ip for node in snapshot.nodes.values() for ip in (*node.internal_ips, *node.external_ips)}
    for pods in snapshot.pods.values():
        for pod in pods.values():
            if not pod.host_network and not pod.finished:
                yield from _parsed(ip for ip in pod.ips if ip not in hosts)
    for slices in snapshot.endpoint_slices.values():
        for endpoint_slice in slices.values():
            for endpoint in endpoint_slice.endpoints:
                if endpoint.pod:
                    yield from _parsed(ip for ip in endpoint.addresses if ip not in hosts)


def _parsed(texts: Iterable[str]) -> Iterator[Address]:
    return (parsed for text in texts if (parsed := address(text)) is not None)


def _node_cidrs(snapshot: Snapshot) -> tuple[Network, ...]:
    return tuple(network(cidr) for node in snapshot.nodes.values() for cidr in node.pod_cidrs)


def _node_addresses(snapshot: Snapshot) -> tuple[Network, ...]:
    return collapsed(network(ip) for node in snapshot.nodes.values() for ip in node.internal_ips)


def _families(networks: Iterable[Network]) -> tuple[Family, ...]:
    return tuple(sorted({family(network) for network in networks}))
