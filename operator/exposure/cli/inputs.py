"""The options that every subcommand shares, and the world that they point at."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from dataclasses import dataclass, replace

from exposure.cli.command import Wrong
from exposure.cli.offline import read_config, read_snapshot
from exposure.model.config import Config
from exposure.model.objects import Service
from exposure.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Input:
    """What is known, and about which namespaces the person asked.

    `namespaces` are those to report on, sorted; `default_namespace` is where a bare name is looked up first; `live`
    says that a cluster answered, so that what it holds is what really stands.
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
        "standard input; may be repeated. No cluster and no credentials are needed",
    )
    group.add_argument("--config", metavar="FILE", help="facts about the cluster that cannot be detected (YAML)")
    group.add_argument(
        "-n",
        "--namespace",
        metavar="NAME",
        help="report on this namespace only; with -f, also that of objects which name none",
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
    """Reads files or asks a cluster, as the options say; `Wrong` where either cannot be read."""
    config = _with_home(read_config(arguments.config), arguments) if arguments.config else None
    if arguments.filename:
        if arguments.kubeconfig or arguments.context:
            raise Wrong("-f reads manifests and asks no cluster; leave out --kubeconfig and --context")
        snapshot = read_snapshot(arguments.filename, config or _with_home(Config(), arguments), arguments.namespace)
        default = arguments.namespace or "default"
        live = False
    else:
        from exposure.cli.live import Cluster

        cluster = Cluster(arguments.kubeconfig, arguments.context)
        snapshot = cluster.snapshot(config or cluster.config(arguments.operator_namespace))
        default = arguments.namespace or cluster.namespace
        live = True
    return Input(snapshot, tuple(_asked_for(arguments, snapshot, live)), default, live)


def _with_home(config: Config, arguments: Namespace) -> Config:
    return replace(config, operator_namespace=arguments.operator_namespace)


def _asked_for(arguments: Namespace, snapshot: Snapshot, live: bool) -> Iterable[str]:
    if arguments.namespace is None or arguments.all_namespaces:
        return sorted(snapshot.namespaces)
    if arguments.namespace not in snapshot.namespaces:
        raise Wrong(f"namespace {arguments.namespace} is not in the {'cluster' if live else 'files'}")
    return [arguments.namespace]


def find_service(given: Input, name: str) -> Service:
    """The Service that `[NAMESPACE/]NAME` means; `Wrong` where none does, or where it could mean several."""
    namespace, slash, bare = name.rpartition("/")
    if slash:
        found = given.snapshot.services.get(namespace, {}).get(bare)
        if found is None:
            raise Wrong(f"there is no Service {name}")
        return found
    here = given.snapshot.services.get(given.default_namespace, {}).get(bare)
    if here is not None:
        return here
    elsewhere = [each[bare] for _, each in sorted(given.snapshot.services.items()) if bare in each]
    match elsewhere:
        case [only]:
            return only
        case []:
            raise Wrong(f"there is no Service {bare}")
        case several:
            raise Wrong(
                f"several namespaces have a Service {bare}; write one of {', '.join(str(s.ref) for s in several)}"
            )
