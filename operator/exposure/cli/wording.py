"""How an exposure's parts are said in few words, the same in the table, on the page and in an explanation."""

from collections.abc import Sequence

from exposure.addresses import Block, whole_families
from exposure.model.exposures import Exposure, OpenPort, Source

EFFECTS = {
    "Opens": "opens: more gets in than was asked for",
    "Cuts": "cuts: less gets through than was asked for",
    "Unproven": "unproven: nobody can say from here",
}


def port_text(port: OpenPort) -> str:
    suffix = "" if port.protocol == "TCP" else f"/{port.protocol}"
    return f"{port.port}→{port.target}{suffix}"


def ports_text(exposure: Exposure) -> str:
    return ", ".join(map(port_text, exposure.ports)) or "-"


def blocks_text(blocks: Sequence[Block]) -> str:
    """The blocks, with the whole of a family in words."""
    whole = whole_families(each.cidr for each in blocks if not each.excepts)
    if whole == {"IPv4", "IPv6"}:
        return "everyone"
    words = {"0.0.0.0/0": "everyone (IPv4)", "::/0": "everyone (IPv6)"}
    return ", ".join(words.get(str(each), str(each)) for each in blocks)


def source_text(source: Source) -> str:
    parts = [blocks_text(source.blocks)] if source.blocks else []
    return ", ".join([*parts, *map(str, source.peers)]) or "nobody"


def from_text(exposure: Exposure) -> str:
    """Who may come in, over all sources, whole: a table that is piped must not leave anything out."""
    blocks = tuple(dict.fromkeys(block for source in exposure.sources for block in source.blocks))
    peers = tuple(dict.fromkeys(str(peer) for source in exposure.sources for peer in source.peers))
    return ", ".join([*([blocks_text(blocks)] if blocks else []), *peers]) or "nobody"


def governor_text(exposure: Exposure) -> str:
    if exposure.policy is None:
        return "<none>"
    return str(exposure.policy) if exposure.mode == "Enforce" else f"{exposure.policy} ({exposure.mode})"


def reasons_text(exposure: Exposure) -> str:
    return ", ".join(dict.fromkeys(spot.reason for spot in exposure.blind_spots))


def entry_points_text(exposure: Exposure) -> str:
    return ", ".join(exposure.entry_points) or "-"


def addresses_text(exposure: Exposure) -> str:
    # Where nobody publishes an address, none is missing either: the port stands on every node.
    everywhere = set(exposure.entry_points) <= {"NodePort", "HostPort"}
    return ", ".join(exposure.addresses) or ("<nodes>" if everywhere else "<pending>")
