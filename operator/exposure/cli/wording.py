"""The parts of an Exposure in few words, the same in the table, on the page and in an explanation."""

from collections.abc import Iterable, Sequence

from exposure.addresses import Block, whole_families
from exposure.model.exposures import Exposure, OpenPort, Source
from exposure.networkpolicy.values import Peer

#: As kubectl shows an empty column.
NONE = "<none>"
EFFECTS = {
    "Opens": "opens: more is let in than was asked for",
    "Cuts": "cuts: less is let in than was asked for",
    "Unproven": "unproven: what is let in cannot be known from here",
}
NO_ENTRY_POINTS = (
    "No entry point: no object that was read makes a pod reachable from outside the cluster. Check -n; with -f, check "
    "that Services, Ingresses and Gateways are among the files."
)


def port_text(port: OpenPort) -> str:
    suffix = "" if port.protocol == "TCP" else f"/{port.protocol}"
    return f"{port.port}→{port.target}{suffix}"


def ports_text(exposure: Exposure) -> str:
    return ", ".join(map(port_text, exposure.ports)) or NONE


def blocks_text(blocks: Sequence[Block]) -> str:
    """The blocks, with a whole address family in words."""
    whole = whole_families(block.cidr for block in blocks if not block.excepts)
    if whole == {"IPv4", "IPv6"}:
        return "everyone"
    words = {"0.0.0.0/0": "everyone (IPv4)", "::/0": "everyone (IPv6)"}
    return ", ".join(words.get(str(block), str(block)) for block in blocks)


def source_text(source: Source) -> str:
    return _admitted(source.blocks, source.peers)


def from_text(exposure: Exposure) -> str:
    """Who is admitted, by all sources together and complete, because a table may be piped."""
    blocks = (block for source in exposure.sources for block in source.blocks)
    return _admitted(blocks, (peer for source in exposure.sources for peer in source.peers))


def _admitted(blocks: Iterable[Block], peers: Iterable[Peer]) -> str:
    every_block = tuple(dict.fromkeys(blocks))
    parts = [blocks_text(every_block)] if every_block else []
    return ", ".join([*parts, *dict.fromkeys(map(str, peers))]) or NONE


def governor_text(exposure: Exposure) -> str:
    if exposure.policy is None:
        return NONE
    return str(exposure.policy) if exposure.mode == "Enforce" else f"{exposure.policy} ({exposure.mode})"


def reasons_text(exposure: Exposure) -> str:
    return ", ".join(dict.fromkeys(blind_spot.reason for blind_spot in exposure.blind_spots))


def entry_points_text(exposure: Exposure) -> str:
    return ", ".join(exposure.entry_points) or NONE


def addresses_text(exposure: Exposure) -> str:
    # A NodePort and a HostPort publish no address: they are open at every address of a node.
    everywhere = set(exposure.entry_points) <= {"NodePort", "HostPort"}
    return ", ".join(exposure.addresses) or ("<nodes>" if everywhere else "<pending>")
