"""Addresses as values: networks, blocks with exceptions, and set operations on both.

A `Block` is what a NetworkPolicy's ipBlock is: a CIDR and the CIDRs excluded from it. All functions are pure, keep IPv4
and IPv6 apart, and return sorted tuples, so that equal meanings render equally.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Literal, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address
Family: TypeAlias = Literal["IPv4", "IPv6"]

WHOLE_FAMILY: dict[Family, Network] = {"IPv4": IPv4Network("0.0.0.0/0"), "IPv6": IPv6Network("::/0")}
#: RFC 1918, RFC 6598 (carriers, clouds) and RFC 4193: addresses of private networks.
PRIVATE: tuple[Network, ...] = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
#: RFC 3927, RFC 4291: addresses that are valid on one link only.
LINK_LOCAL: tuple[Network, ...] = (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/10"))


@lru_cache(maxsize=65536)
def network(text: str) -> Network:
    """The network that `text` writes: a CIDR, or an address, which is a network of one. ValueError for neither."""
    written = ip_network(text.strip(), strict=False)
    mapped = written.network_address.ipv4_mapped if isinstance(written, IPv6Network) else None
    if mapped is not None and written.prefixlen >= 96:
        # No packet has the address ::ffff:203.0.113.0, and no NetworkPolicy may contain it. It means the IPv4 address.
        return IPv4Network((mapped, written.prefixlen - 96))
    return written


@lru_cache(maxsize=65536)
def address(text: str) -> Address | None:
    """The address that `text` writes, or None where it is a host name or nothing at all."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def family(of: Network | Address) -> Family:
    return "IPv4" if of.version == 4 else "IPv6"


def sort_key(of: Network) -> tuple[int, int, int]:
    """IPv4 before IPv6, then by address, then wider before narrower."""
    return of.version, int(of.network_address), of.prefixlen


def inside(inner: Network, outer: Network) -> bool:
    """Whether `outer` contains every address of `inner`."""
    # Not subnet_of, which takes three times as long.
    return inner.version == outer.version and inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def overlap(left: Network, right: Network) -> bool:
    """Whether two networks share an address: CIDRs nest or are disjoint."""
    return inside(left, right) or inside(right, left)


def in_any(inner: Network, outer: Iterable[Network]) -> bool:
    """Whether one of the networks holds every address of `inner`."""
    return any(inside(inner, network) for network in outer)


def common_prefix_length(networks: Sequence[Network]) -> int:
    """The length of the longest prefix that holds all the networks, which are of one family."""
    starts = [int(network.network_address) for network in networks]
    differing = (min(starts) ^ max(starts)).bit_length()
    return min(networks[0].max_prefixlen - differing, *(network.prefixlen for network in networks))


def collapsed(networks: Iterable[Network]) -> tuple[Network, ...]:
    """The fewest networks that hold exactly the same addresses."""
    return _collapsed(tuple(networks))


# Thousands of Services share the same node addresses and client ranges, so results are kept, here and below.
@lru_cache(maxsize=8192)
def _collapsed(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    v4 = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    v6 = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return (*v4, *v6)


def covered(inner: Network, outer: Iterable[Network]) -> bool:
    """Whether `inner` lies inside the union of `outer`."""
    return in_any(inner, collapsed(outer))


def whole_families(networks: Iterable[Network]) -> frozenset[Family]:
    """The families of which the networks together hold every address."""
    return frozenset(family(network) for network in collapsed(networks) if network.prefixlen == 0)


@dataclass(frozen=True, slots=True)
class Block:
    """A CIDR and what is excluded from it."""

    cidr: Network
    excepts: tuple[Network, ...] = ()

    def __str__(self) -> str:
        excepts = f" except {', '.join(map(str, self.excepts))}" if self.excepts else ""
        return f"{self.cidr}{excepts}"


def block(cidr: Network, excluded: Iterable[Network] = ()) -> Block | None:
    """The block of `cidr` without what is excluded; None where nothing is left of it."""
    kept = collapsed(network for network in excluded if overlap(network, cidr))
    return None if in_any(cidr, kept) else Block(cidr, kept)


def everyone(families: Iterable[Family]) -> tuple[Block, ...]:
    """Every address of each family."""
    return tuple(Block(WHOLE_FAMILY[name]) for name in sorted(set(families)))


def blocks(networks: Iterable[Network], excluded: Iterable[Network] = ()) -> tuple[Block, ...]:
    """The networks as blocks, each without what is excluded, those that lie inside another dropped, sorted."""
    return _blocks(tuple(networks), tuple(excluded))


@lru_cache(maxsize=8192)
def _blocks(networks: tuple[Network, ...], excluded: tuple[Network, ...]) -> tuple[Block, ...]:
    left = (block(network, excluded) for network in networks)
    return union(part for part in left if part is not None)


def union(parts: Iterable[Block]) -> tuple[Block, ...]:
    """The blocks, sorted, without those that another one contains."""
    return _union(tuple(parts))


@lru_cache(maxsize=8192)
def _union(parts: tuple[Block, ...]) -> tuple[Block, ...]:
    kept: list[Block] = []
    for part in sorted(set(parts), key=_block_key):
        if not any(_holds(other, part) for other in kept):
            kept = [*(other for other in kept if not _holds(part, other)), part]
    return tuple(kept)


def _block_key(of: Block) -> tuple[int, int, int, int, str]:
    return *sort_key(of.cidr), len(of.excepts), str(of)


def _holds(outer: Block, inner: Block) -> bool:
    """Whether `outer` admits every address that `inner` admits."""
    if not inside(inner.cidr, outer.cidr):
        return False
    touching = (excluded for excluded in outer.excepts if overlap(excluded, inner.cidr))
    return all(covered(_narrower(excluded, inner.cidr), inner.excepts) for excluded in touching)


def _narrower(left: Network, right: Network) -> Network:
    """Of two networks that overlap, the one that lies inside the other."""
    return left if inside(left, right) else right


def intersection(left: Iterable[Block], right: Iterable[Block]) -> tuple[Block, ...]:
    """The addresses that both sides admit. A narrow block beside a wide one that contains it is kept."""
    return _intersection(tuple(left), tuple(right))


@lru_cache(maxsize=8192)
def _intersection(left: tuple[Block, ...], right: tuple[Block, ...]) -> tuple[Block, ...]:
    shared = (
        block(_narrower(of_left.cidr, of_right.cidr), (*of_left.excepts, *of_right.excepts))
        for of_left in left
        for of_right in right
        if overlap(of_left.cidr, of_right.cidr)
    )
    return tuple(sorted({part for part in shared if part is not None}, key=_block_key))


def of_families(parts: Iterable[Block], families: Collection[Family]) -> tuple[Block, ...]:
    """Those blocks that are of one of the families."""
    return tuple(part for part in parts if family(part.cidr) in families)


def admits_everyone(parts: Iterable[Block], families: Iterable[Family]) -> bool:
    """Whether the blocks admit every address of every one of `families`."""
    return whole_families(part.cidr for part in parts if not part.excepts).issuperset(families)
