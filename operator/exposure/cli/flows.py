"""`kubectl exposure flows LOG…`: what flow logs show about every entry point, and the policy that would fit."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from exposure.cli.command import DONE, Command, UsageError
from exposure.cli.exposure_json import json_text
from exposure.cli.inputs import Input, add_input_options, gather, number
from exposure.cli.terminal import say, table, warn, wrapped
from exposure.cli.wording import NO_ENTRY_POINTS, entry_points_text, governor_text

if TYPE_CHECKING:
    from exposure.flows.findings import ExposureFindings, ObservedFlow
    from exposure.flows.reading import Account
    from exposure.flows.records import Flow
    from exposure.model.snapshot import ByNamespace
    from exposure.networkpolicy.values import NetworkPolicy
    from exposure.plan.resolved import ResolvedSnapshot

FORMATS = ("auto", "hubble", "calico", "aws-vpc", "netfilter", "conntrack")
MOST_ROWS_TABLE, MOST_ROWS_JSON = 20, 1000
HEADER = ("FROM", "PORT", "ALLOWED", "DROPPED", "OTHER", "POLICIES SAY", "NOTE")

NO_LOG = "There is no flow log. Name one (a file, a folder, or - for standard input), or give --hubble ADDRESS."
STANDARD_INPUT_TWICE = "Standard input is either the flow log or the manifests (-f -). Name a file for one of them."
NO_FLOW = "No line of the logs is a flow. Name their format with --format."
NO_INCOMING = "No connection to it, as far as these logs show."
NO_SERVICE_PORT = "not a port of the Service"
MORE_ROWS = "and {count} more (--top)"
COUNTS = "{lines} lines: {flows} flows ({attributed} at an entry point's pods), {bad} bad{passed}"
MORE_BAD_LINES = "and {count} more bad lines"
NO_PREFIXES = "one or two prefix lengths, as 16,48"
PREFIXES_TOO_LONG = "at most 32, and 128 for IPv6"


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "log", metavar="LOG", nargs="*", help="a flow log, plain or .gz: a file, a folder, or - for standard input"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="auto", help="of the logs (default: recognized by their content)"
    )
    parser.add_argument(
        "--hubble",
        metavar="ADDRESS",
        help="ask a Hubble relay over gRPC, as localhost:4245 (needs grpcio and protobuf)",
    )
    parser.add_argument(
        "--hubble-ca",
        metavar="FILE",
        help="speak TLS to it, trusting this CA (default: no TLS, as behind a port-forward)",
    )
    parser.add_argument(
        "--last", metavar="N", type=number(1), default=10_000, help="how many flows to ask Hubble for (%(default)s)"
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "yaml"),
        default="table",
        help="table (the default), json, or yaml: the proposed ExposurePolicies alone, for a person to review",
    )
    parser.add_argument(
        "--against",
        choices=("auto", "standing", "planned"),
        default="auto",
        help="judge by the NetworkPolicies that stand, or by those that the plan would lead to (default: those that "
        "stand, where a cluster or the files have any)",
    )
    parser.add_argument(
        "--top",
        metavar="N",
        type=number(1),
        help="rows for each entry point, most flows first (20 in the table, 1000 in json)",
    )
    parser.add_argument(
        "--max-cidrs", metavar="N", type=number(1), default=32, help="client ranges in a proposal (%(default)s)"
    )
    parser.add_argument(
        "--max-prefix",
        metavar="V4[,V6]",
        type=_prefixes,
        default=(16, 48),
        help="the widest range a proposal may name (16,48)",
    )
    parser.add_argument(
        "--include-dropped", action="store_true", help="propose also what was dropped and perhaps wanted"
    )
    parser.add_argument(
        "--rows", metavar="N", type=number(16), default=50_000, help="rows kept in memory (%(default)s)"
    )
    add_input_options(parser)


def _prefixes(text: str) -> tuple[int, int]:
    parts = [part.strip().removeprefix("/") for part in text.split(",")]
    if not 0 < len(parts) < 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ArgumentTypeError(NO_PREFIXES)
    v4, v6 = int(parts[0]), int(parts[-1]) if len(parts) == 2 else 48
    if not 0 <= v4 <= 32 or not 0 <= v6 <= 128:
        raise ArgumentTypeError(PREFIXES_TOO_LONG)
    return v4, v6


def _run(arguments: Namespace) -> int:
    from exposure.flows.attribution import Attribution
    from exposure.flows.findings import find
    from exposure.flows.proposal import proposal
    from exposure.flows.reading import Account
    from exposure.flows.report import account_json, finding_json
    from exposure.flows.table import FlowTable
    from exposure.flows.wording import ProposalLimits
    from exposure.plan.resolved import ResolvedSnapshot

    if not arguments.log and not arguments.hubble:
        raise UsageError(NO_LOG)
    if "-" in arguments.log and "-" in (arguments.filename or ()):
        raise UsageError(STANDARD_INPUT_TWICE)
    given = gather(arguments)
    # The other end of a flow may be in any namespace. The entry points to report on are those that were asked for.
    resolved = ResolvedSnapshot(given.snapshot)
    exposures = resolved.exposures(given.namespaces)
    attribution = Attribution(given.snapshot, resolved.facts, exposures)
    account, counted = Account(), FlowTable(arguments.rows)
    attributed = 0
    for flow in _flows(arguments, account):
        keys = attribution.keys(flow)
        attributed += bool(keys)
        for key in keys:
            counted.add(key, flow.verdict, flow.reporter, flow.times)
    policies, standing = _policies(arguments.against, given, resolved)
    findings = list(find(attribution, counted, policies, standing=standing))
    v4, v6 = arguments.max_prefix
    match arguments.output:
        case "json":
            document = {
                "judgedBy": "standing" if standing else "planned",
                "log": account_json(account, attributed, counted),
                "exposures": [finding_json(finding, arguments.top or MOST_ROWS_JSON) for finding in findings],
            }
            sys.stdout.write(json_text(document))
        case "yaml":
            limits = ProposalLimits(arguments.max_cidrs, {4: v4, 6: v6}, arguments.include_dropped)
            sys.stdout.write(proposal(given.snapshot, findings, limits))
        case _:
            if not findings:
                warn(NO_ENTRY_POINTS)
            for index, finding in enumerate(findings):
                if index:
                    say()
                _print_entry_point(finding, arguments.top or MOST_ROWS_TABLE, standing)
    _warn_about_log(account, attributed, sys.stderr.isatty() or arguments.output == "table")
    if not account.flows and account.bad:
        raise UsageError(NO_FLOW)
    return DONE


def _flows(arguments: Namespace, account: "Account") -> "Iterator[Flow]":
    from exposure.flows import reading

    if arguments.hubble:
        from exposure.flows.hubble_grpc import Unavailable, observed

        try:
            yield from observed(arguments.hubble, arguments.last, arguments.hubble_ca, account)
        except Unavailable as error:
            raise UsageError(str(error)) from error
    try:
        names = reading.sources(arguments.log)
        with _progress(reading.size_of(names)) as progress:
            yield from chain.from_iterable(reading.flows(name, arguments.format, account, progress) for name in names)
    except reading.UnreadableSource as error:
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


def _policies(against: str, given: Input, resolved: "ResolvedSnapshot") -> "tuple[ByNamespace[NetworkPolicy], bool]":
    from exposure.plan.connectivity import after_plan

    live = given.snapshot.network_policies
    if against == "standing" or (against == "auto" and (given.live or any(live.values()))):
        return live, True
    planned = {
        namespace: after_plan(resolved.plan(namespace), live.get(namespace, {}))
        for namespace in sorted(given.snapshot.namespaces)
    }
    return {**live, **planned}, False


def _print_entry_point(finding: "ExposureFindings", top: int, standing: bool) -> None:
    exposure = finding.exposure
    say(f"{exposure.namespace}/{exposure.name}  {entry_points_text(exposure)}, policy {governor_text(exposure)}")
    if not finding.incoming:
        say(f"  {NO_INCOMING}")
    _print_flows(HEADER, finding.incoming, top)
    if finding.outgoing:
        say()
    _print_flows(("TO", *HEADER[1:]), finding.outgoing, top)
    ports = [f"{port.protocol} {port.port}" + (f" ({port.name})" if port.name else "") for port in finding.unused_ports]
    grants = [f"{grant.peer} (NetworkPolicy {grant.policy})" for grant in finding.unused_grants]
    _print_list(
        "Open and never used", [f"port {port}" for port in ports] + [f"the rule for {grant}" for grant in grants]
    )
    _print_list("Dropped and perhaps wanted", [f"{_who(flow)}: {flow.wanted}" for flow in finding.wanted][:top])
    contradictions = (
        f"{contradiction.reason}: {contradiction.message} ({contradiction.records} records)"
        for contradiction in finding.contradictions
    )
    title = "Contradictions" if standing else "What the planned policies would change"
    _print_list(title, list(contradictions)[:top])


def _print_flows(header: Sequence[str], flows: "Sequence[ObservedFlow]", top: int) -> None:
    if flows:
        table(header, [_row(flow) for flow in flows[:top]])
    if len(flows) > top:
        say(MORE_ROWS.format(count=len(flows) - top))


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        say(f"\n  {title}")
        for line in lines:
            say(wrapped(line, "    ", "      ", width=100))


def _who(flow: "ObservedFlow") -> str:
    from exposure.flows.findings import peer_text

    return f"{peer_text(flow.key.peer)} at {flow.key.protocol.lower()}/{flow.key.port}"


def _row(flow: "ObservedFlow") -> tuple[str, ...]:
    from exposure.flows.findings import peer_text

    key, counts = flow.key, flow.counts
    others = (("audit", counts.audit), ("arrived", counts.arrived), ("blocked", counts.blocked))
    other = ", ".join(f"{count} {word}" for word, count in others if count) or "-"
    verdict = "-" if flow.expected.answer == "unknown" else flow.expected.answer
    port = f"{key.protocol.lower()}/{key.port or '*'}"
    note = "" if key.exposed else NO_SERVICE_PORT
    return (peer_text(key.peer), port, str(counts.allowed), str(counts.dropped), other, verdict, note)


def _warn_about_log(account: "Account", attributed: int, with_counts: bool) -> None:
    if with_counts:
        passed = "".join(f", {count} {reason}" for reason, count in sorted(account.passed.items()))
        counts = {"lines": account.lines, "flows": account.flows, "attributed": attributed, "bad": account.bad}
        warn(COUNTS.format(**counts, passed=passed))
    for source, line, reason in account.examples:
        warn(f"{source}:{line}: {reason}")
    if account.bad > len(account.examples):
        warn(MORE_BAD_LINES.format(count=account.bad - len(account.examples)))
    for source, reason in account.broken:
        warn(f"{source}: {reason}")


COMMAND = Command(
    name="flows",
    summary="flow logs compared with the policies: who connects, what is unused or dropped, and a policy that fits",
    description="Reads flow logs (Hubble, Calico, AWS VPC, the kernel's packet log, conntrack), and reports for "
    "every entry point who connects, what is allowed and dropped, what is open and never used, what is dropped and "
    "perhaps wanted, and where the log and the policies disagree. -o yaml proposes the ExposurePolicy that would "
    "fit. It applies nothing.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  hubble observe --last 10000 -o json | kubectl exposure flows -\n"
    "  kubectl exposure flows vpc-logs/ -f manifests/ -o yaml > review-me.yaml\n"
    "  kubectl exposure flows --hubble localhost:4245 -n shop\n",
)
