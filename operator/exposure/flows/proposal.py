"""The ExposurePolicy that fits a log, as YAML for a person to review."""

from collections import Counter
from collections.abc import Iterable, Iterator

from exposure.addresses import Network, in_any, inside
from exposure.flows.attribution import ServedService
from exposure.flows.findings import ExposureFindings, ObservedFlow
from exposure.flows.prefixes import Cover, cover
from exposure.flows.proposed_rules import egress, peers
from exposure.flows.wording import ProposalLimits, comment, listed, many, text
from exposure.model.exposures import Exposure, SourceKind
from exposure.model.intent import DEFAULT_ENTRY_POINTS, ExposureSpec
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.evaluate import Verdict

HEADER = """\
# A proposal, generated from flow logs. Read every line before you apply it: no person has reviewed it.
# A log shows what happened while it was written. It includes attackers, scanners and mistakes, and misses what happens
# once a month. Dropped connections are not opened here, except with --include-dropped. To see what would change, run
#   kubectl exposure plan -f THIS-FILE -f YOUR-MANIFESTS
"""
NO_FLOWS = "# The logs have no flow to or from a Service behind an entry point, so there is nothing to propose.\n"


def proposal(snapshot: Snapshot, findings: Iterable[ExposureFindings], limits: ProposalLimits) -> str:
    """One document for each Service that was called or that called; only the header where there is none."""
    services: dict[str, tuple[ServedService, ExposureFindings]] = {}
    for finding in findings:
        for served in finding.services:
            # Several entry points may lead to a Service. The policy is that of its own, if it has one.
            if served.name not in services or finding.exposure.owner.kind == "Service":
                services[served.name] = served, finding
    documents = [
        "\n".join(_policy(snapshot, served, finding, limits)) + "\n"
        for name, (served, finding) in sorted(services.items())
        if served.selector is not None
        and any(name == flow.key.service for flow in (*finding.incoming, *finding.outgoing))
    ]
    return HEADER + ("---\n" + "---\n".join(documents) if documents else NO_FLOWS)


def _policy(
    snapshot: Snapshot, served: ServedService, finding: ExposureFindings, limits: ProposalLimits
) -> Iterator[str]:
    service, exposure = served.service, finding.exposure
    incoming = [flow for flow in finding.incoming if flow.key.service == served.name]
    outgoing = [flow for flow in finding.outgoing if flow.key.service == served.name]
    present, ref = None, exposure.policy
    if ref is not None and ref.kind == "ExposurePolicy":
        present = snapshot.exposure_policies.get(ref.namespace, {}).get(ref.name)
    spec = present.spec if present is not None and isinstance(present.spec, ExposureSpec) else ExposureSpec()
    yield "apiVersion: exposure.dev/v1alpha1"
    yield "kind: ExposurePolicy"
    yield "metadata:"
    yield f"  namespace: {text(service.namespace)}"
    if present is not None and spec.names == (service.name,):
        yield f"  # Changes the policy {comment(present.name)} that governs this Service now."
        yield f"  name: {text(present.name)}"
    else:
        governs = f"; until then {ref} governs it" if ref else ""
        yield f"  # New. It names its Service, so it overrides every policy that does not{comment(governs)}."
        yield f"  name: {text(f'{service.name[:52]}-from-flows')}"
    yield "spec:"
    yield "  services:"
    yield f"    names: [{text(service.name)}]"
    yield from _kept(spec, exposure)
    yield from _clients(exposure, incoming, spec, limits)
    if finding.unused_ports and finding.incoming:
        names = ", ".join(f"{port.port}/{port.protocol}" for port in finding.unused_ports)
        yield f"  # Open and not used in this log: {comment(names)}. To close it, list the others in `ports`."
    yield from peers(exposure, service.namespace, incoming, limits)
    yield from egress(service.namespace, outgoing, limits)


def _kept(spec: ExposureSpec, exposure: Exposure) -> Iterator[str]:
    """What the log says nothing about stays as it is."""
    if spec.mode is not None:
        yield f"  mode: {spec.mode}"
    entry_points = spec.entry_points
    opted_in = exposure.owner.kind == "Service" and not set(exposure.entry_points) & set(DEFAULT_ENTRY_POINTS)
    if entry_points is None and opted_in:
        # Entry points that are off by default must be named, or the policy would not govern this Service.
        entry_points = tuple(exposure.entry_points)
    if entry_points is not None:
        yield f"  entryPoints: [{', '.join(entry_points)}]"
    isolation = {
        "ingress": spec.isolation.ingress,
        "egress": spec.isolation.egress,
        "allowSameNamespace": spec.isolation.allow_same_namespace,
    }
    written = [f"    {name}: {text(value)}" for name, value in isolation.items() if value is not None]
    yield from ["  isolation:", *written] if written else []
    if spec.ports is not None:
        yield f"  ports: {listed(spec.ports)}"
    overrides = spec.load_balancer
    written = [f"    profile: {text(overrides.profile)}"] if overrides.profile else []
    written += [
        f"    {name}: {listed(map(str, cidrs))}"
        for name, cidrs in (("cidrs", overrides.cidrs), ("healthCheckCIDRs", overrides.health_check_cidrs))
        if cidrs
    ]
    yield from ["  loadBalancer:", *written] if written else []


#: Why records have no client range, by the kind of peer.
NO_RANGE = {
    "load balancer": "records came from the load balancer itself. The operator admits it already",
    "node": "records came from nodes. SNAT hid the client (see externalTrafficPolicy), so there is no range for them",
    "outside": "records have no client address, so there is no range for them",
    "other": "records came from more clients than --rows keeps. They are in no range below",
    "gone": "records came from deleted pods. If their workload still calls, list it in peers",
}


def _clients(
    exposure: Exposure, incoming: list[ObservedFlow], spec: ExposureSpec, limits: ProposalLimits
) -> Iterator[str]:
    balancers = [
        block.cidr
        for source in exposure.sources
        if source.kind in (SourceKind.LOAD_BALANCER, SourceKind.HEALTH_CHECKS)
        for block in source.blocks
        if block.cidr.prefixlen
    ]
    came: Counter[Network] = Counter()
    missed: Counter[Network] = Counter()
    no_range: Counter[str] = Counter()
    refused: set[Network] = set()
    for flow in (flow for flow in incoming if flow.key.exposed):
        client, counts = flow.key.peer.network, flow.counts
        if client is None:
            no_range[flow.key.peer.kind] += counts.came_in
        elif in_any(client, balancers):
            no_range["load balancer"] += counts.came_in
        elif counts.came_in:
            came[client] += counts.came_in
            if flow.expected.verdict is Verdict.DENIED:
                refused.add(client)
        elif flow.wanted:
            (came if limits.dropped else missed)[client] += counts.refused
    notes = [f"  # {no_range[kind]} {note}." for kind, note in NO_RANGE.items() if no_range[kind]]
    clients = cover(came.items(), limits.cidrs, limits.widest)
    lost = cover(missed.items(), limits.cidrs, limits.widest)
    yield from notes
    if not clients.prefixes:
        if not notes and not lost.prefixes:
            yield "  # No client came from outside. The client ranges stay as they are now:"
        # An omitted list would mean everyone; the present one is no wider than what is open today.
        yield from _present_clients(spec)
        yield from _commented(lost)
        return
    yield "  clients:"
    yield "    cidrs:"
    for prefix in clients.prefixes:
        is_refused = any(inside(client, prefix.cidr) for client in refused)
        doubt = "; REFUSED by the present policies" if is_refused else ""
        yield f"      - {prefix.cidr}  # {many(prefix.networks)}, {prefix.weight} records{doubt}"
    if clients.left_out:
        yield f"      # NOT COVERED: {clients.left_out} more addresses with {clients.left_weight} records."
        yield f"      # The limits: {limits.cidrs} ranges (--max-cidrs), none wider than"
        yield f"      # /{limits.widest[4]} (IPv6: /{limits.widest[6]}) (--max-prefix)."
        yield "      # If everyone may use this entry point, remove `clients`."
    yield from _commented(lost)
    excepts = sorted(
        str(cut)
        for cut in {cut for block in spec.clients.blocks or () for cut in block.excepts}
        if any(inside(cut, prefix.cidr) and cut != prefix.cidr for prefix in clients.prefixes)
    )
    if excepts:
        yield f"    except: {listed(excepts)}  # as now"
    if spec.clients.unenforceable:
        yield f"    unenforceable: {spec.clients.unenforceable}"


def _present_clients(spec: ExposureSpec) -> Iterator[str]:
    blocks = spec.clients.blocks
    if blocks is None:
        yield "  # No client ranges. Without `clients`, the Service's own ranges apply, else everyone is admitted."
        return
    yield "  clients:"
    cidrs = listed(str(block.cidr) for block in blocks)
    yield f"    cidrs: {cidrs}  # as now: the log has no other client"
    excepts = sorted({str(cut) for block in blocks for cut in block.excepts})
    if excepts:
        yield f"    except: {listed(excepts)}"
    if spec.clients.unenforceable:
        yield f"    unenforceable: {spec.clients.unenforceable}"


def _commented(lost: Cover) -> Iterator[str]:
    if lost.prefixes:
        yield "      # Dropped, but may be wanted (--include-dropped adds them):"
    for prefix in lost.prefixes:
        yield f"      # - {prefix.cidr}  # {many(prefix.networks)}, dropped {prefix.weight} times"
