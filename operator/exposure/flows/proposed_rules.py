"""The in-cluster half of a proposal: who may call as a peer, and what the pods may call."""

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from exposure.addresses import LINK_LOCAL, Network, in_any
from exposure.catalog.egress import METADATA
from exposure.flows.findings import ObservedFlow, identifying
from exposure.flows.prefixes import cover
from exposure.flows.table import FlowPeer
from exposure.flows.wording import ProposalLimits, listed_ports, many, pods_peer, text, writable
from exposure.labels import Pairs
from exposure.model.connection_ends import pods_end
from exposure.model.exposures import Exposure, SourceKind
from exposure.model.objects import Namespace
from exposure.networkpolicy.matching import Match, peer_matches

#: Metadata services, and what is a neighbor on one link.
NEVER_PROPOSED = (*METADATA, *LINK_LOCAL)
MOST_RULES = 64
DNS_PORTS = (53, 5353)
#: Namespace and identifying labels.
Workload: TypeAlias = tuple[str, Pairs]
Port: TypeAlias = tuple[str, int]


def peers(exposure: Exposure, home: str, incoming: list[ObservedFlow], limits: ProposalLimits) -> Iterator[str]:
    came: Counter[Workload] = Counter()
    refused: Counter[Workload] = Counter()
    skipped = 0
    for flow in incoming:
        peer = flow.key.peer
        if peer.kind != "pod" or not flow.key.exposed or _is_proxy(exposure, peer, home):
            continue
        workload = _workload(peer)
        if workload is None:
            skipped += 1
            continue
        came[workload] += flow.counts.came_in
        refused[workload] += flow.counts.refused
    active = sorted(workload for workload in came if came[workload] or limits.dropped)
    dropped = sorted(came.keys() - set(active))
    if active:
        yield "  peers:"
    elif dropped:
        yield "  # peers:"
    for workload in (*active, *dropped):
        times = f", dropped {refused[workload]} times" if refused[workload] else ""
        mark, doubt = ("", "") if workload in active else ("# ", "; may be wanted")
        yield f"    # let in {came[workload]} times{times}{doubt}"
        yield f"    {mark}- {pods_peer(*workload, home)}"
    if skipped:
        yield f"  # {skipped} workloads have no labels that a selector could use."


def _workload(peer: FlowPeer) -> Workload | None:
    """How a selector would name the peer's pods; None: it cannot."""
    labels = identifying(peer.labels)
    return (peer.namespace, labels) if labels and writable(peer.namespace, labels) else None


def _is_proxy(exposure: Exposure, peer: FlowPeer, home: str) -> bool:
    """Whether it is the proxy of an Ingress or Gateway, which the operator finds by itself."""
    end = pods_end((), Namespace(peer.namespace), peer.labels)
    return any(
        proxy.pods is not None and not proxy.pods.empty and peer_matches(proxy, home, end) is Match.YES
        for source in exposure.sources
        if source.kind is SourceKind.PROXY_PODS
        for proxy in source.peers
    )


def egress(home: str, outgoing: list[ObservedFlow], limits: ProposalLimits) -> Iterator[str]:
    called = [flow for flow in outgoing if flow.counts.came_in]
    if not called:
        return
    dns = any(flow.key.port in DNS_PORTS and flow.key.peer.kind in ("pod", "service", "node") for flow in called)
    pods: dict[Workload, Counter[Port]] = {}
    outside: dict[Port, Counter[Network]] = {}
    left_out = 0
    for flow in called:
        key, peer, count = flow.key, flow.key.peer, flow.counts.came_in
        port = key.protocol, key.port
        if peer.kind == "api-server" or (dns and key.port in DNS_PORTS and peer.kind != "address"):
            continue
        workload = _workload(peer) if peer.kind == "pod" else None
        if workload is not None:
            pods.setdefault(workload, Counter())[port] += count
        elif peer.network is not None and not in_any(peer.network, NEVER_PROPOSED):
            outside.setdefault(port, Counter())[peer.network] += count
        else:
            left_out += count
    yield "  # The destinations of these pods. To leave their egress unrestricted, remove `egress`."
    yield "  egress:"
    yield f"    dns: {text(dns)}"
    yield f"    apiServer: {text(any(flow.key.peer.kind == 'api-server' for flow in called))}"
    rules = [*_rules(home, pods, outside, limits)]
    if rules:
        yield "    to:"
        for note, rule in rules[:MOST_RULES]:
            yield f"      # {note}"
            yield f"      - {rule}"
        if len(rules) > MOST_RULES:
            yield f"      # NOT COVERED: {len(rules) - MOST_RULES} more destinations."
    if left_out:
        yield f"    # {left_out} records went to nodes, metadata services or unknown destinations. No rule covers them."


def _rules(
    home: str, pods: dict[Workload, Counter[Port]], outside: dict[Port, Counter[Network]], limits: ProposalLimits
) -> Iterator[tuple[str, str]]:
    """Notes and rules: one for each workload, then one for each port outside."""
    for workload, ports in sorted(pods.items()):
        rule = f"{{to: [{pods_peer(*workload, home)}], ports: [{listed_ports(ports)}]}}"
        yield f"called {ports.total()} times", rule
    for port, destinations in sorted(outside.items()):
        prefixes = cover(destinations.items(), limits.cidrs, limits.widest)
        blocks = ", ".join(f'{{ipBlock: {{cidr: "{prefix.cidr}"}}}}' for prefix in prefixes.prefixes)
        more = f"; NOT COVERED: {prefixes.left_out} more addresses" if prefixes.left_out else ""
        note = f"{many(len(destinations))}, called {destinations.total()} times{more}"
        yield note, f"{{to: [{blocks}], ports: [{listed_ports([port])}]}}"
