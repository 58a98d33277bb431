"""The ExposurePolicy that would fit what was seen: YAML for a person to read, to doubt, and perhaps to apply."""

from collections.abc import Iterable, Iterator

from exposure.addresses import Network, inside, network
from exposure.flows.attribution import Served
from exposure.flows.findings import Finding, Seen, by_service
from exposure.flows.prefixes import Cover, cover
from exposure.flows.proposed_rules import egress, peers
from exposure.flows.wording import Bounds, comment, many, text
from exposure.model.exposures import Exposure, SourceKind
from exposure.model.intent import DEFAULT_ENTRY_POINTS, ExposurePolicy, ExposureSpec
from exposure.model.snapshot import Snapshot

HEADER = """\
# A proposal, made from flow logs. Read every line before you apply it: nobody has.
# A log shows what happened while it was written, attackers, scanners and mistakes included, and not what happens once a
# month. What was dropped is not opened here, unless --include-dropped asked for it. See what would change with
#   kubectl exposure plan -f THIS-FILE -f YOUR-MANIFESTS
"""


def proposal(snapshot: Snapshot, findings: Iterable[Finding], bounds: Bounds) -> str:
    """One document for each Service that somebody came to, or that called somebody; only the header where there is
    none."""
    documents = [
        "\n".join(_policy(snapshot, served, finding, bounds)) + "\n"
        for _, (served, finding) in sorted(by_service(findings).items())
        if served.selector is not None
        and any(str(served.service.ref) == seen.key.service for seen in (*finding.incoming, *finding.outgoing))
    ]
    if not documents:
        return HEADER + "# Nobody came to a Service that stands behind an entry point: there is nothing to propose.\n"
    return HEADER + "---\n" + "---\n".join(documents)


def _policy(snapshot: Snapshot, served: Served, finding: Finding, bounds: Bounds) -> Iterator[str]:
    service = served.service
    incoming = [seen for seen in finding.incoming if seen.key.service == str(service.ref)]
    outgoing = [seen for seen in finding.outgoing if seen.key.service == str(service.ref)]
    present = _present(snapshot, finding)
    spec = present.spec if present is not None and isinstance(present.spec, ExposureSpec) else ExposureSpec()
    own = present is not None and spec.names == (service.name,)
    yield "apiVersion: exposure.dev/v1alpha1"
    yield "kind: ExposurePolicy"
    yield "metadata:"
    yield f"  namespace: {text(service.namespace)}"
    if own and present is not None:
        yield f"  # Changes the policy {comment(present.name)} that governs this Service now."
        yield f"  name: {text(present.name)}"
    else:
        governs = f"; until then {finding.exposure.policy} governs it" if finding.exposure.policy else ""
        yield f"  # New; names its Service, so it beats every policy that does not{comment(governs)}."
        yield f"  name: {text(f'{service.name[:52]}-from-flows')}"
    yield "spec:"
    yield "  services:"
    yield f"    names: [{text(service.name)}]"
    yield from _kept(spec, finding.exposure)
    yield from _clients(finding.exposure, incoming, spec, bounds)
    yield from _unused(finding)
    yield from peers(finding.exposure, service.namespace, incoming, bounds)
    yield from egress(service.namespace, outgoing, bounds)


def _present(snapshot: Snapshot, finding: Finding) -> ExposurePolicy | None:
    ref = finding.exposure.policy
    if ref is None or ref.kind != "ExposurePolicy":
        return None
    return snapshot.exposure_policies.get(ref.namespace, {}).get(ref.name)


def _kept(spec: ExposureSpec, exposure: Exposure) -> Iterator[str]:
    """What the log says nothing about stays as it is."""
    if spec.mode is not None:
        yield f"  mode: {spec.mode}"
    entry_points = spec.entry_points
    if (
        entry_points is None
        and exposure.owner.kind == "Service"
        and not set(exposure.entry_points) & set(DEFAULT_ENTRY_POINTS)
    ):
        # Opt-in entry points: without their name the policy would not govern this Service at all.
        entry_points = tuple(exposure.entry_points)
    if entry_points is not None:
        yield f"  entryPoints: [{', '.join(entry_points)}]"
    isolation = spec.isolation
    said = (
        ("ingress", isolation.ingress),
        ("egress", isolation.egress),
        ("allowSameNamespace", isolation.allow_same_namespace),
    )
    if any(value is not None for _, value in said):
        yield "  isolation:"
        yield from (f"    {name}: {text(value)}" for name, value in said if value is not None)
    if spec.ports is not None:
        yield f"  ports: [{', '.join(map(text, spec.ports))}]"
    given = spec.load_balancer
    if given.profile or given.cidrs or given.health_check_cidrs:
        yield "  loadBalancer:"
        if given.profile:
            yield f"    profile: {text(given.profile)}"
        if given.cidrs:
            yield f"    cidrs: [{', '.join(text(str(each)) for each in given.cidrs)}]"
        if given.health_check_cidrs:
            yield f"    healthCheckCIDRs: [{', '.join(text(str(each)) for each in given.health_check_cidrs)}]"


def _clients(exposure: Exposure, incoming: list[Seen], spec: ExposureSpec, bounds: Bounds) -> Iterator[str]:
    machinery = [
        block.cidr
        for source in exposure.sources
        if source.kind in (SourceKind.LOAD_BALANCER, SourceKind.HEALTH_CHECKS)
        for block in source.blocks
        if block.cidr.prefixlen
    ]
    came: dict[Network, int] = {}
    missed: dict[Network, int] = {}
    refused: set[Network] = set()
    balancer = hidden = nameless = others = gone = 0
    for seen in incoming:
        peer, counts = seen.key.peer, seen.counts
        if not seen.key.exposed:
            continue
        hidden += counts.came_in if peer.kind == "node" else 0
        nameless += counts.came_in if peer.kind == "outside" else 0
        others += counts.came_in if peer.kind == "other" else 0
        gone += counts.came_in if peer.kind == "gone" else 0
        if peer.kind not in ("address", "prefix"):
            continue
        here = network(peer.address)
        if any(inside(here, each) for each in machinery):
            balancer += counts.came_in
        elif counts.came_in:
            came[here] = came.get(here, 0) + counts.came_in
            if seen.expected.answer == "refused":
                refused.add(here)
        elif seen.wanted:
            missed[here] = missed.get(here, 0) + counts.dropped + counts.blocked
    notes = [
        (balancer, "records came from the load balancer itself (L, H): the operator lets it in without being told"),
        (
            hidden,
            "records came from nodes: SNAT hid the client (externalTrafficPolicy), no range can be named for them",
        ),
        (nameless, "records name no client address: their ranges cannot be known from this log"),
        (others, "records were too many different clients to keep apart: they are in no range below"),
        (
            gone,
            "records came from pod addresses of pods that are gone: name their workload under peers if it still calls",
        ),
    ]
    shown = [f"  # {count} {text}." for count, text in notes if count]
    if bounds.dropped:
        came |= {each: came.get(each, 0) + weight for each, weight in missed.items()}
    found = cover(came.items(), bounds.cidrs, bounds.widest)
    lost = cover(missed.items(), bounds.cidrs, bounds.widest)
    yield from shown
    if not found.prefixes and not shown and not lost.prefixes:
        yield "  # Nobody came from outside. As it stands, the client ranges stay what they are now:"
    if not found.prefixes:
        # An omitted list would mean everyone; the present one is no wider than what is open today.
        yield from _present_clients(spec)
        yield from _commented(lost, bounds)
        return
    yield "  clients:"
    yield "    cidrs:"
    for each in found.prefixes:
        doubt = "; REFUSED by the policies as they are" if any(inside(one, each.cidr) for one in refused) else ""
        yield f"      - {each.cidr}  # {many(each.networks)}, {each.weight} records{doubt}"
    if found.left_out:
        lost_text = f"{found.left_out} more addresses with {found.left_weight} records"
        widest = f"/{bounds.widest[4]} (IPv6: /{bounds.widest[6]})"
        yield f"      # NOT COVERED: {lost_text}. At most {bounds.cidrs} ranges,"
        yield f"      # none wider than {widest}, were asked for (--max-cidrs, --max-prefix)."
        yield "      # If this entry point is meant for everyone, take `clients` out."
    yield from _commented(lost, bounds)
    cuts = {cut for block in spec.clients.blocks or () for cut in block.excepts}
    kept = sorted(
        str(cut) for cut in cuts if any(inside(cut, each.cidr) and cut != each.cidr for each in found.prefixes)
    )
    if kept:
        yield f"    except: [{', '.join(map(text, kept))}]  # as now"
    if spec.clients.unenforceable:
        yield f"    unenforceable: {spec.clients.unenforceable}"


def _present_clients(spec: ExposureSpec) -> Iterator[str]:
    blocks = spec.clients.blocks
    if blocks is None:
        yield "  # No client ranges: without `clients`, the Service's own ranges hold, else everyone may come."
        return
    yield "  clients:"
    cidrs = [str(block.cidr) for block in blocks]
    yield f"    cidrs: [{', '.join(map(text, cidrs))}]  # as now: no client was seen that says otherwise"
    cuts = sorted({str(cut) for block in blocks for cut in block.excepts})
    if cuts:
        yield f"    except: [{', '.join(map(text, cuts))}]"
    if spec.clients.unenforceable:
        yield f"    unenforceable: {spec.clients.unenforceable}"


def _commented(lost: Cover, bounds: Bounds) -> Iterator[str]:
    if lost.prefixes and not bounds.dropped:
        yield "      # Dropped and perhaps wanted (--include-dropped adds them):"
        for each in lost.prefixes:
            yield f"      # - {each.cidr}  # {many(each.networks)}, dropped {each.weight} times"


def _unused(finding: Finding) -> Iterator[str]:
    if finding.unused_ports and finding.incoming:
        names = ", ".join(f"{each.port}/{each.protocol}" for each in finding.unused_ports)
        yield f"  # Open and not used in this log: {comment(names)}. To close it, list under `ports` those that are."
