"""Many addresses as few prefixes: exact where that is few enough, wider only as far as a bound allows."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exposure.addresses import Network, collapsed, inside, sort_key

#: So many different addresses of one /24 (IPv6: /64) stand for all of it.
CROWD = 8
CROWD_PREFIX = {4: 24, 6: 64}


@dataclass(frozen=True, slots=True)
class Covered:
    """`seen` networks of the log lie in it, with `weight` records."""

    cidr: Network
    seen: int
    weight: int


@dataclass(frozen=True, slots=True)
class Cover:
    prefixes: tuple[Covered, ...]
    left_out: int = 0
    left_weight: int = 0


def cover(weights: Iterable[tuple[Network, int]], most: int, widest: dict[int, int]) -> Cover:
    """At most `most` prefixes, none wider than `widest` says for its IP version, over all networks or the heaviest.

    Whatever is seen is covered if that can be done within both bounds; otherwise the prefixes with the most records
    are kept.
    """
    known = sorted(weights, key=lambda item: sort_key(item[0]))
    found = list(collapsed(_crowds([each for each, _ in known], widest)))
    narrow = [each for version in (4, 6) for each in _merged([n for n in found if n.version == version], most, widest)]
    held = _weighed(collapsed(narrow), known)
    if len(held) <= most:
        return Cover(tuple(held))
    kept = sorted(sorted(held, key=lambda each: (-each.weight, sort_key(each.cidr)))[:most], key=_by_cidr)
    return Cover(
        tuple(kept),
        sum(each.seen for each in held) - sum(each.seen for each in kept),
        sum(each.weight for each in held) - sum(each.weight for each in kept),
    )


def _by_cidr(each: Covered) -> tuple[int, int, int]:
    return sort_key(each.cidr)


def _crowds(seen: Sequence[Network], widest: dict[int, int]) -> Iterable[Network]:
    around: dict[Network, set[Network]] = {}
    for each in seen:
        length = max(CROWD_PREFIX[each.version], widest[each.version])
        if each.prefixlen > length:
            around.setdefault(each.supernet(new_prefix=length), set()).add(each)
    crowded = {block for block, members in around.items() if len(members) >= CROWD}
    return (*seen, *crowded)


def _merged(nets: list[Network], most: int, widest: dict[int, int]) -> list[Network]:
    """Neighbours become their common prefix, the narrowest first, until few enough are left or all would be too
    wide."""
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
            length = _common(nets[left], nets[right])
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
    return [net for net, here in zip(nets, alive, strict=True) if here]


def _common(one: Network, other: Network) -> int:
    bits = one.max_prefixlen
    apart = (int(one.network_address) ^ int(other.network_address)).bit_length()
    return min(bits - apart, one.prefixlen, other.prefixlen)


def _weighed(prefixes: Sequence[Network], known: Sequence[tuple[Network, int]]) -> list[Covered]:
    """Both sorted: one pass."""
    found: list[Covered] = []
    at = 0
    for prefix in sorted(prefixes, key=sort_key):
        seen = weight = 0
        while at < len(known) and inside(known[at][0], prefix):
            seen, weight, at = seen + 1, weight + known[at][1], at + 1
        found.append(Covered(prefix, seen, weight))
    return found
