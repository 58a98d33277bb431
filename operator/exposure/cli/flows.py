"""`kubectl exposure flows LOG…`: what flow logs show about every entry point, and the policy that would fit."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from exposure.cli import wording
from exposure.cli.command import DONE, UsageError
from exposure.cli.inputs import Input, gather
from exposure.cli.terminal import say, say_json, table, warn, wrapped
from exposure.flows import reading
from exposure.flows.attribution import Attribution
from exposure.flows.findings import ExposureFindings, ObservedFlow, find, peer_text
from exposure.flows.hubble_grpc import Unavailable, observed
from exposure.flows.proposal import proposal
from exposure.flows.records import Flow
from exposure.flows.report import account_json, finding_json
from exposure.flows.table import FlowTable
from exposure.flows.wording import ProposalLimits
from exposure.model.snapshot import ByNamespace
from exposure.networkpolicy.values import NetworkPolicy
from exposure.plan.connectivity import after_plan
from exposure.plan.resolved import ResolvedSnapshot

MOST_ROWS_TABLE, MOST_ROWS_JSON = 20, 1000
HEADER = ("FROM", "PORT", "ALLOWED", "DROPPED", "OTHER", "POLICIES SAY", "NOTE")
NO_SERVICE_PORT = "not a port of the Service"


def run(arguments: Namespace) -> int:
    if not arguments.log and not arguments.hubble:
        raise UsageError(
            "No flow log is given. Name a file, a folder, or - for standard input, or use --hubble ADDRESS."
        )
    if "-" in arguments.log and "-" in (arguments.filename or ()):
        raise UsageError("Standard input is either the flow log or the manifests (-f -). Use a file for one of them.")
    given = gather(arguments)
    # The other end of a flow may be in any namespace. The entry points to report on are those that were asked for.
    resolved = ResolvedSnapshot(given.snapshot)
    exposures = resolved.exposures(given.namespaces)
    attribution = Attribution(given.snapshot, resolved.facts, exposures)
    account, counted = reading.Account(), FlowTable(arguments.rows)
    attributed = 0
    for flow in _flows(arguments, account):
        keys = attribution.keys(flow)
        attributed += bool(keys)
        for key in keys:
            counted.add(key, flow.verdict, flow.reporter, flow.times)
    policies, standing = _policies(arguments.against, given, resolved)
    findings = list(find(attribution, counted, policies, standing=standing))
    match arguments.output:
        case "json":
            document = {
                "judgedBy": "standing" if standing else "planned",
                "log": account_json(account, attributed, counted),
                "exposures": [finding_json(finding, arguments.top or MOST_ROWS_JSON) for finding in findings],
            }
            say_json(document)
        case "yaml":
            limits = ProposalLimits(arguments.max_cidrs, arguments.max_prefix, arguments.include_dropped)
            sys.stdout.write(proposal(given.snapshot, findings, limits))
        case _ if findings:
            for index, finding in enumerate(findings):
                if index:
                    say()
                _print_entry_point(finding, arguments.top or MOST_ROWS_TABLE, standing)
        case _:
            warn(wording.NO_ENTRY_POINTS)
    _warn_about_log(account, attributed, sys.stderr.isatty() or arguments.output == "table")
    if not account.flows and account.bad:
        raise UsageError("No line of the logs is a flow. Set their format with --format.")
    return DONE


def _flows(arguments: Namespace, account: reading.Account) -> Iterator[Flow]:
    try:
        if arguments.hubble:
            yield from observed(arguments.hubble, arguments.last, arguments.hubble_ca, account)
        names = reading.sources(arguments.log)
        with _progress(reading.size_of(names)) as progress:
            yield from chain.from_iterable(reading.flows(name, arguments.format, account, progress) for name in names)
    except (Unavailable, reading.UnreadableSource) as error:
        raise UsageError(str(error)) from error


@contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int], None] | None]:
    """A progress bar by bytes, where standard error is a terminal."""
    if not size or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size)
        yield lambda read: bar.advance(task, read)


def _policies(against: str, given: Input, resolved: ResolvedSnapshot) -> tuple[ByNamespace[NetworkPolicy], bool]:
    """The NetworkPolicies to judge by, and whether they are those that stand."""
    live = given.snapshot.network_policies
    if against == "standing" or (against == "auto" and (given.cluster or any(live.values()))):
        return live, True
    planned = {
        namespace: after_plan(resolved.plan(namespace), live.get(namespace, {}))
        for namespace in sorted(given.snapshot.namespaces)
    }
    return {**live, **planned}, False


def _print_entry_point(finding: ExposureFindings, top: int, standing: bool) -> None:
    exposure = finding.exposure
    types, policy = wording.entry_points(exposure), wording.policy(exposure)
    say(f"{exposure.namespace}/{exposure.name}  {types}, policy {policy}")
    if not finding.incoming:
        say("  These logs show no connection to it.")
    _print_flows(HEADER, finding.incoming, top)
    if finding.outgoing:
        say()
    _print_flows(("TO", *HEADER[1:]), finding.outgoing, top)
    names = [f" ({port.name})" if port.name else "" for port in finding.unused_ports]
    ports = zip(finding.unused_ports, names, strict=True)
    unused = [f"port {port.protocol} {port.port}{name}" for port, name in ports]
    unused += [f"the rule for {grant.peer} (NetworkPolicy {grant.policy})" for grant in finding.unused_grants]
    _print_list("Open and never used", unused)
    _print_list("Dropped, but may be wanted", [f"{_who(flow)}: {flow.wanted}" for flow in finding.wanted[:top]])
    contradictions = [
        f"{contradiction.reason}: {contradiction.message} ({contradiction.records} records)"
        for contradiction in finding.contradictions[:top]
    ]
    _print_list("Contradictions" if standing else "What the planned policies would change", contradictions)


def _print_flows(header: Sequence[str], flows: Sequence[ObservedFlow], top: int) -> None:
    if flows:
        table(header, [_row(flow) for flow in flows[:top]])
    if len(flows) > top:
        say(f"and {len(flows) - top} more (--top)")


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        say(f"\n  {title}")
    for line in lines:
        say(wrapped(line, "    ", "      ", width=100))


def _who(flow: ObservedFlow) -> str:
    return f"{peer_text(flow.key.peer)} at {flow.key.protocol.lower()}/{flow.key.port}"


def _row(flow: ObservedFlow) -> tuple[str, ...]:
    key, counts = flow.key, flow.counts
    others = (("audit", counts.audit), ("arrived", counts.arrived), ("blocked", counts.blocked))
    other = ", ".join(f"{count} {word}" for word, count in others if count) or "-"
    verdict = "-" if flow.expected.answer == "unknown" else flow.expected.answer
    port = f"{key.protocol.lower()}/{key.port or '*'}"
    note = "" if key.exposed else NO_SERVICE_PORT
    return (peer_text(key.peer), port, str(counts.allowed), str(counts.dropped), other, verdict, note)


def _warn_about_log(account: reading.Account, attributed: int, with_counts: bool) -> None:
    if with_counts:
        passed = "".join(f", {count} {reason}" for reason, count in sorted(account.passed.items()))
        warn(
            f"{account.lines} lines: {account.flows} flows ({attributed} at an entry point's pods), {account.bad} bad"
            f"{passed}"
        )
    for source, line, reason in account.examples:
        warn(f"{source}:{line}: {reason}")
    if account.bad > len(account.examples):
        warn(f"and {account.bad - len(account.examples)} more bad lines")
    for source, reason in account.broken:
        warn(f"{source}: {reason}")
