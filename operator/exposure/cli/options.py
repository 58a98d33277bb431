"""The command line: every subcommand with its options, and how the text of an option is read.

It is apart from the subcommands, so that --help does not wait for their imports.
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
    "what is open, to whom, why, and what no NetworkPolicy can restrict."
)
EPILOG = """\
examples:
  kubectl exposure map                             every entry point of the cluster
  kubectl exposure map -f manifests/ -o json       the same from files, without a cluster
  kubectl exposure plan -n shop                    what the operator would write, and in which order
  kubectl exposure plan -f shop.yaml -o yaml       the NetworkPolicies themselves
  kubectl exposure explain shop/web                every source, port and blind spot of one Service
  kubectl exposure verify -n shop                  real connections: expected and observed results
  kubectl exposure flows flows.json                who connected, who was dropped, what is open and never used

exit status: 0 success; 1 differences (plan --exit-code) or mismatches (verify); 2 incorrect usage or unreadable input
"""
#: How an object is named, for `explain` and `verify`.
OBJECT = "[NAMESPACE/]SERVICE"
OBJECT_FORMS = f"{OBJECT}, service/NAME, ingress/NAME, gateway/NAME or exposure/NAME"
LONGEST_SECONDS = 30.0


def parse(argv: Sequence[str]) -> Namespace:
    """The options, with their `subcommand`. As argparse does, exits for --help and for incorrect usage."""
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
        return argv  # The real parser reports what is wrong.
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
        "standard input. Can be repeated. Needs no cluster and no credentials",
    )
    add("--config", metavar="FILE", help="facts about the cluster that cannot be detected (YAML)")
    add(
        "-n",
        "--namespace",
        metavar="NAME",
        help="report on this namespace only; with -f, also the namespace of objects without one",
    )
    add("-A", "--all-namespaces", action="store_true", help="report on every namespace (the default)")
    add("--kubeconfig", metavar="FILE", help="as in kubectl")
    add("--context", metavar="NAME", help="as in kubectl")
    add(
        "--operator-namespace",
        metavar="NAME",
        default=Config().operator_namespace,
        help="where the operator and its configuration are (default: %(default)s)",
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
        "table (the default), json (a list of entry points), or html (one self-contained page with a picture)",
    )


def _plan_options(parser: ArgumentParser) -> None:
    _output(
        parser,
        ("diff", "yaml", "json"),
        "diff (the default): one line for each change, compared with the cluster (with -f: with the NetworkPolicies in "
        "the files); yaml: every NetworkPolicy of the operator that should exist afterwards; json: both",
    )
    _switch(parser, "--as-enforced", "plan as if every policy and namespace were in mode Enforce")
    _switch(parser, "--exit-code", "exit with status 1 if there is anything to write")


def _explain_options(parser: ArgumentParser) -> None:
    _option(parser, "name", OBJECT, f"what to explain: {OBJECT_FORMS}")
    _output(
        parser,
        ("text", "json"),
        "text (the default), or json (entry points as map -o json gives them, with their NetworkPolicies)",
    )
    _switch(parser, "--as-enforced", "explain as if every policy and namespace were in mode Enforce")


def _verify_options(parser: ArgumentParser) -> None:
    _option(parser, "name", OBJECT, f"only the entry points of these objects: {OBJECT_FORMS}", nargs="*")
    _option(
        parser,
        "--from",
        "PLACES",
        f"where to connect from: any of {','.join(PLACES)} (default: the first three; with -f: outside). outside is "
        "this machine, the others are short-lived pods. The node pod has hostNetwork, in kube-system",
        dest="places",
        type=_places,
    )
    _switch(parser, "--dry-run", "print the connections, but make none")
    _output(parser, ("table", "json", "junit"), "table (the default), json, or junit")
    _option(parser, "--timeout", "2s", "limit of one connection: 2s, 500ms (default: 2s)", type=_seconds, default=2.0)
    _option(parser, "--parallel", "N", "connections at once (default: %(default)s)", type=_number(1, 64), default=16)
    several = "connections to a target with several pods (default: %(default)s). Other targets get one"
    _option(parser, "--repeat", "N", several, type=_number(1, 9), default=4)
    translated = "the address with which this machine reaches the cluster, if NAT changes it"
    _option(parser, "--source", "ADDRESS", translated, type=_address)
    _option(parser, "--image", "IMAGE", "image of the probe pods (default: the image of the running operator)")
    other = "namespace of the other-namespace pod (default: the operator's namespace)"
    _option(parser, "--probe-namespace", "NAME", other, default="")
    _option(parser, "--node", "NAME", "node of the node pod (default: any node)", default="")


def _flows_options(parser: ArgumentParser) -> None:
    _option(parser, "log", "LOG", "a flow log, plain or .gz: a file, a folder, or - for standard input", nargs="*")
    formats = ("auto", "hubble", "calico", "aws-vpc", "netfilter", "conntrack")
    recognized = "format of the logs (default: recognized by their content)"
    parser.add_argument("--format", choices=formats, default="auto", help=recognized)
    _option(
        parser, "--hubble", "ADDRESS", "read a Hubble relay over gRPC, as localhost:4245 (needs grpcio and protobuf)"
    )
    _option(
        parser, "--hubble-ca", "FILE", "use TLS with the relay and trust this CA (default: no TLS, for a port-forward)"
    )
    _option(parser, "--last", "N", "flows to read from Hubble (default: %(default)s)", type=_number(1), default=10_000)
    proposals = "table (the default), json, or yaml: the proposed ExposurePolicies alone, for a person to review"
    _output(parser, ("table", "json", "yaml"), proposals)
    parser.add_argument(
        "--against",
        choices=("auto", "standing", "planned"),
        default="auto",
        help="judge by the NetworkPolicies that exist (standing), or by those that the plan would write (planned); "
        "default: standing, if there are any",
    )
    most = "rows for each entry point, most flows first (default: 20 in the table, 1000 in json)"
    _option(parser, "--top", "N", most, type=_number(1))
    _option(
        parser, "--max-cidrs", "N", "client ranges in a proposal (default: %(default)s)", type=_number(1), default=32
    )
    widest = "widest range in a proposal, as a prefix length (default: 16,48)"
    _option(parser, "--max-prefix", "V4[,V6]", widest, type=_prefixes, default={4: 16, 6: 48})
    _switch(parser, "--include-dropped", "also propose connections that were dropped and may be wanted")
    _option(parser, "--rows", "N", "rows kept in memory (default: %(default)s)", type=_number(16), default=50_000)


@dataclass(frozen=True, slots=True)
class Subcommand:
    """`name`: also the name of its module, which has the function `run`."""

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
        "Lists every entry point of the cluster: what is open, to whom, by which policy, and its blind spots.",
        "examples:\n  kubectl exposure map\n  kubectl exposure map -f manifests/ --config cluster.yaml -o json\n"
        "  kubectl exposure map -o html > entry-points.html\n",
        _map_options,
    ),
    Subcommand(
        "plan",
        "what the operator would write: a diff against what is live, or the NetworkPolicies themselves",
        "Shows what the operator would write, in its order, from the same code.",
        "examples:\n  kubectl exposure plan -n shop\n  kubectl exposure plan -f shop.yaml -o yaml\n"
        "  kubectl exposure plan --as-enforced          what Enforce would write\n",
        _plan_options,
    ),
    Subcommand(
        "explain",
        "every source, port and blind spot of one Service, Ingress or Gateway, with its reason and its cure",
        "Explains every entry point of a Service, Ingress or Gateway: who is admitted and why, with the row of the "
        "truth table and its documentation; and what no NetworkPolicy can restrict, with the cure.",
        "examples:\n  kubectl exposure explain shop/web\n  kubectl exposure explain web -n shop -f manifests/\n"
        "  kubectl exposure explain ingress/shop -o json\n",
        _explain_options,
    ),
    Subcommand(
        "verify",
        "real connections to every entry point and to the pods behind it: expected and observed results",
        "Connects to each entry point from where this command runs, and to the pods behind it from short-lived pods in "
        "the cluster. Compares the results with the planned policies and the truth table, and names the cause of each "
        "difference. Sends nothing over TCP, and one empty datagram over UDP.",
        "examples:\n  kubectl exposure verify --dry-run\n  kubectl exposure verify shop/web --from outside\n"
        "  kubectl exposure verify -n shop -o junit > verify.xml\n\n"
        "exit status: 0 no mismatch (checks that are not judged do not count); 1 a mismatch; 2 incorrect usage\n",
        _verify_options,
    ),
    Subcommand(
        "flows",
        "flow logs compared with the policies: who connects, what is unused or dropped, and a policy that fits",
        "Reads flow logs (Hubble, Calico, AWS VPC, the kernel's packet log, conntrack). For every entry point, reports "
        "who connects, what is allowed and dropped, what is open and never used, what was dropped and may be wanted, "
        "and where the log and the policies disagree. -o yaml proposes an ExposurePolicy that fits. It is not "
        "applied.",
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
            raise ArgumentTypeError(f"{text} is not a number from {least} to {most}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    number, unit = (text[:-2], 0.001) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        seconds = float(number) * unit
    except ValueError:
        raise ArgumentTypeError(f"{text} is not a time such as 2s or 500ms") from None
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ArgumentTypeError(f"{text} is not between 1ms and {LONGEST_SECONDS:.0f}s")
    return seconds


def _address(text: str) -> str:
    if address(text) is None:
        raise ArgumentTypeError(f"{text} is not an IP address")
    return text


def _places(text: str) -> tuple[Place, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PLACES:
            raise ArgumentTypeError(f"{name} is not one of {', '.join(PLACES)}")
    return tuple(place for place in PLACES if place in names)


def _prefixes(text: str) -> dict[int, int]:
    """The prefix length by IP version."""
    parts = [part.strip().removeprefix("/") for part in text.split(",")]
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ArgumentTypeError("use one or two prefix lengths, such as 16,48")
    v4, v6 = int(parts[0]), int(parts[1]) if len(parts) == 2 else 48
    if v4 > 32 or v6 > 128:
        raise ArgumentTypeError("a prefix length is at most 32 for IPv4 and 128 for IPv6")
    return {4: v4, 6: v6}
