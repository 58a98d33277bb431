"""Where the demo runs: a cluster with the operator, and stand-ins for the components that it lacks."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.cluster.api import Api
from tests.cluster.control_plane import ControlPlane
from tests.cluster.operator_process import REPOSITORY, OperatorProcess
from tests.demo.calls import Answer, Call, Stream
from tests.demo.cloud import Cloud, PaperNetwork, create_nodes
from tests.demo.kubelets import Background, Kubelets


class Stage(Protocol):
    """All that the story needs of a cluster. `with` starts it, and removes it at the end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command line as a person would type it, from the repository's root; both outputs in one."""
        ...

    def install_operator(self) -> str:
        """Starts the operator whose manifests were applied; a sentence that says how."""
        ...

    def connect(self, calls: Sequence[Call]) -> Sequence[Answer]:
        """Makes several real connections for each call; an answer for each call, none where there are no packets."""
        ...

    def start_streams(self, calls: Sequence[Call]) -> None:
        """Makes these calls again and again, until `stop_streams`."""
        ...

    def stop_streams(self) -> Sequence[Stream]:
        """Ends what `start_streams` began; what became of each call, none where there are no packets."""
        ...

    def log_tail(self) -> str:
        """The end of the operator's log."""
        ...

    def next_commands(self) -> Sequence[str]:
        """Lines that a person types in another terminal to use this cluster."""
        ...


class EmbeddedStage:
    """etcd, API server and controllers on this machine. There is no kubelet, so no server listens."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._cluster = ControlPlane(root / "cluster")
        config = REPOSITORY / "manifests" / "base" / "config.yaml"
        self._operator = OperatorProcess(
            self._cluster, root / "operator", leader_elect=True, flags=("--config", str(config))
        )
        self._background: Background | None = None

    def __enter__(self) -> Self:
        self._cluster.start()
        try:
            api = Api(self._cluster)
            create_nodes(api)
            self._background = Background(Kubelets(api, PaperNetwork()).look, Cloud(api).look)
            self._background.start()
        except BaseException:
            self._cluster.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._operator.stop()
        if self._background:
            self._background.stop()
        self._cluster.stop()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return run(command, environment(self._cluster, self._root))

    def install_operator(self) -> str:
        self._operator.start()
        self._operator.wait_ready(60)
        return (
            "This cluster has no kubelets to run the Deployment, so the demo starts the same process here. It uses the "
            "token of its ServiceAccount, and has only the permissions that were just applied."
        )

    def connect(self, calls: Sequence[Call]) -> Sequence[Answer]:
        return ()

    def start_streams(self, calls: Sequence[Call]) -> None:
        pass  # no server answers here

    def stop_streams(self) -> Sequence[Stream]:
        return ()

    def log_tail(self) -> str:
        return self._operator.tail()

    def next_commands(self) -> Sequence[str]:
        return (*exports(environment(self._cluster, self._root)), "kubectl get exposures -A")


def run(command: str, environment: Mapping[str, str], prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A command line, after `prefix`, from the repository's root; both outputs in one."""
    return subprocess.run(
        [*prefix, *shlex.split(command)],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def environment(cluster: ControlPlane, root: Path) -> dict[str, str]:
    """Environment variables by which kubectl and `kubectl exposure` find the cluster."""
    return {
        "KUBECONFIG": str(cluster.kubeconfig),
        "KUBECACHEDIR": str(root / "kubectl-cache"),
        "PATH": os.pathsep.join([str(cluster.binaries), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COLUMNS": "160",
    }


def exports(environment: Mapping[str, str]) -> list[str]:
    """The same, as lines for a shell."""
    path = ":".join(environment["PATH"].split(":")[:2])
    return [
        f"export KUBECONFIG={shlex.quote(environment['KUBECONFIG'])}",
        f"export PATH={shlex.quote(path)}:$PATH   # kubectl of this version, and kubectl exposure",
    ]
