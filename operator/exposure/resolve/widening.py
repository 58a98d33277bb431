"""For too many node addresses: the narrowest cover with a given number of prefixes that crosses no pod CIDR.

A cover is a set of nodes of the binary trie of addresses. The best one for each number of prefixes is found bottom up:
a subtree is either one prefix (if that touches no forbidden range), or the best split between its two halves.
"""

from functools import lru_cache

from exposure.addresses import Network, collapsed, common_prefix_length, overlap

INFINITE = float("inf")
#: best[k]: the fewest addresses that a cover with at most k prefixes holds, and the cover itself.
Best = list[tuple[float, tuple[Network, ...]]]


@lru_cache(maxsize=64)
def narrowest_cover(networks: tuple[Network, ...], limit: int, forbidden: tuple[Network, ...]) -> tuple[Network, ...]:
    """At most `limit` prefixes that hold all of `networks`, all of one family, and as little else as possible.

    Prefixes that overlap a forbidden range are not merged. Where that leaves more than `limit`, all of those are kept.
    """
    leaves = collapsed(networks)
    if len(leaves) <= limit:
        return leaves
    fixed = tuple(leaf for leaf in leaves if any(overlap(leaf, network) for network in forbidden))
    free = tuple(leaf for leaf in leaves if leaf not in fixed)
    capacity = max(1, limit - len(fixed))
    if len(free) <= capacity:
        return leaves
    best = _best(free, capacity, forbidden)
    cover = next((cover for size, cover in reversed(best) if size < INFINITE), free)
    return collapsed((*cover, *fixed))


def _best(leaves: tuple[Network, ...], limit: int, forbidden: tuple[Network, ...]) -> Best:
    if len(leaves) == 1:
        size = float(leaves[0].num_addresses)
        return [(INFINITE, ())] + [(size, leaves)] * min(limit, 1)
    whole = leaves[0].supernet(new_prefix=common_prefix_length(leaves))
    middle = int(whole.network_address) + whole.num_addresses // 2
    split = next(index for index, leaf in enumerate(leaves) if int(leaf.network_address) >= middle)
    left, right = _best(leaves[:split], limit, forbidden), _best(leaves[split:], limit, forbidden)
    best: Best = [(INFINITE, ())] * (min(limit, len(leaves)) + 1)
    for i in range(1, len(left)):
        for j in range(1, min(len(right), limit - i + 1)):
            size = left[i][0] + right[j][0]
            if size < best[i + j][0]:
                best[i + j] = (size, left[i][1] + right[j][1])
    if not any(overlap(whole, network) for network in forbidden):
        best[1] = min(best[1], (float(whole.num_addresses), (whole,)), key=lambda sized: sized[0])
    return best
