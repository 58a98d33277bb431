"""Where the story is played: a cluster with the operator in it, and whoever plays the parts that it lacks."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.cluster.control_plane import ControlPlane
from tests.cluster.operator_process import REPOSITORY, OperatorProcess
from tests.demo.cloud import Cloud


class Stage(Protocol):
    """What the story asks of a cluster, and all that it knows of it."""

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command line as a person would type it, from the repository's root; both outputs in one."""
        ...

    def install_operator(self) -> str:
        """Starts the operator that has been applied; returns a sentence that says how."""
        ...

    def requests(self) -> str:
        """Who gets through which door at this moment, by real requests; "" where there are no packets to send."""
        ...


class EmbeddedStage:
    """etcd, API server and controllers on this machine; no kubelet, so that nothing listens and no packet flows."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.cluster = ControlPlane(root / "cluster")
        self.operator = OperatorProcess(self.cluster, root / "operator", leader_elect=True, flags=self._flags())
        self._cloud = Cloud(self.cluster)

    def __enter__(self) -> Self:
        self.cluster.start()
        try:
            self._cloud.start()
        except BaseException:
            self.cluster.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.operator.stop()
        self._cloud.stop()
        self.cluster.stop()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            shlex.split(command),
            cwd=REPOSITORY,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    def install_operator(self) -> str:
        self.operator.start()
        self.operator.wait_ready(60)
        return (
            "The Deployment waits for kubelets that this cluster does not have, so the very same process is started "
            "here: with the token of its ServiceAccount, and no right beyond those that were just applied."
        )

    def requests(self) -> str:
        return ""

    @property
    def environment(self) -> dict[str, str]:
        """What finds this cluster: a kubectl of its version, `kubectl exposure`, and credentials."""
        return {
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "KUBECACHEDIR": str(self._root / "kubectl-cache"),
            "PATH": os.pathsep.join([str(self.cluster.binaries), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "COLUMNS": "160",
        }

    @staticmethod
    def _flags() -> tuple[str, ...]:
        return ("--config", str(REPOSITORY / "manifests" / "base" / "config.yaml"))
