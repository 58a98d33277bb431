"""The parts of an Exposure in few words, the same in the table, on the page and in an explanation."""

from collections.abc import Sequence

from exposure.addresses import whole_families
from exposure.model.exposures import Exposure, Source

#: As kubectl shows an empty column.
NONE = "<none>"
EFFECTS = {
    "Opens": "opens: more is admitted than was asked for",
    "Cuts": "cuts: less is admitted than was asked for",
    "Unproven": "unproven: it is not known what is admitted",
}
NO_ENTRY_POINTS = (
    "There are no entry points: no object makes a pod reachable from outside the cluster. Check -n. With -f, check "
    "that the files contain the Services, Ingresses and Gateways."
)


def entry_points(exposure: Exposure) -> str:
    return ", ".join(exposure.entry_points) or NONE


def addresses(exposure: Exposure) -> str:
    # A NodePort and a HostPort publish no address: they are open at every address of a node.
    everywhere = set(exposure.entry_points) <= {"NodePort", "HostPort"}
    return ", ".join(exposure.addresses) or ("<nodes>" if everywhere else "<pending>")


def ports(exposure: Exposure) -> str:
    protocols = [(port, "" if port.protocol == "TCP" else f"/{port.protocol}") for port in exposure.ports]
    return ", ".join(f"{port.port}→{port.target_port}{protocol}" for port, protocol in protocols) or NONE


def callers(sources: Sequence[Source]) -> str:
    """Who is admitted, by all of these sources together and complete, because a table may be piped."""
    blocks = dict.fromkeys(block for source in sources for block in source.blocks)
    peers = dict.fromkeys(str(peer) for source in sources for peer in source.peers)
    words = {"0.0.0.0/0": "everyone (IPv4)", "::/0": "everyone (IPv6)"}
    ranges = [words.get(str(block), str(block)) for block in blocks]
    if whole_families(block.cidr for block in blocks if not block.excepts) == {"IPv4", "IPv6"}:
        ranges = ["everyone"]
    return ", ".join([*ranges, *peers]) or NONE


def policy(exposure: Exposure) -> str:
    if exposure.policy is None:
        return NONE
    return str(exposure.policy) if exposure.mode == "Enforce" else f"{exposure.policy} ({exposure.mode})"


def reasons(exposure: Exposure) -> str:
    return ", ".join(dict.fromkeys(blind_spot.reason for blind_spot in exposure.blind_spots))
