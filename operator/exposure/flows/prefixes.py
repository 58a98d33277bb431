"""Many addresses as few prefixes: exact where that is few enough, wider only as far as a bound allows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from exposure.addresses import Network, collapsed, common_prefix_length, inside, sort_key
from exposure.grouping import grouped

#: So many different networks of one /24 (IPv6: /64) stand for all of it.
CROWD = 8
CROWD_PREFIX = {4: 24, 6: 64}


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
    left_out: int
    left_weight: int


def cover(weighted: Iterable[tuple[Network, int]], most: int, widest: Mapping[int, int]) -> Cover:
    """At most `most` prefixes over the networks of a log, each with the number of its records.

    `widest`: the shortest prefix length, by IP version. All networks are covered if that can be done within both
    bounds. Otherwise the prefixes with the most records are kept.
    """
    log = sorted(weighted, key=lambda entry: sort_key(entry[0]))
    exact = collapsed(_with_crowds([network for network, _ in log], widest))
    v4, v6 = (_merged([net for net in exact if net.version == version], most, widest[version]) for version in (4, 6))
    prefixes = _weighed(collapsed((*v4, *v6)), log)
    prefixes.sort(key=lambda prefix: -prefix.weight)
    kept, left_out = prefixes[:most], prefixes[most:]
    return Cover(
        tuple(sorted(kept, key=lambda prefix: sort_key(prefix.cidr))),
        sum(prefix.networks for prefix in left_out),
        sum(prefix.weight for prefix in left_out),
    )


def _with_crowds(networks: Sequence[Network], widest: Mapping[int, int]) -> Iterable[Network]:
    """The networks, and the /24 (IPv6: /64) around each crowd of them."""
    lengths = {version: max(length, widest[version]) for version, length in CROWD_PREFIX.items()}
    narrower = (network for network in networks if network.prefixlen > lengths[network.version])
    around = grouped((network.supernet(new_prefix=lengths[network.version]), network) for network in narrower)
    return (*networks, *(prefix for prefix, members in around.items() if len(set(members)) >= CROWD))


def _merged(networks: Sequence[Network], most: int, widest: int) -> list[Network]:
    """Neighbors become their common prefix, the longest first, until few enough are left or the rest would be too wide.

    `networks` are sorted, disjoint and of one family. What two neighbors have in common stays the same when either is
    merged with its other neighbor, which has more in common with it. So the merges can be chosen beforehand.
    """
    common = [common_prefix_length(neighbors) for neighbors in pairwise(networks)]
    allowed = (number for number, length in enumerate(common) if length >= widest)
    longest_first = sorted(allowed, key=lambda number: -common[number])
    chosen = set(longest_first[: max(0, len(networks) - most)])
    merged = list(networks[:1])
    for number, network in enumerate(networks[1:]):
        if number in chosen:
            merged[-1] = merged[-1].supernet(new_prefix=min(merged[-1].prefixlen, common[number]))
        else:
            merged.append(network)
    return merged


def _weighed(prefixes: Iterable[Network], log: Sequence[tuple[Network, int]]) -> list[Covered]:
    """What of the log lies in each prefix. Both are sorted, so one pass is enough."""
    covered: list[Covered] = []
    at = 0
    for prefix in prefixes:
        networks = weight = 0
        while at < len(log) and inside(log[at][0], prefix):
            networks, weight, at = networks + 1, weight + log[at][1], at + 1
        covered.append(Covered(prefix, networks, weight))
    return covered
