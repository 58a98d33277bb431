"""The snapshot that the options ask for, and where a subcommand is to look in it."""

from argparse import Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exposure.cli.command import UsageError
from exposure.cli.offline import read_config, read_snapshot
from exposure.model.config import Config
from exposure.model.snapshot import Snapshot

if TYPE_CHECKING:
    from exposure.cli.live import Cluster

#: So many names are enough to find the mistake.
LISTED = 10


@dataclass(frozen=True, slots=True)
class Input:
    """What was read, and which namespaces to report on.

    `namespaces`: to report on, sorted. `default_namespace`: where a name without a namespace is looked up first.
    `cluster`: what answered, so that its NetworkPolicies are those that stand; None where files were read.
    """

    snapshot: Snapshot
    namespaces: tuple[str, ...]
    default_namespace: str
    cluster: "Cluster | None" = None


def gather(arguments: Namespace) -> Input:
    """Reads the files, or asks the cluster, that the options name. UsageError where that fails."""
    config = read_config(arguments.config, arguments.operator_namespace) if arguments.config else None
    if arguments.filename:
        if arguments.kubeconfig or arguments.context:
            raise UsageError("-f reads manifests, not a cluster. Remove --kubeconfig and --context.")
        config = config or Config(operator_namespace=arguments.operator_namespace)
        snapshot = read_snapshot(arguments.filename, config, arguments.namespace)
        return Input(snapshot, _namespaces(arguments, snapshot, "files"), arguments.namespace or "default")
    # The client library takes most of a second to import, which reading files need not wait for.
    from exposure.cli.live import Cluster

    cluster = Cluster(arguments.kubeconfig, arguments.context)
    snapshot = cluster.snapshot(config or cluster.config(arguments.operator_namespace))
    namespaces = _namespaces(arguments, snapshot, "cluster")
    return Input(snapshot, namespaces, arguments.namespace or cluster.namespace, cluster)


def _namespaces(arguments: Namespace, snapshot: Snapshot, place: str) -> tuple[str, ...]:
    every = tuple(sorted(snapshot.namespaces))
    if arguments.namespace is None or arguments.all_namespaces:
        return every
    if arguments.namespace not in every:
        known = ", ".join(every[:LISTED]) + (", …" if len(every) > LISTED else "")
        raise UsageError(f"Namespace {arguments.namespace} is not in the {place}. Namespaces: {known or 'none'}.")
    return (arguments.namespace,)
