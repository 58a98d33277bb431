"""The command line: every subcommand with its options, and how the text of an option is read.

It stands apart from what the subcommands do, so that a help text waits for none of their imports.
"""

from argparse import REMAINDER, ArgumentError, ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from exposure.addresses import address
from exposure.cli.terminal import wrapped
from exposure.model.config import Config
from exposure.verify.values import PLACES, Place

HELP_WIDTH = 100
DESCRIPTION = (
    "Finds every entry point of a cluster (load balancers, node ports, external IPs, ingresses, gateways), and shows "
    "what is open, to whom, why, and what no NetworkPolicy can hold back."
)
EPILOG = """\
examples:
  kubectl exposure map                             every entry point of the cluster
  kubectl exposure map -f manifests/ -o json       the same from files, without a cluster
  kubectl exposure plan -n shop                    what the operator would write, and why
  kubectl exposure plan -f shop.yaml -o yaml       the NetworkPolicies themselves
  kubectl exposure explain shop/web                every source, port and blind spot of one Service
  kubectl exposure verify -n shop                  real connections: what is expected, and what is observed
  kubectl exposure flows flows.json                who connected, who was dropped, what is open and never used

exit status: 0 done; 1 differences or failures that were asked for; 2 wrong use or unreadable input
"""
#: How an object is named, for `explain` and `verify`.
OBJECT = "[NAMESPACE/]SERVICE"
OBJECT_FORMS = f"{OBJECT}, service/NAME, ingress/NAME, gateway/NAME or exposure/NAME"
LONGEST_SECONDS = 30.0


def parse(argv: Sequence[str]) -> Namespace:
    """The options, with their `subcommand`. Leaves the process where argparse does: for --help, and for wrong use."""
    parser = ArgumentParser(
        prog="kubectl exposure",
        description=wrapped(DESCRIPTION, width=HELP_WIDTH),
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kubectl exposure {_version()}")
    subparsers = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", dest="subcommand", required=True)
    for subcommand in SUBCOMMANDS:
        subparser = subparsers.add_parser(
            subcommand.name,
            help=subcommand.summary,
            description=wrapped(subcommand.description, width=HELP_WIDTH),
            epilog=subcommand.epilog,
            formatter_class=RawDescriptionHelpFormatter,
        )
        subcommand.add_options(subparser)
        _input_options(subparser)
    return parser.parse_args(_subcommand_first(argv))


def _subcommand_first(argv: Sequence[str]) -> Sequence[str]:
    """The same arguments with the subcommand first: kubectl takes `-n shop map`, argparse only `map -n shop`."""
    leading = ArgumentParser(add_help=False, exit_on_error=False)
    _input_options(leading)
    leading.add_argument("-o", "--output")
    leading.add_argument("rest", nargs=REMAINDER)
    try:
        parsed, unknown = leading.parse_known_args(argv)
    except ArgumentError:
        return argv  # The parser proper will name what is wrong.
    rest: list[str] = parsed.rest
    return [rest[0], *argv[: len(argv) - len(rest)], *rest[1:]] if rest else unknown


def _version() -> str:
    try:
        return version("exposure-operator")
    except PackageNotFoundError:
        return "(not installed)"


def _input_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("where to look").add_argument
    add(
        "-f",
        "--filename",
        action="append",
        metavar="FILE",
        help="read manifests instead of a cluster: a file, a folder (*.yaml, *.yml and *.json below it), or - for "
        "standard input; may be repeated. Needs no cluster and no credentials",
    )
    add("--config", metavar="FILE", help="facts about the cluster that cannot be detected (YAML)")
    add(
        "-n",
        "--namespace",
        metavar="NAME",
        help="report on this namespace only; with -f, also the namespace of objects that name none",
    )
    add("-A", "--all-namespaces", action="store_true", help="report on every namespace (the default)")
    add("--kubeconfig", metavar="FILE", help="as in kubectl")
    add("--context", metavar="NAME", help="as in kubectl")
    add(
        "--operator-namespace",
        metavar="NAME",
        default=Config().operator_namespace,
        help="where the operator runs and keeps its configuration (%(default)s)",
    )


def _output(parser: ArgumentParser, formats: Sequence[str], explanation: str) -> None:
    """The first of the formats is the default."""
    parser.add_argument("-o", "--output", choices=formats, default=formats[0], help=explanation)


def _option(parser: ArgumentParser, name: str, value: str, explanation: str, **more: Any) -> None:
    parser.add_argument(name, metavar=value, help=explanation, **more)


def _switch(parser: ArgumentParser, name: str, explanation: str) -> None:
    parser.add_argument(name, action="store_true", help=explanation)


def _map_options(parser: ArgumentParser) -> None:
    _output(
        parser,
        ("table", "json", "html"),
        "table (the default), json (a list of entry points), or html (one page with a picture, self-contained)",
    )


def _plan_options(parser: ArgumentParser) -> None:
    _output(
        parser,
        ("diff", "yaml", "json"),
        "diff (the default): each change in one line, compared with the cluster, or with -f with the NetworkPolicies "
        "in the files; yaml: every NetworkPolicy of the operator that should exist afterwards; json: both",
    )
    _switch(parser, "--as-enforced", "plan as if nothing were in mode Audit or Paused")
    _switch(parser, "--exit-code", "exit with 1 if anything would be written")


def _explain_options(parser: ArgumentParser) -> None:
    _option(parser, "name", OBJECT, f"what to explain: {OBJECT_FORMS}")
    _output(
        parser,
        ("text", "json"),
        "text (the default), or json (entry points as map -o json gives them, with their NetworkPolicies)",
    )
    _switch(parser, "--as-enforced", "explain as if nothing were in mode Audit or Paused")


def _verify_options(parser: ArgumentParser) -> None:
    _option(parser, "name", OBJECT, f"only the entry points of these objects: {OBJECT_FORMS}", nargs="*")
    _option(
        parser,
        "--from",
        "PLACES",
        f"where to connect from, any of {','.join(PLACES)}; outside is where this command runs, the others are "
        "short-lived pods (default: outside,other-namespace,same-namespace, and with -f only outside). node is a "
        "hostNetwork pod in kube-system",
        dest="places",
        type=_places,
    )
    _switch(parser, "--dry-run", "print what it would connect to, from where; do nothing")
    _output(parser, ("table", "json", "junit"), "(%(default)s)")
    _option(parser, "--timeout", "2s", "for one connection (2s, 500ms; default 2s)", type=_seconds, default=2.0)
    _option(parser, "--parallel", "N", "connections at once (%(default)s)", type=_number(1, 64), default=16)
    several = "connections to a target behind which several pods may answer (%(default)s); else one"
    _option(parser, "--repeat", "N", several, type=_number(1, 9), default=4)
    translated = "the address that the cluster sees of this machine, where it is translated on the way"
    _option(parser, "--source", "ADDRESS", translated, type=_address)
    _option(parser, "--image", "IMAGE", "for the probe pods (default: the running operator's own)")
    other = "where the pod of other-namespace runs (default: the operator's namespace)"
    _option(parser, "--probe-namespace", "NAME", other, default="")
    _option(parser, "--node", "NAME", "where the pod of node runs (default: any node)", default="")


def _flows_options(parser: ArgumentParser) -> None:
    _option(parser, "log", "LOG", "a flow log, plain or .gz: a file, a folder, or - for standard input", nargs="*")
    formats = ("auto", "hubble", "calico", "aws-vpc", "netfilter", "conntrack")
    recognized = "of the logs (default: recognized by their content)"
    parser.add_argument("--format", choices=formats, default="auto", help=recognized)
    _option(
        parser, "--hubble", "ADDRESS", "ask a Hubble relay over gRPC, as localhost:4245 (needs grpcio and protobuf)"
    )
    _option(
        parser, "--hubble-ca", "FILE", "speak TLS to it, trusting this CA (default: no TLS, as behind a port-forward)"
    )
    _option(parser, "--last", "N", "how many flows to ask Hubble for (%(default)s)", type=_number(1), default=10_000)
    proposals = "table (the default), json, or yaml: the proposed ExposurePolicies alone, for a person to review"
    _output(parser, ("table", "json", "yaml"), proposals)
    parser.add_argument(
        "--against",
        choices=("auto", "standing", "planned"),
        default="auto",
        help="judge by the NetworkPolicies that stand, or by those that the plan would lead to (default: those that "
        "stand, where a cluster or the files have any)",
    )
    most = "rows for each entry point, most flows first (20 in the table, 1000 in json)"
    _option(parser, "--top", "N", most, type=_number(1))
    _option(parser, "--max-cidrs", "N", "client ranges in a proposal (%(default)s)", type=_number(1), default=32)
    widest = "the widest range a proposal may name (16,48)"
    _option(parser, "--max-prefix", "V4[,V6]", widest, type=_prefixes, default={4: 16, 6: 48})
    _switch(parser, "--include-dropped", "propose also what was dropped and perhaps wanted")
    _option(parser, "--rows", "N", "rows kept in memory (%(default)s)", type=_number(16), default=50_000)


@dataclass(frozen=True, slots=True)
class Subcommand:
    """`name` is also that of the module whose `run` does it."""

    name: str
    summary: str
    description: str
    epilog: str
    add_options: Callable[[ArgumentParser], None]


#: In the order of the help.
SUBCOMMANDS = (
    Subcommand(
        "map",
        "every entry point of the cluster: what is open, to whom, by which policy, and its blind spots",
        "Every entry point of the cluster: what is open, to whom, by which policy, and its blind spots.",
        "examples:\n  kubectl exposure map\n  kubectl exposure map -f manifests/ --config cluster.yaml -o json\n"
        "  kubectl exposure map -o html > entry-points.html\n",
        _map_options,
    ),
    Subcommand(
        "plan",
        "what the operator would write: a diff against what is live, or the NetworkPolicies themselves",
        "What the operator would write, in the order in which it would, from the code that it runs itself.",
        "examples:\n  kubectl exposure plan -n shop\n  kubectl exposure plan -f shop.yaml -o yaml\n"
        "  kubectl exposure plan --as-enforced          what leaving mode Audit would do\n",
        _plan_options,
    ),
    Subcommand(
        "explain",
        "every source, port and blind spot of one Service, Ingress or Gateway, with its reason and its cure",
        "Explains every entry point that leads to a Service, or that is an Ingress or a Gateway: who is admitted and "
        "why, by which row of the truth table and which documentation; and what no NetworkPolicy can hold back, with "
        "the cure.",
        "examples:\n  kubectl exposure explain shop/web\n  kubectl exposure explain web -n shop -f manifests/\n"
        "  kubectl exposure explain ingress/shop -o json\n",
        _explain_options,
    ),
    Subcommand(
        "verify",
        "real connections to every entry point and to the pods behind it: expected, and observed",
        "Connects to each entry point from where this command runs, and to the pods behind it from short-lived pods in "
        "the cluster. Compares what comes of it with the policies that should stand and with the truth table, and "
        "names the cause where the two differ. Sends nothing over TCP, and one empty datagram over UDP.",
        "examples:\n  kubectl exposure verify --dry-run\n  kubectl exposure verify shop/web --from outside\n"
        "  kubectl exposure verify -n shop -o junit > verify.xml\n\n"
        "exit status: 0 all as expected (what cannot be judged is no failure); 1 a mismatch; 2 wrong use\n",
        _verify_options,
    ),
    Subcommand(
        "flows",
        "flow logs compared with the policies: who connects, what is unused or dropped, and a policy that fits",
        "Reads flow logs (Hubble, Calico, AWS VPC, the kernel's packet log, conntrack). For every entry point, reports "
        "who connects, what is allowed and dropped, what is open and never used, what is dropped and perhaps wanted, "
        "and where the log and the policies disagree. -o yaml proposes the ExposurePolicy that would fit. It applies "
        "nothing.",
        "examples:\n  hubble observe --last 10000 -o json | kubectl exposure flows -\n"
        "  kubectl exposure flows vpc-logs/ -f manifests/ -o yaml > review-me.yaml\n"
        "  kubectl exposure flows --hubble localhost:4245 -n shop\n",
        _flows_options,
    ),
)


def _number(least: int, most: int = 10**9) -> Callable[[str], int]:
    def read(text: str) -> int:
        # isdigit() alone accepts "²", which int() does not.
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text} is no number from {least} to {most}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    number, unit = (text[:-2], 0.001) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        seconds = float(number) * unit
    except ValueError:
        raise ArgumentTypeError(f"{text} is no time such as 2s or 500ms") from None
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ArgumentTypeError(f"{text} is not between 1ms and {LONGEST_SECONDS:.0f}s")
    return seconds


def _address(text: str) -> str:
    if address(text) is None:
        raise ArgumentTypeError(f"{text} is no IP address")
    return text


def _places(text: str) -> tuple[Place, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PLACES:
            raise ArgumentTypeError(f"{name} is none of {', '.join(PLACES)}")
    return tuple(place for place in PLACES if place in names)


def _prefixes(text: str) -> dict[int, int]:
    """The prefix length by IP version."""
    parts = [part.strip().removeprefix("/") for part in text.split(",")]
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ArgumentTypeError("one or two prefix lengths, as 16,48")
    v4, v6 = int(parts[0]), int(parts[1]) if len(parts) == 2 else 48
    if v4 > 32 or v6 > 128:
        raise ArgumentTypeError("at most 32, and 128 for IPv6")
    return {4: v4, 6: v6}
