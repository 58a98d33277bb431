"""Addresses as values: networks, blocks with exceptions, and the little algebra that the rules need.

A `Block` is what a NetworkPolicy's ipBlock is: a CIDR and the CIDRs cut out of it. All functions are pure,
keep IPv4 and IPv6 apart, and return sorted tuples, so that equal meanings render equally.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from typing import Literal, TypeAlias, cast

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address
Family: TypeAlias = Literal["IPv4", "IPv6"]

WHOLE_FAMILY: dict[Family, Network] = {"IPv4": IPv4Network("0.0.0.0/0"), "IPv6": IPv6Network("::/0")}


@lru_cache(maxsize=65536)
def network(text: str) -> Network:
    """The network that `text` writes: a CIDR, or an address, which is a network of one. ValueError for neither."""
    found = ip_network(text.strip(), strict=False)
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) and found.prefixlen >= 96 else None
    # No packet carries ::ffff:203.0.113.0, and a NetworkPolicy may not name it: what is meant is the IPv4 address.
    return found if mapped is None else IPv4Network((mapped, found.prefixlen - 96))


@lru_cache(maxsize=65536)
def strict_network(text: str) -> Network:
    """As `network`, but refuses set host bits, as the API server does for a NetworkPolicy's ipBlock."""
    return ip_network(text, strict=True)


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
    """Whether every address of `inner` is one of `outer`."""
    # Not subnet_of, which takes three times as long.
    return inner.version == outer.version and inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def overlap(one: Network, other: Network) -> bool:
    """Whether the two networks share an address: CIDRs nest or are disjoint."""
    return inside(one, other) or inside(other, one)


def collapsed(networks: Iterable[Network]) -> tuple[Network, ...]:
    """The fewest networks that hold exactly the same addresses."""
    return _collapsed(tuple(networks))


# The same node addresses and client ranges stand behind thousands of Services: what was worked out once is kept.
@lru_cache(maxsize=8192)
def _collapsed(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    by_family: dict[int, list[Network]] = {4: [], 6: []}
    for each in networks:
        by_family[each.version].append(each)
    v4 = collapse_addresses(cast(list[IPv4Network], by_family[4]))
    v6 = collapse_addresses(cast(list[IPv6Network], by_family[6]))
    return (*v4, *v6)


def covered(inner: Network, outer: Iterable[Network]) -> bool:
    """Whether `inner` lies inside the union of `outer`: collapsing merges whatever fills a CIDR."""
    return any(inside(inner, each) for each in collapsed(outer))


def whole_families(networks: Iterable[Network]) -> frozenset[Family]:
    """The families of which the networks, taken together, hold every address."""
    return frozenset(family(each) for each in collapsed(networks) if each.prefixlen == 0)


@dataclass(frozen=True, slots=True)
class Block:
    """A CIDR and what is cut out of it."""

    cidr: Network
    excepts: tuple[Network, ...] = ()

    def __str__(self) -> str:
        cuts = f" except {', '.join(map(str, self.excepts))}" if self.excepts else ""
        return f"{self.cidr}{cuts}"


def block(cidr: Network, cuts: Iterable[Network] = ()) -> Block | None:
    """The block of `cidr` without `cuts`; None where nothing is left of it."""
    touching = [cut for cut in cuts if overlap(cut, cidr)]
    if any(inside(cidr, cut) for cut in touching):
        return None
    kept = collapsed(touching)
    if kept == (cidr,):
        return None
    return Block(cidr, tuple(sorted(kept, key=sort_key)))


def everyone(families: Iterable[Family]) -> tuple[Block, ...]:
    return tuple(Block(WHOLE_FAMILY[each]) for each in sorted(set(families)))


def blocks(networks: Iterable[Network], cuts: Iterable[Network] = ()) -> tuple[Block, ...]:
    """The networks as blocks, each without `cuts`, those that lie inside another dropped, sorted."""
    return _blocks(tuple(networks), tuple(cuts))


@lru_cache(maxsize=8192)
def _blocks(networks: tuple[Network, ...], removed: tuple[Network, ...]) -> tuple[Block, ...]:
    return union(found for each in networks if (found := block(each, removed)) is not None)


def union(parts: Iterable[Block]) -> tuple[Block, ...]:
    """The blocks, sorted, without those that another one already holds."""
    return _union(tuple(parts))


@lru_cache(maxsize=8192)
def _union(parts: tuple[Block, ...]) -> tuple[Block, ...]:
    ordered = sorted(set(parts), key=_block_key)
    kept: list[Block] = []
    for each in ordered:
        if not any(_holds(other, each) for other in kept):
            kept = [other for other in kept if not _holds(each, other)]
            kept.append(each)
    return tuple(kept)


def _block_key(of: Block) -> tuple[int, int, int, int, str]:
    return *sort_key(of.cidr), len(of.excepts), str(of)


def _holds(outer: Block, inner: Block) -> bool:
    """Whether `outer` admits every address that `inner` admits."""
    if not inside(inner.cidr, outer.cidr):
        return False
    for cut in outer.excepts:
        if overlap(cut, inner.cidr) and not covered(_part_of(cut, inner.cidr), inner.excepts):
            return False
    return True


def _part_of(cut: Network, cidr: Network) -> Network:
    return cut if inside(cut, cidr) else cidr


def intersection(one: Iterable[Block], other: Iterable[Block]) -> tuple[Block, ...]:
    """The addresses that both sides admit, each block apart: a narrow one beside a wide one may be meant by itself."""
    return _intersection(tuple(one), tuple(other))


@lru_cache(maxsize=8192)
def _intersection(one: tuple[Block, ...], right: tuple[Block, ...]) -> tuple[Block, ...]:
    met: list[Block] = []
    for left in one:
        for against in right:
            if overlap(left.cidr, against.cidr):
                narrower = left.cidr if inside(left.cidr, against.cidr) else against.cidr
                found = block(narrower, (*left.excepts, *against.excepts))
                if found is not None:
                    met.append(found)
    return tuple(sorted(set(met), key=_block_key))


def of_families(parts: Iterable[Block], families: Iterable[Family]) -> tuple[Block, ...]:
    wanted = frozenset(families)
    return tuple(each for each in parts if family(each.cidr) in wanted)


def admits_everyone(parts: Iterable[Block], families: Iterable[Family]) -> bool:
    """Whether the blocks admit every address of every one of `families`."""
    whole = whole_families(each.cidr for each in parts if not each.excepts)
    return frozenset(families) <= whole
