"""The in-cluster half of a proposal: who may call as a peer, and what the pods may call."""

from collections.abc import Iterator

from exposure.addresses import LINK_LOCAL, Network, in_any, network
from exposure.catalog.egress import METADATA
from exposure.flows.findings import Seen, identifying
from exposure.flows.prefixes import cover
from exposure.flows.table import Peer
from exposure.flows.wording import Bounds, listed_ports, many, selector, text, writable
from exposure.labels import NAMESPACE_LABEL
from exposure.model.exposures import Exposure

#: Metadata services, and what is a neighbor on one link.
NEVER_PROPOSED = (*METADATA, *LINK_LOCAL)
MOST_RULES = 64


def peers(exposure: Exposure, home: str, incoming: list[Seen], bounds: Bounds) -> Iterator[str]:
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[int]] = {}
    skipped = 0
    for seen in incoming:
        peer = seen.key.peer
        if peer.kind != "pod" or not seen.key.exposed or _granted_anyway(exposure, peer, home):
            continue
        labels = identifying(peer.labels)
        if not labels or not writable(peer.namespace, labels):
            skipped += 1
            continue
        row = found.setdefault((peer.namespace, labels), [0, 0])
        row[0] += seen.counts.came_in
        row[1] += seen.counts.dropped + seen.counts.blocked
    active = {who: row for who, row in found.items() if row[0] or bounds.dropped}
    dropped = {who: row for who, row in found.items() if who not in active}
    if active:
        yield "  peers:"
    elif dropped:
        yield "  # peers:"
    for rows, mark in ((active, ""), (dropped, "# ")):
        for (namespace, labels), (came, refused) in sorted(rows.items()):
            note = f"came in {came} times" + (f", dropped {refused} times" if refused else "")
            yield f"    {mark}# {note}" if not mark else f"    # {note}: perhaps wanted"
            where = "" if namespace == home else selector("namespaceSelector", ((NAMESPACE_LABEL, namespace),)) + ", "
            yield f"    {mark}- {{{where}{selector('podSelector', labels)}}}"
    if skipped:
        yield f"  # {skipped} workloads have no labels that a selector could name."


def _granted_anyway(exposure: Exposure, peer: Peer, home: str) -> bool:
    """The proxy of an Ingress or Gateway, which the operator finds by itself."""
    for source in exposure.sources:
        for each in source.peers:
            named = {NAMESPACE_LABEL: peer.namespace}
            there = peer.namespace == home if each.namespaces is None else each.namespaces.matches(named)
            if there and each.pods is not None and not each.pods.empty and each.pods.matches(dict(peer.labels)):
                return True
    return False


def egress(home: str, outgoing: list[Seen], bounds: Bounds) -> Iterator[str]:
    called = [seen for seen in outgoing if seen.counts.came_in]
    if not called:
        return
    dns = any(seen.key.port in (53, 5353) and seen.key.peer.kind in ("pod", "service", "node") for seen in called)
    api = any(seen.key.peer.kind == "api-server" for seen in called)
    pods: dict[tuple[str, tuple[tuple[str, str], ...]], dict[tuple[str, int], int]] = {}
    outside: dict[tuple[str, int], dict[Network, int]] = {}
    left = 0
    for seen in called:
        key, peer = seen.key, seen.key.peer
        port = key.protocol, key.port
        if peer.kind == "api-server" or (key.port in (53, 5353) and dns and peer.kind != "address"):
            continue
        if peer.kind == "pod" and writable(peer.namespace, identifying(peer.labels)) and identifying(peer.labels):
            row = pods.setdefault((peer.namespace, identifying(peer.labels)), {})
            row[port] = row.get(port, 0) + seen.counts.came_in
        elif peer.kind in ("address", "prefix") and not in_any(network(peer.address), NEVER_PROPOSED):
            here = outside.setdefault(port, {})
            here[network(peer.address)] = here.get(network(peer.address), 0) + seen.counts.came_in
        else:
            left += seen.counts.came_in
    yield "  # What these pods called. To leave their way out unrestricted, take `egress` out."
    yield "  egress:"
    yield f"    dns: {text(dns)}"
    yield f"    apiServer: {text(api)}"
    rules = [*_pod_rules(home, pods), *_outside_rules(outside, bounds)]
    if rules:
        yield "    to:"
        for note, rule in rules[:MOST_RULES]:
            yield f"      # {note}"
            yield f"      - {rule}"
        if len(rules) > MOST_RULES:
            yield f"      # NOT COVERED: {len(rules) - MOST_RULES} more destinations."
    if left:
        yield f"    # {left} records went to nodes, metadata services or addresses that no rule should name unasked."


def _pod_rules(
    home: str, pods: dict[tuple[str, tuple[tuple[str, str], ...]], dict[tuple[str, int], int]]
) -> Iterator[tuple[str, str]]:
    for (namespace, labels), called in sorted(pods.items()):
        where = "" if namespace == home else selector("namespaceSelector", ((NAMESPACE_LABEL, namespace),)) + ", "
        to = f"{{{where}{selector('podSelector', labels)}}}"
        yield f"called {sum(called.values())} times", f"{{to: [{to}], ports: [{listed_ports(called)}]}}"


def _outside_rules(outside: dict[tuple[str, int], dict[Network, int]], bounds: Bounds) -> Iterator[tuple[str, str]]:
    for port, seen in sorted(outside.items()):
        found = cover(seen.items(), bounds.cidrs, bounds.widest)
        blocks = ", ".join(f'{{ipBlock: {{cidr: "{each.cidr}"}}}}' for each in found.prefixes)
        more = f"; NOT COVERED: {found.left_out} more addresses" if found.left_out else ""
        yield (
            f"{many(len(seen))}, called {sum(seen.values())} times{more}",
            f"{{to: [{blocks}], ports: [{listed_ports([port])}]}}",
        )
