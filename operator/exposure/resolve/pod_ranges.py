"""Which addresses are pods', and cutting them out of what outside clients may be."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from exposure.addresses import (
    Address,
    Block,
    Family,
    Network,
    address,
    block,
    collapsed,
    family,
    inside,
    network,
    overlap,
    union,
)
from exposure.catalog.cnis import Cni
from exposure.model.snapshot import Snapshot

#: Ranges that pods and load balancers of one private network share; a public range holds no pods.
PRIVATE = tuple(map(network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))
STRAYS_KEPT = 16


@dataclass(frozen=True, slots=True)
class PodRanges:
    """`carved` is cut out of wider blocks; `open_because` says why some pods may stay inside, and "" that none do.

    `strays`: addresses of pods outside of what is carved; `suspects`: where pods may be, as long as none was seen.
    """

    carved: tuple[Network, ...] = ()
    open_because: str = ""
    strays: tuple[Network, ...] = ()
    families: tuple[Family, ...] = ()
    suspects: tuple[Network, ...] = PRIVATE

    def holds(self, text: str) -> bool:
        """Whether a pod's address is one that is already accounted for, so that nothing changes by seeing it."""
        found = address(text)
        return found is None or any(inside(network(text), each) for each in (*self.carved, *self.strays))

    def can_hold_pods(self, emitted: Block) -> bool:
        if not self.open_because or emitted.cidr.num_addresses == 1:
            return False
        suspects = self.strays or self.suspects
        return any(
            overlap(emitted.cidr, each) and not any(inside(each, cut) for cut in emitted.excepts) for each in suspects
        )

    def carve(self, blocks: Iterable[Block]) -> tuple[tuple[Block, ...], bool]:
        """The blocks without the pod CIDRs that lie strictly inside them, and whether anything was cut."""
        return _carve(self.carved, tuple(blocks))


@lru_cache(maxsize=8192)
def _carve(pods: tuple[Network, ...], blocks: tuple[Block, ...]) -> tuple[tuple[Block, ...], bool]:
    result: list[Block] = []
    cut = False
    for each in blocks:
        inner = [cidr for cidr in pods if inside(cidr, each.cidr) and cidr != each.cidr]
        carved = block(each.cidr, (*each.excepts, *inner)) if inner else each
        cut = cut or (carved != each)
        if carved is not None:
            result.append(carved)
    return union(result), cut


def pod_ranges(snapshot: Snapshot, cni: Cni) -> PodRanges:
    """Configured ranges win; else Calico's pools; else the nodes' podCIDRs as far as the pods seen bear them out."""
    known = snapshot.config.pod_cidrs or _node_cidrs(snapshot)
    if cni.pod_ranges == "matched-by-identity":
        return PodRanges(families=_families(known))
    if cni.pod_ranges == "shared":
        because = "Pods, nodes and load balancers share one network here."
        # Where nobody says which addresses are pods': private ones, and those around the nodes, which IPv6 networks
        # of a cloud take from public space.
        suspects = snapshot.config.pod_cidrs or (*PRIVATE, *_node_addresses(snapshot))
        return PodRanges((), because, families=_families(known), suspects=tuple(dict.fromkeys(suspects)))
    if snapshot.config.pod_cidrs:
        return PodRanges(collapsed(snapshot.config.pod_cidrs), families=_families(snapshot.config.pod_cidrs))
    pools = tuple(network(pool.cidr) for pool in snapshot.ip_pools.values() if pool.cidr)
    if pools:
        return PodRanges(collapsed(pools), families=_families(pools))
    return _by_nodes(snapshot, cni)


def _by_nodes(snapshot: Snapshot, cni: Cni) -> PodRanges:
    cidrs = collapsed(_node_cidrs(snapshot))
    families = _families(cidrs)
    if not cidrs:
        return PodRanges((), "The pod CIDRs are not known.", families=families)
    seen = False
    strays: set[Network] = set()
    for found in pod_addresses(snapshot):
        seen = True
        if not any(found in cidr for cidr in cidrs):
            strays.add(network(str(found)))
    calico = cni.slug.startswith("calico")
    if calico and not seen:
        because = "No pod address has been seen, and Calico's own IPAM ignores the nodes' podCIDRs."
        return PodRanges((), because, families=families)
    if not strays:
        return PodRanges(cidrs, families=families)
    first = sorted(strays, key=lambda each: (each.version, each))[:STRAYS_KEPT]
    because = f"The pod address {first[0].network_address} lies outside the nodes' podCIDRs."
    # Azure CNI without overlay gives pods addresses of the virtual network, as Calico's IPAM gives its pools'.
    ignored = calico or cni.slug == "azure-npm"
    return PodRanges(() if ignored else cidrs, because, tuple(first), families)


def pod_addresses(snapshot: Snapshot) -> Iterator[Address]:
    """Every pod address seen, in Pods and EndpointSlices; pods that share their node's network are left out."""
    hosts = {ip for node in snapshot.nodes.values() for ip in (*node.internal_ips, *node.external_ips)}
    for pods in snapshot.pods.values():
        for pod in pods.values():
            if not pod.host_network and not pod.finished:
                yield from _parsed(ip for ip in pod.ips if ip not in hosts)
    for slices in snapshot.endpoint_slices.values():
        for each in slices.values():
            for endpoint in each.endpoints:
                if endpoint.pod:
                    yield from _parsed(ip for ip in endpoint.addresses if ip not in hosts)


def _parsed(texts: Iterable[str]) -> Iterator[Address]:
    return (found for text in texts if (found := address(text)) is not None)


def _node_cidrs(snapshot: Snapshot) -> tuple[Network, ...]:
    return tuple(network(cidr) for node in snapshot.nodes.values() for cidr in node.pod_cidrs)


def _node_addresses(snapshot: Snapshot) -> tuple[Network, ...]:
    found = (address(ip) for node in snapshot.nodes.values() for ip in node.internal_ips)
    return collapsed(network(str(ip)) for ip in found if ip is not None)


def _families(networks: Iterable[Network]) -> tuple[Family, ...]:
    return tuple(sorted({family(each) for each in networks}))
