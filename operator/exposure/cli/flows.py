"""`kubectl exposure flows LOG…`: what flow logs say of every entry point, and the policy that would fit."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from exposure.cli.command import DONE, Command, Wrong
from exposure.cli.inputs import Input, add_input_options, gather
from exposure.cli.terminal import say, table, warn, wrapped
from exposure.cli.wording import entry_points_text, governor_text

if TYPE_CHECKING:
    from exposure.flows.findings import ExposureFindings, ObservedFlow
    from exposure.flows.reading import Account
    from exposure.flows.records import Flow
    from exposure.model.snapshot import ByNamespace
    from exposure.networkpolicy.values import NetworkPolicy

FORMATS = ("auto", "hubble", "calico", "aws-vpc", "netfilter", "conntrack")
HEADER = ("FROM", "PORT", "ALLOWED", "DROPPED", "OTHER", "POLICIES SAY", "NOTE")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "log", metavar="LOG", nargs="*", help="a flow log, plain or .gz: a file, a folder, or - for standard input"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="auto", help="of the logs (default: each file's own marks)"
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
        "--last", metavar="N", type=_positive, default=10_000, help="how many flows to ask Hubble for (%(default)s)"
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
        "--top", metavar="N", type=_positive, help="rows an entry point, the heaviest (20 in the table, 1000 in json)"
    )
    parser.add_argument(
        "--max-cidrs", metavar="N", type=_positive, default=32, help="client ranges a proposal (%(default)s)"
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
    parser.add_argument("--rows", metavar="N", type=_rows, default=50_000, help="rows kept in memory (%(default)s)")
    add_input_options(parser)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 10**9:
        raise ArgumentTypeError("a number from 1")
    return int(text)


def _rows(text: str) -> int:
    number = _positive(text)
    if number < 16:
        raise ArgumentTypeError("a number from 16")
    return number


def _prefixes(text: str) -> tuple[int, int]:
    parts = [part.strip().removeprefix("/") for part in text.split(",")]
    if not 0 < len(parts) < 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ArgumentTypeError("one or two prefix lengths, as 16,48")
    v4, v6 = int(parts[0]), int(parts[-1]) if len(parts) == 2 else 48
    if not 0 <= v4 <= 32 or not 0 <= v6 <= 128:
        raise ArgumentTypeError("at most 32, and 128 for IPv6")
    return v4, v6


def _run(arguments: Namespace) -> int:
    from exposure.cli.resolved import ResolvedSnapshot
    from exposure.flows.attribution import Attribution
    from exposure.flows.findings import find
    from exposure.flows.proposal import proposal
    from exposure.flows.reading import Account
    from exposure.flows.report import account_json, finding_json
    from exposure.flows.table import FlowTable
    from exposure.flows.wording import ProposalLimits
    from exposure.resolve import cluster_facts

    if not arguments.log and not arguments.hubble:
        raise Wrong("name a flow log (a file, a folder, or - for standard input), or --hubble ADDRESS")
    if "-" in arguments.log and "-" in (arguments.filename or ()):
        raise Wrong("standard input holds either the flow log or the manifests (-f -), not both")
    given = gather(arguments)
    # The other end of a flow may be in any namespace; the entry points reported on are those that were asked for.
    exposures = ResolvedSnapshot(given.snapshot, given.namespaces).exposures()
    attribution = Attribution(given.snapshot, cluster_facts(given.snapshot), exposures)
    account, counted = Account(), FlowTable(arguments.rows)
    attributed = 0
    for flow in _flows(arguments, account):
        keys = attribution.keys(flow)
        attributed += bool(keys)
        for key in keys:
            counted.add(key, flow.verdict, flow.reporter, flow.times)
    policies, standing = _policies(arguments.against, given)
    findings = find(given.snapshot, exposures, attribution, counted, policies, standing=standing)
    v4, v6 = arguments.max_prefix
    match arguments.output:
        case "json":
            found = {
                "judgedBy": "standing" if standing else "planned",
                "log": account_json(account, attributed, counted),
                "exposures": [finding_json(each, arguments.top or 1000) for each in findings],
            }
            sys.stdout.write(json.dumps(found, indent=2) + "\n")
        case "yaml":
            sys.stdout.write(
                proposal(
                    given.snapshot,
                    findings,
                    ProposalLimits(arguments.max_cidrs, {4: v4, 6: v6}, arguments.include_dropped),
                )
            )
        case _:
            for line in _tables(findings, arguments.top or 20, standing):
                line()
    _tell(account, attributed, sys.stderr.isatty() or arguments.output == "table")
    if not account.flows and account.bad:
        raise Wrong("no line of the logs could be read as a flow")
    return DONE


def _flows(arguments: Namespace, account: "Account") -> "Iterator[Flow]":
    from exposure.flows import reading

    if arguments.hubble:
        from exposure.flows.hubble_grpc import Unavailable, observed

        try:
            yield from observed(arguments.hubble, arguments.last, arguments.hubble_ca, account)
        except Unavailable as error:
            raise Wrong(str(error)) from error
    try:
        names = reading.sources(arguments.log)
        with _progress(reading.size_of(names)) as told:
            yield from chain.from_iterable(reading.flows(name, arguments.format, account, told) for name in names)
    except reading.UnreadableSource as error:
        raise Wrong(str(error)) from error


@contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int], None] | None]:
    """A bar on a terminal, by bytes; nothing at all where standard error is not one."""
    if not size or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size)
        yield lambda read: bar.advance(task, read)


def _policies(against: str, given: Input) -> "tuple[ByNamespace[NetworkPolicy], bool]":
    from exposure.cli.resolved import ResolvedSnapshot
    from exposure.plan.connectivity import after_plan

    live = given.snapshot.network_policies
    if against == "standing" or (against == "auto" and (given.live or any(live.values()))):
        return live, True
    everywhere = ResolvedSnapshot(given.snapshot, tuple(sorted(given.snapshot.namespaces)))
    planned = {plan.namespace: after_plan(plan, live.get(plan.namespace, {})) for plan in everywhere.plans()}
    return {**live, **planned}, False


def _tables(findings: "Sequence[ExposureFindings]", top: int, standing: bool) -> Iterator[Callable[[], None]]:
    """Each piece of the report as something to do: tables draw themselves, with rich on a terminal."""
    if not findings:
        yield lambda: warn(
            "no entry point found: nothing here is reached from outside the cluster through an object that was read"
        )
    for number, finding in enumerate(findings):
        yield lambda first=not number, each=finding: _entry_point(each, top, standing, first)  # type: ignore[misc]


def _entry_point(finding: "ExposureFindings", top: int, standing: bool, first: bool) -> None:
    exposure = finding.exposure
    if not first:
        say()
    say(f"{exposure.namespace}/{exposure.name}  {entry_points_text(exposure)}, policy {governor_text(exposure)}")
    if finding.incoming:
        table(HEADER, [_row(each) for each in finding.incoming[:top]])
        if len(finding.incoming) > top:
            say(f"and {len(finding.incoming) - top} more (--top)")
    else:
        say("  nobody came, as far as these logs tell")
    if finding.outgoing:
        say()
        table(("TO", *HEADER[1:]), [_row(each) for each in finding.outgoing[:top]])
        if len(finding.outgoing) > top:
            say(f"and {len(finding.outgoing) - top} more (--top)")
    ports = [f"{port.protocol} {port.port}" + (f" ({port.name})" if port.name else "") for port in finding.unused_ports]
    unused = [f"{each.peer} (NetworkPolicy {each.policy})" for each in finding.unused_grants]
    _list("Open and never used", [f"port {text}" for text in ports] + [f"the way in for {text}" for text in unused])
    _list("Dropped and perhaps wanted", [f"{_who(each)}: {each.wanted}" for each in finding.wanted][:top])
    title = "Contradictions" if standing else "What the planned policies would change"
    _list(title, [f"{each.reason}: {each.message} ({each.records} records)" for each in finding.contradictions][:top])


def _list(title: str, lines: Sequence[str]) -> None:
    if lines:
        say(f"\n  {title}")
        for line in lines:
            say(wrapped(line, "    ", "      ", width=100))


def _who(each: "ObservedFlow") -> str:
    from exposure.flows.findings import peer_text

    return f"{peer_text(each.key.peer)} at {each.key.protocol.lower()}/{each.key.port}"


def _row(each: "ObservedFlow") -> tuple[str, ...]:
    from exposure.flows.findings import peer_text

    key, counts = each.key, each.counts
    other = ", ".join(
        f"{n} {word}"
        for n, word in ((counts.audit, "audit"), (counts.arrived, "arrived"), (counts.blocked, "blocked"))
        if n
    )
    answer = {"unknown": "-"}.get(each.expected.answer, each.expected.answer)
    port = f"{key.protocol.lower()}/{key.port or '*'}"
    note = "" if key.exposed else "not a port of the Service"
    return (peer_text(key.peer), port, str(counts.allowed), str(counts.dropped), other or "-", answer, note)


def _tell(account: "Account", attributed: int, whole: bool) -> None:
    passed = "".join(f", {count} {reason}" for reason, count in sorted(account.passed.items()))
    if whole:
        warn(
            f"{account.lines} lines: {account.flows} flows ({attributed} at an entry point's pods), {account.bad} bad{passed}"
        )
    for source, number, reason in account.examples:
        warn(f"{source}:{number}: {reason}")
    if account.bad > len(account.examples):
        warn(f"and {account.bad - len(account.examples)} more bad lines")
    for source, reason in account.broken:
        warn(f"{source}: {reason}")


COMMAND = Command(
    name="flows",
    summary="flow logs against the policies: who came, what is unused, dropped or contradicted, and a policy that fits",
    description="Reads flow logs (Hubble, Calico, AWS VPC, the kernel's packet log, conntrack) and says of every\n"
    "entry point who came from where, what was let in and dropped, what is open and never used, what is dropped and perhaps\n"
    "wanted, and where the log and the policies disagree. -o yaml proposes the ExposurePolicy that would fit.\n"
    "It never applies anything.",
    arguments=_arguments,
    run=_run,
    epilog="examples:\n  hubble observe --last 10000 -o json | kubectl exposure flows -\n"
    "  kubectl exposure flows vpc-logs/ -f manifests/ -o yaml > review-me.yaml\n"
    "  kubectl exposure flows --hubble localhost:4245 -n shop\n",
)
