"""What the counts mean for each entry point: who connects, what is unused or missing, what contradicts the policies."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from exposure.addresses import PRIVATE, Network, in_any
from exposure.flows.admission import Expectation, FlowAdmission
from exposure.flows.attribution import Attribution, ServedService, target_numbers
from exposure.flows.table import Counts, FlowKey, FlowPeer, FlowTable
from exposure.grouping import grouped
from exposure.labels import Pairs
from exposure.model.exposures import Exposure
from exposure.model.objects import ServicePort
from exposure.model.snapshot import ByNamespace, Snapshot
from exposure.networkpolicy.evaluate import Verdict
from exposure.networkpolicy.matching import Match, peer_matches
from exposure.networkpolicy.values import NetworkPolicy


@dataclass(frozen=True, slots=True)
class ObservedFlow:
    """One row: a peer at a port of a Service, what became of it, and what the policies say. `wanted`: why it may be."""

    key: FlowKey
    counts: Counts
    expected: Expectation
    wanted: str = ""


@dataclass(frozen=True, slots=True)
class Contradiction:
    reason: str
    service: str
    message: str
    records: int


@dataclass(frozen=True, slots=True)
class UnusedGrant:
    policy: str
    peer: str


@dataclass(frozen=True, slots=True)
class ExposureFindings:
    """`incoming` and `outgoing` by weight, heaviest first."""

    exposure: Exposure
    services: tuple[ServedService, ...]
    incoming: tuple[ObservedFlow, ...]
    outgoing: tuple[ObservedFlow, ...]
    unused_ports: tuple[ServicePort, ...]
    unused_grants: tuple[UnusedGrant, ...]
    contradictions: tuple[Contradiction, ...]

    @property
    def wanted(self) -> tuple[ObservedFlow, ...]:
        return tuple(flow for flow in self.incoming if flow.wanted)


def find(
    attribution: Attribution, table: FlowTable, policies: ByNamespace[NetworkPolicy], *, standing: bool
) -> Iterator[ExposureFindings]:
    """The findings of each exposure, in their order. `policies` to judge by; `standing`: they are enforced now."""
    snapshot = attribution.snapshot
    # On Cilium an ipBlock matches neither pods nor nodes:
    # https://docs.cilium.io/en/stable/network/kubernetes/policy/
    admission = FlowAdmission(snapshot, policies, ip_blocks=attribution.cni.pod_ranges != "matched-by-identity")
    rows = grouped((key.service, (key, counts)) for key, counts in table)
    observed = {name: _observed(served, rows.get(name, ()), admission) for name, served in attribution.served.items()}
    for exposure in attribution.exposures:
        services = tuple(served for served in attribution.served.values() if exposure in served.exposures)
        flows = [flow for served in services for flow in observed[served.name]]
        flows.sort(key=lambda flow: (-sum(flow.counts), flow.key))
        incoming = tuple(flow for flow in flows if flow.key.way == "in")
        yield ExposureFindings(
            exposure,
            services,
            incoming,
            tuple(flow for flow in flows if flow.key.way == "out"),
            tuple(_unused_ports(snapshot, exposure, services, incoming)),
            tuple(_unused_grants(services, incoming, admission)),
            tuple(_contradictions(incoming, standing)),
        )


def _observed(
    served: ServedService, rows: Sequence[tuple[FlowKey, Counts]], admission: FlowAdmission
) -> list[ObservedFlow]:
    clients = {key.peer.network for key, counts in rows if key.way == "in" and key.exposed and counts.came_in}
    neighbourhoods = {_neighbourhood(client) for client in clients if client is not None}
    return [
        ObservedFlow(key, counts, admission.expected(key, served), _wanted(key, counts, clients, neighbourhoods))
        for key, counts in rows
    ]


def _neighbourhood(client: Network) -> Network:
    """The /24 (IPv6: /64) around it."""
    return client.supernet(new_prefix=min(client.prefixlen, 24 if client.version == 4 else 64))


def _wanted(key: FlowKey, counts: Counts, clients: set[Network | None], neighbourhoods: set[Network]) -> str:
    """Why what was dropped may be missed; "" where nothing speaks for it. `clients` came in to exposed ports."""
    if key.way != "in" or not key.exposed or counts.refused <= counts.came_in:
        return ""
    if key.peer.kind == "pod":
        return "a workload of this cluster"
    client = key.peer.network
    if client is None:
        return ""
    if client in clients:
        return "the same client is let in at another port"
    if _neighbourhood(client) in neighbourhoods:
        return f"other clients in {_neighbourhood(client)} are let in"
    return "a private address" if in_any(client, PRIVATE) else ""


WORDS_FOR_PEERS = {"outside": "outside (no address in the log)", "other": "others", "api-server": "the API server"}


def peer_text(peer: FlowPeer) -> str:
    match peer.kind:
        case "pod":
            labels = ", ".join(f"{key}={value}" for key, value in identifying(peer.labels)) or "without labels"
            return f"pods {labels} in namespace {peer.namespace}"
        case "node":
            return f"node {peer.address}" if peer.address else "a node"
        case "gone":
            return f"{peer.address} (a deleted pod)"
        case "service":
            return f"Service {peer.address}"
        case kind:
            return WORDS_FOR_PEERS.get(kind, peer.address)


#: What names a workload, in the order of preference; the first set that a pod has is enough.
#: https://kubernetes.io/docs/reference/labels-annotations-taints/#app-kubernetes-io-name
NAMING = (
    ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"),
    ("app", "component", "tier", "role"),
    ("k8s-app",),
    ("name",),
)
#: Labels that come and go with a release.
PASSING = ("app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart", "chart", "version", "release")


def identifying(labels: Pairs) -> Pairs:
    """The labels that name the workload and stay when it is rolled."""
    values = dict(labels)
    for names in NAMING:
        if names[0] in values:
            return tuple((name, values[name]) for name in names if name in values)
    return tuple(
        sorted((k, v) for k, v in values.items() if k not in PASSING and "hash" not in k and "istio.io/" not in k)
    )


def _unused_ports(
    snapshot: Snapshot, exposure: Exposure, services: Iterable[ServedService], incoming: Iterable[ObservedFlow]
) -> Iterator[ServicePort]:
    used = {
        (flow.key.service, flow.key.protocol, flow.key.port)
        for flow in incoming
        if flow.key.exposed and flow.counts.came_in
    }
    for port in exposure.ports:
        numbers = {served.name: target_numbers(snapshot, served.service, port) for served in services}
        # A name that stands for no known number: any port that came in may be it.
        if not any(
            protocol == port.protocol and (not numbers[service] or number in numbers[service])
            for service, protocol, number in used
        ):
            yield port


def _unused_grants(
    services: Iterable[ServedService], incoming: Iterable[ObservedFlow], admission: FlowAdmission
) -> Iterator[UnusedGrant]:
    """Peers that a policy lets in to these pods, and that match none of those who came."""
    unused: set[UnusedGrant] = set()
    for served in services:
        if served.selector is None:
            continue
        came = {flow.key.peer for flow in incoming if flow.key.service == served.name and flow.counts.came_in}
        ends = [admission.peer_end(peer) for peer in came]
        namespace = served.service.namespace
        for policy in admission.policies.get(namespace, {}).values():
            # Rules for more than this Service's pods say nothing about who should come to it.
            if policy.spec.pod_selector.empty or not policy.spec.pod_selector.covers(served.selector):
                continue
            for peer in (peer for rule in policy.spec.ingress or () for peer in rule.peers or ()):
                grant = UnusedGrant(policy.name, str(peer))
                if grant not in unused and all(peer_matches(peer, namespace, end) is Match.NO for end in ends):
                    unused.add(grant)
                    yield grant


#: What the policies say, and whether they stand → the reason and the words. Against policies that stand, a
#: contradiction is a mistake; against planned ones, it is a forecast.
CONTRADICTIONS = {
    (Verdict.ALLOWED, True): ("DroppedThoughAdmitted", "dropped, but admitted by {by}"),
    (Verdict.ALLOWED, False): ("WouldBeAdmitted", "dropped now, would be admitted by {by}"),
    (Verdict.DENIED, True): ("PolicyNotEnforced", "let in, although no policy admits it ({by})"),
    (Verdict.DENIED, False): ("WouldBeCut", "let in now, would be refused by {by}"),
}


def _contradictions(incoming: Iterable[ObservedFlow], standing: bool) -> Iterator[Contradiction]:
    for flow in incoming:
        key, counts, expected = flow.key, flow.counts, flow.expected
        # A record that something arrived proves nothing about enforcement: no policy engine wrote it.
        passed = counts.allowed if standing else counts.came_in
        against = {Verdict.ALLOWED: counts.dropped + counts.audit, Verdict.DENIED: passed}
        if records := against.get(expected.verdict):
            reason, words = CONTRADICTIONS[expected.verdict, standing]
            what = f"{peer_text(key.peer)} to {key.service} at {key.protocol.lower()}/{key.port}"
            yield Contradiction(reason, key.service, f"{what}: {words.format(by=expected.by)}", records)
