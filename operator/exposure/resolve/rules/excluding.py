"""The rule that takes out of the admitted addresses what must not be in them."""

from dataclasses import replace

from exposure.addresses import Block, blocks, inside, union
from exposure.catalog.blind_spots import blind_spot
from exposure.model.exposures import Source, SourceKind
from exposure.resolve.delivery import Case
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.rules.access import Access


def exclude_pod_ranges(case: Case, access: Access) -> None:
    """Except on Cilium, an ipBlock that contains pod ranges also admits pods. They are excluded from every wider block.

    Node addresses inside them are added again. What this cuts, and what cannot be excluded, is reported.
    """
    kept: list[Source] = []
    cut = False
    for source in access.sources:
        blocks_left, was_cut = _without_pods(source, case.facts)
        cut = cut or was_cut
        if blocks_left or source.peers:
            kept.append(source if blocks_left == source.blocks else replace(source, blocks=blocks_left))
    access.sources = kept
    if cut:
        access.report(blind_spot("InClusterClientsExcluded"))
    ranges = case.facts.pod_ranges
    if any(ranges.can_hold_pods(block) for source in kept for block in source.blocks):
        access.report(blind_spot("EastWestOpen", ranges.open_because))


def _without_pods(source: Source, facts: ClusterFacts) -> tuple[tuple[Block, ...], bool]:
    left, was_cut = facts.pod_ranges.exclude(source.blocks)
    if was_cut and source.kind is SourceKind.NODES:
        # A node CIDR that contains pods also contained the nodes' own tunnel addresses.
        own = (
            address for address in facts.snat_among_pods if any(inside(address, block.cidr) for block in source.blocks)
        )
        left = union((*left, *blocks(own)))
    return left, was_cut
