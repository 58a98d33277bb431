"""What the counts mean, entry point by entry point: who came, what is open and unused, what is dropped and perhaps wanted, what
contradicts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exposure.addresses import PRIVATE, Network, in_any, network, overlap
from exposure.catalog.cnis import CNIS
from exposure.flows.admission import Admission, Expectation
from exposure.flows.attribution import Attribution, Served, target_numbers
from exposure.flows.table import Counts, Key, Peer, Table
from exposure.labels import LabelSelector
from exposure.model.exposures import Exposure, OpenPort
from exposure.model.snapshot import ByNamespace, Snapshot
from exposure.networkpolicy.values import NetworkPolicy
from exposure.networkpolicy.values import Peer as PolicyPeer

#: Against policies that stand, a contradiction is somebody's mistake; against planned ones, it is a forecast.
DROPPED_THOUGH_ADMITTED = "DroppedThoughAdmitted"
NOT_ENFORCED = "PolicyNotEnforced"
WOULD_BE_CUT = "WouldBeCut"
WOULD_BE_ADMITTED = "WouldBeAdmitted"


@dataclass(frozen=True, slots=True)
class Seen:
    """One row: a peer at a port of a Service, what became of it, and what the policies say. `wanted` why it may be."""

    key: Key
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
class Finding:
    """`incoming` and `outgoing` by weight, heaviest first."""

    exposure: Exposure
    services: tuple[Served, ...]
    incoming: tuple[Seen, ...]
    outgoing: tuple[Seen, ...]
    unused_ports: tuple[OpenPort, ...]
    unused_grants: tuple[UnusedGrant, ...]
    contradictions: tuple[Contradiction, ...]

    @property
    def wanted(self) -> tuple[Seen, ...]:
        return tuple(each for each in self.incoming if each.wanted)


def find(
    snapshot: Snapshot,
    exposures: Iterable[Exposure],
    attribution: Attribution,
    table: Table,
    policies: ByNamespace[NetworkPolicy],
    *,
    standing: bool,
) -> list[Finding]:
    """One finding for each exposure, in their order. `policies` to judge by; `standing` says that they are enforced
    now."""
    rows: dict[str, list[tuple[Key, Counts]]] = {}
    for key, counts in table:
        rows.setdefault(key.service, []).append((key, counts))
    guests = {name: _Guests(each) for name, each in rows.items()}
    found = []
    for exposure in exposures:
        services = tuple(each for each in attribution.served.values() if exposure in each.exposures)
        blocks_match_pods = CNIS[exposure.cni].pod_ranges != "matched-by-identity"
        admission = Admission(snapshot, policies, blocks_match_pods=blocks_match_pods)
        seen = [
            Seen(key, counts, admission.expected(key, served), _wanted(key, counts, guests[name]))
            for served in services
            for name in [str(served.service.ref)]
            for key, counts in rows.get(name, ())
        ]
        seen.sort(key=lambda each: (-each.counts.total, each.key))
        incoming = tuple(each for each in seen if each.key.way == "in")
        found.append(
            Finding(
                exposure,
                services,
                incoming,
                tuple(each for each in seen if each.key.way == "out"),
                tuple(_unused_ports(snapshot, exposure, services, incoming)),
                tuple(_unused_grants(policies, services, incoming)),
                tuple(_contradictions(incoming, standing)),
            )
        )
    return found


def peer_text(peer: Peer) -> str:
    match peer.kind:
        case "pod":
            labels = ", ".join(f"{k}={v}" for k, v in identifying(peer.labels)) or "without labels"
            return f"pods {labels} in namespace {peer.namespace}"
        case "node":
            return f"node {peer.address}" if peer.address else "a node"
        case "gone":
            return f"{peer.address} (a pod that is gone)"
        case "service":
            return f"Service {peer.address}"
        case "outside":
            return "outside (no address in the log)"
        case "other":
            return "others"
        case "api-server":
            return "the API server"
        case _:
            return peer.address


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


def identifying(labels: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The labels that name the workload and stay when it is rolled."""
    held = dict(labels)
    for names in NAMING:
        if names[0] in held:
            return tuple((name, held[name]) for name in names if name in held)
    return tuple(
        sorted((k, v) for k, v in held.items() if k not in PASSING and "hash" not in k and "istio.io/" not in k)
    )


class _Guests:
    """Who came in to a Service's own ports: peers, and the /24 (IPv6: /64) around each."""

    def __init__(self, rows: Iterable[tuple[Key, Counts]]) -> None:
        self.peers: set[Peer] = set()
        self.neighbourhoods: set[Network] = set()
        for key, counts in rows:
            if key.way == "in" and key.exposed and counts.came_in and key.peer.kind in ("address", "prefix"):
                self.peers.add(key.peer)
                self.neighbourhoods.add(_neighbourhood(network(key.peer.address)))


def _neighbourhood(here: Network) -> Network:
    return here.supernet(new_prefix=min(here.prefixlen, 24 if here.version == 4 else 64))


def _wanted(key: Key, counts: Counts, guests: _Guests) -> str:
    """Why somebody may miss what was dropped; "" where nothing speaks for it."""
    if key.way != "in" or not key.exposed or counts.dropped + counts.blocked <= counts.came_in:
        return ""
    if key.peer.kind == "pod":
        return "a workload of this cluster"
    if key.peer.kind not in ("address", "prefix"):
        return ""
    if key.peer in guests.peers:
        return "it comes in at another port"
    here = network(key.peer.address)
    if _neighbourhood(here) in guests.neighbourhoods:
        return f"others of {_neighbourhood(here)} come in"
    return "a private address" if in_any(here, PRIVATE) else ""


def _unused_ports(
    snapshot: Snapshot, exposure: Exposure, services: Iterable[Served], incoming: Iterable[Seen]
) -> Iterable[OpenPort]:
    came = {(e.key.service, e.key.protocol, e.key.port) for e in incoming if e.key.exposed and e.counts.came_in}
    for port in exposure.ports:
        used = False
        for served in services:
            name = str(served.service.ref)
            numbers = target_numbers(snapshot, served.service, served.selector, port.target, port.protocol, port.name)
            # A name that nobody resolves: any port that came in may be it.
            used = used or any((name, port.protocol, number) in came for number in numbers)
            used = used or (not numbers and any((s, p) == (name, port.protocol) for s, p, _ in came))
        if not used:
            yield port


def _unused_grants(
    policies: ByNamespace[NetworkPolicy], services: Iterable[Served], incoming: tuple[Seen, ...]
) -> Iterable[UnusedGrant]:
    """Blocks and pods that a policy lets in to these pods, and of which nobody came."""
    told: set[UnusedGrant] = set()
    for served in services:
        if served.selector is None:
            continue
        came = [e.key.peer for e in incoming if e.key.service == str(served.service.ref) and e.counts.came_in]
        for policy in policies.get(served.service.namespace, {}).values():
            # Rules for more than this Service's pods say nothing about who should come to it.
            if policy.spec.subject.empty or not policy.spec.subject.covers(LabelSelector(served.selector.labels)):
                continue
            for rule in policy.spec.ingress or ():
                for peer in rule.peers or ():
                    unused = UnusedGrant(policy.name, str(peer))
                    if unused not in told and not any(_may_be(peer, each, served.service.namespace) for each in came):
                        told.add(unused)
                        yield unused


def _may_be(grant: PolicyPeer, peer: Peer, home: str) -> bool:
    if grant.block is not None:
        return not peer.address or overlap(network(peer.address), grant.block.cidr)
    if peer.kind != "pod":
        return peer.kind in ("gone", "other")
    if grant.namespaces is None and peer.namespace != home:
        return False
    return grant.pods is None or grant.pods.matches(dict(peer.labels))


def _contradictions(incoming: Iterable[Seen], standing: bool) -> Iterable[Contradiction]:
    for each in incoming:
        counts, key = each.counts, each.key
        what = f"{peer_text(key.peer)} to {key.service} at {key.protocol.lower()}/{key.port}"
        refused = counts.dropped + counts.audit
        if each.expected.answer == "admitted" and refused:
            reason = DROPPED_THOUGH_ADMITTED if standing else WOULD_BE_ADMITTED
            verb = "dropped, but admitted by" if standing else "dropped today, would be admitted by"
            yield Contradiction(reason, key.service, f"{what}: {verb} {each.expected.by}", refused)
        # What merely arrived, by a log that no policy engine wrote, proves nothing about enforcement.
        passed = counts.allowed if standing else counts.came_in
        if each.expected.answer == "refused" and passed:
            reason = NOT_ENFORCED if standing else WOULD_BE_CUT
            verb = "let in although no policy admits it" if standing else "comes in today, would be cut by"
            by = f" ({each.expected.by})" if standing else f" {each.expected.by}"
            yield Contradiction(reason, key.service, f"{what}: {verb}{by}", passed)


def by_service(findings: Iterable[Finding]) -> Mapping[str, tuple[Served, Finding]]:
    """Each Service once, with the finding of its own entry point if it has one: the rows of a Service are the same in each."""
    found: dict[str, tuple[Served, Finding]] = {}
    for finding in findings:
        for served in finding.services:
            name = str(served.service.ref)
            own = finding.exposure.owner.kind == "Service"
            if name not in found or own:
                found[name] = served, finding
    return found
