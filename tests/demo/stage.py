"""Where the story is played: a cluster with the operator in it, and whoever plays the parts that it lacks."""

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
    """What the story asks of a cluster, and all that it knows of it. `with` brings it up, and takes it away."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command line as a person would type it, from the repository's root; both outputs in one."""
        ...

    def install_operator(self) -> str:
        """Starts the operator that has been applied; returns a sentence that says how."""
        ...

    def ask(self, calls: Sequence[Call]) -> Sequence[Answer]:
        """Real connections, several for each call, one answer for each; none where there are no packets to send."""
        ...

    def keep_asking(self, calls: Sequence[Call]) -> None:
        """Makes these calls again and again from now on, until `asked`."""
        ...

    def asked(self) -> Sequence[Stream]:
        """Ends what `keep_asking` began, and says what came of it; none where there are no packets to send."""
        ...

    def last_words(self) -> str:
        """The end of the operator's log."""
        ...

    def how_to_go_on(self) -> Sequence[str]:
        """Lines for another terminal, by which a person goes on with this cluster."""
        ...


class EmbeddedStage:
    """etcd, API server and controllers on this machine; no kubelet, so that nothing listens and no packet flows."""

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
            "The Deployment waits for kubelets that this cluster does not have, so the very same process is started "
            "here: with the token of its ServiceAccount, and no right beyond those that were just applied."
        )

    def ask(self, calls: Sequence[Call]) -> Sequence[Answer]:
        return ()

    def keep_asking(self, calls: Sequence[Call]) -> None:
        pass  # nobody would answer

    def asked(self) -> Sequence[Stream]:
        return ()

    def last_words(self) -> str:
        return self._operator.tail()

    def how_to_go_on(self) -> Sequence[str]:
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
    """What finds a cluster: a kubectl of its version, `kubectl exposure`, and credentials."""
    return {
        "KUBECONFIG": str(cluster.kubeconfig),
        "KUBECACHEDIR": str(root / "kubectl-cache"),
        "PATH": os.pathsep.join([str(cluster.binaries), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COLUMNS": "160",
    }


def exports(environment: Mapping[str, str]) -> list[str]:
    """The same for a person's shell."""
    path = ":".join(environment["PATH"].split(":")[:2])
    return [
        f"export KUBECONFIG={shlex.quote(environment['KUBECONFIG'])}",
        f"export PATH={shlex.quote(path)}:$PATH   # kubectl of this version, and kubectl exposure",
    ]
