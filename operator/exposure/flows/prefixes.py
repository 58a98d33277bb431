"""Many addresses as few prefixes: exact where that is few enough, wider only as far as a bound allows."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from exposure.addresses import Network, collapsed, common_prefix_length, inside, sort_key

#: So many different networks of one /24 (IPv6: /64) stand for all of it.
CROWD = 8
CROWD_PREFIX = {4: 24, 6: 64}
#: Network → how many records of a log name it.
Weighted: TypeAlias = tuple[Network, int]


@dataclass(frozen=True, slots=True)
class Covered:
    """A prefix in which `networks` networks of the log lie, with `weight` records."""

    cidr: Network
    networks: int
    weight: int


@dataclass(frozen=True, slots=True)
class Cover:
    """The prefixes, and what they leave out: how many networks of the log, with how many records."""

    prefixes: tuple[Covered, ...]
    left_out: int = 0
    left_weight: int = 0


def cover(weighted: Iterable[Weighted], most: int, widest: Mapping[int, int]) -> Cover:
    """At most `most` prefixes over the networks of a log. `widest`: the shortest prefix length, by IP version.

    All networks are covered if that can be done within both bounds. Otherwise the prefixes with the most records are
    kept.
    """
    log = sorted(weighted, key=lambda entry: sort_key(entry[0]))
    exact = collapsed(_with_crowds([network for network, _ in log], widest))
    merged = [
        network
        for version in (4, 6)
        for network in _merged([network for network in exact if network.version == version], most, widest)
    ]
    prefixes = _weighed(collapsed(merged), log)
    if len(prefixes) <= most:
        return Cover(tuple(prefixes))
    heaviest = sorted(prefixes, key=lambda prefix: (-prefix.weight, sort_key(prefix.cidr)))
    left_out = heaviest[most:]
    return Cover(
        tuple(sorted(heaviest[:most], key=lambda prefix: sort_key(prefix.cidr))),
        sum(prefix.networks for prefix in left_out),
        sum(prefix.weight for prefix in left_out),
    )


def _with_crowds(networks: Sequence[Network], widest: Mapping[int, int]) -> Iterable[Network]:
    """The networks, and the /24 (IPv6: /64) around each crowd of them."""
    around: dict[Network, set[Network]] = {}
    for network in networks:
        length = max(CROWD_PREFIX[network.version], widest[network.version])
        if network.prefixlen > length:
            around.setdefault(network.supernet(new_prefix=length), set()).add(network)
    crowded = {prefix for prefix, members in around.items() if len(members) >= CROWD}
    return (*networks, *crowded)


def _merged(nets: list[Network], most: int, widest: Mapping[int, int]) -> list[Network]:
    """Neighbors become their common prefix, the longest first, until few enough are left or the rest would be too wide.

    `nets` are sorted, disjoint and of one family. A heap holds each pair of neighbors by the length of their prefix;
    a pair of which one has changed since is passed over.
    """
    after: list[int | None] = [*range(1, len(nets)), None] if nets else []
    before: list[int | None] = [None, *range(len(nets) - 1)] if nets else []
    alive = [True] * len(nets)
    bits = 32 if nets and nets[0].version == 4 else 128
    heap: list[tuple[int, int, int, Network, Network]] = []

    def push(left: int | None) -> None:
        if left is None:
            return
        right = after[left]
        if right is not None:
            length = common_prefix_length((nets[left], nets[right]))
            if length >= widest[nets[left].version]:
                heapq.heappush(heap, (bits - length, left, right, nets[left], nets[right]))

    for number in range(len(nets)):
        push(number)
    count = len(nets)
    while count > most and heap:
        cost, left, right, was_left, was_right = heapq.heappop(heap)
        if not (alive[left] and alive[right]) or nets[left] is not was_left or nets[right] is not was_right:
            continue
        nets[left] = nets[left].supernet(new_prefix=bits - cost)
        alive[right] = False
        beyond = after[right]
        after[left] = beyond
        if beyond is not None:
            before[beyond] = left
        count -= 1
        push(left)
        push(before[left])
    return [net for net, kept in zip(nets, alive, strict=True) if kept]


def _weighed(prefixes: Sequence[Network], log: Sequence[Weighted]) -> list[Covered]:
    """What of the log lies in each prefix. Both are sorted, so one pass is enough."""
    covered: list[Covered] = []
    at = 0
    for prefix in sorted(prefixes, key=sort_key):
        networks = weight = 0
        while at < len(log) and inside(log[at][0], prefix):
            networks, weight, at = networks + 1, weight + log[at][1], at + 1
        covered.append(Covered(prefix, networks, weight))
    return covered
