"""Sets of addresses as sorted, disjoint, inclusive integer ranges, one tuple a family."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.lab.enforcer.objects import Address, Block, IpBlock

Range = tuple[int, int]
Ranges = tuple[Range, ...]
_WHOLE: dict[int, Ranges] = {4: ((0, 2**32 - 1),), 6: ((0, 2**128 - 1),)}


def union(ranges: Iterable[Range]) -> Ranges:
    """Sorted, with neighbours and overlaps joined."""
    joined: list[Range] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def without(whole: Ranges, holes: Ranges) -> Ranges:
    """What is left of `whole` without `holes`; both must be sorted and disjoint."""
    left: list[Range] = []
    for low, high in whole:
        for start, end in holes:
            if end < low or start > high:
                continue
            if low < start:
                left.append((low, start - 1))
            low = end + 1
        if low <= high:
            left.append((low, high))
    return tuple(left)


def _bounds(block: Block) -> Range:
    return int(block.network_address), int(block.broadcast_address)


@dataclass(frozen=True, slots=True, order=True)
class Addresses:
    """A set of addresses of both families."""

    v4: Ranges = ()
    v6: Ranges = ()

    def __contains__(self, address: Address) -> bool:
        number = int(address)
        return any(low <= number <= high for low, high in self.of(address.version))

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    def of(self, version: int) -> Ranges:
        """The ranges of one family, 4 or 6."""
        return self.v4 if version == 4 else self.v6


EVERYWHERE = Addresses(_WHOLE[4], _WHOLE[6])


def addresses_of(parts: Iterable[Address | IpBlock]) -> Addresses:
    """Single addresses and blocks (each without its own exceptions only), together."""
    by_version: dict[int, list[Range]] = {4: [], 6: []}
    for part in parts:
        if isinstance(part, IpBlock):
            holes = union(_bounds(block) for block in part.excepted if block.version == part.block.version)
            by_version[part.block.version] += without((_bounds(part.block),), holes)
        else:
            by_version[part.version].append((int(part), int(part)))
    return Addresses(union(by_version[4]), union(by_version[6]))


def texts(version: int, ranges: Ranges) -> Iterator[str]:
    """Each range as nftables writes it: `10.0.0.1` or `10.1.0.0-10.1.0.255`."""
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    return (str(kind(low)) if low == high else f"{kind(low)}-{kind(high)}" for low, high in ranges)
