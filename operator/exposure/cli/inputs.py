"""The options that every subcommand shares, and the snapshot that they ask for."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace

from exposure.cli.command import UsageError
from exposure.cli.offline import read_config, read_snapshot
from exposure.model.config import Config
from exposure.model.snapshot import Snapshot

FILES_OR_CLUSTER = "-f reads manifests and asks no cluster. Leave out --kubeconfig and --context."
NO_SUCH_NAMESPACE = "There is no namespace {name} in the {place}. Known there: {known}."
NOT_IN_RANGE = "{text} is no number from {least} to {most}"
#: So many names are enough to find the mistake.
LISTED = 10


@dataclass(frozen=True, slots=True)
class Input:
    """What was read, and which namespaces to report on.

    `namespaces`: to report on, sorted. `default_namespace`: where a name without a namespace is looked up first.
    `live`: a cluster answered, so its NetworkPolicies are those that stand.
    """

    snapshot: Snapshot
    namespaces: tuple[str, ...]
    default_namespace: str
    live: bool


def add_input_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("where to look")
    group.add_argument(
        "-f",
        "--filename",
        action="append",
        metavar="FILE",
        help="read manifests instead of a cluster: a file, a folder (*.yaml, *.yml and *.json below it), or - for "
        "standard input; may be repeated. Needs no cluster and no credentials",
    )
    group.add_argument("--config", metavar="FILE", help="facts about the cluster that cannot be detected (YAML)")
    group.add_argument(
        "-n",
        "--namespace",
        metavar="NAME",
        help="report on this namespace only; with -f, also the namespace of objects that name none",
    )
    group.add_argument("-A", "--all-namespaces", action="store_true", help="report on every namespace (the default)")
    group.add_argument("--kubeconfig", metavar="FILE", help="as in kubectl")
    group.add_argument("--context", metavar="NAME", help="as in kubectl")
    group.add_argument(
        "--operator-namespace",
        metavar="NAME",
        default=Config().operator_namespace,
        help="where the operator runs and keeps its configuration (%(default)s)",
    )


def gather(arguments: Namespace) -> Input:
    """Reads the files, or asks the cluster, that the options name. UsageError where that fails."""
    config = None
    if arguments.config:
        config = replace(read_config(arguments.config), operator_namespace=arguments.operator_namespace)
    if arguments.filename:
        if arguments.kubeconfig or arguments.context:
            raise UsageError(FILES_OR_CLUSTER)
        config = config or Config(operator_namespace=arguments.operator_namespace)
        snapshot = read_snapshot(arguments.filename, config, arguments.namespace)
        default, live = arguments.namespace or "default", False
    else:
        from exposure.cli.live import Cluster

        cluster = Cluster(arguments.kubeconfig, arguments.context)
        snapshot = cluster.snapshot(config or cluster.config(arguments.operator_namespace))
        default, live = arguments.namespace or cluster.namespace, True
    return Input(snapshot, _namespaces(arguments, snapshot, live), default, live)


def _namespaces(arguments: Namespace, snapshot: Snapshot, live: bool) -> tuple[str, ...]:
    every = tuple(sorted(snapshot.namespaces))
    if arguments.namespace is None or arguments.all_namespaces:
        return every
    if arguments.namespace not in every:
        place = "cluster" if live else "files"
        known = ", ".join(every[:LISTED]) + (", …" if len(every) > LISTED else "")
        raise UsageError(NO_SUCH_NAMESPACE.format(name=arguments.namespace, place=place, known=known or "none"))
    return (arguments.namespace,)


def number(least: int, most: int = 10**9) -> Callable[[str], int]:
    """What argparse reads a number with."""

    def parse(text: str) -> int:
        # isdigit() alone accepts "²", which int() does not.
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ArgumentTypeError(NOT_IN_RANGE.format(text=text, least=least, most=most))
        return int(text)

    return parse
