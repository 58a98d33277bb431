"""The operator as it runs in a cluster: a process of its own, with its ServiceAccount's token and no other right."""

import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import Part, Port

REPOSITORY = Path(__file__).parents[2]
NAMESPACE = "exposure-system"
SERVICE_ACCOUNT = "exposure-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
#: The files of the base that give the rights. No kubelet here could run the Deployment.
RIGHTS = ("namespace.yaml", "service-account.yaml", "rbac.yaml")

T = TypeVar("T")


def install_rights(cluster: ControlPlane) -> None:
    """Namespace, ServiceAccount and roles, from the manifests that people install."""
    for name in RIGHTS:
        # Objects of the base carry their namespace by kustomization, so it is named here.
        path = REPOSITORY / "manifests" / "base" / name
        cluster.kubectl("apply", "--server-side", "--namespace", NAMESPACE, "-f", str(path))


class OperatorProcess:
    """`start` and `stop`, or a `with` block, which waits until the operator is ready.

    `root`    folder for kubeconfig and log, one per operator process
    `server`  URL of a proxy before the API server; None: the API server itself
    `flags`   added to the command line
    """

    def __init__(
        self,
        cluster: ControlPlane,
        root: Path,
        *,
        server: str | None = None,
        leader_elect: bool = False,
        flags: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.log = root / "operator.log"
        self._cluster = cluster
        self._kubeconfig = root / "operator.kubeconfig"
        self._server = server
        self._port = Port()
        self._environment = {"PYTHONPATH": str(REPOSITORY / "operator"), "PYTHONUNBUFFERED": "1", **(environment or {})}
        elect = "--leader-elect" if leader_elect else "--no-leader-elect"
        self._argv = [
            sys.executable,
            *("-m", "exposure"),
            *("--kubeconfig", str(self._kubeconfig)),
            *("--namespace", NAMESPACE),
            *("--listen", f"127.0.0.1:{self._port.number}"),
            elect,
            *flags,
        ]
        self._part: Part | None = None

    def __enter__(self) -> Self:
        self.start()
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._port.release()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port.number}"

    @property
    def running(self) -> bool:
        return self._part is not None and self._part.is_running()

    def start(self) -> None:
        install_rights(self._cluster)
        token = self._cluster.service_account_token(NAMESPACE, SERVICE_ACCOUNT)
        self._cluster.write_kubeconfig(self._kubeconfig, token, server=self._server)
        self._part = Part(self._argv, log=self.log, env=self._environment, grace=12.0)

    def wait_ready(self, seconds: float = 30.0) -> None:
        def ready() -> bool:
            if not self.running:
                assert self._part
                raise RuntimeError(f"the operator ended:\n{self._part.last_lines()}")
            return self.page("/readyz")[0] == 200

        eventually(ready, seconds, "the operator is ready", self.tail)

    def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit status and how many seconds it took. (0, 0.0) if it was not running."""
        if not self._part:
            return 0, 0.0
        part, self._part = self._part, None
        began = time.monotonic()
        part.signal(signal.SIGTERM)
        try:
            return part.wait(12), time.monotonic() - began
        finally:
            part.stop(kill=True)

    def exit_status(self) -> int:
        """Of a process that has ended; subprocess.TimeoutExpired if it still runs."""
        assert self._part
        return self._part.wait(1.0)

    def kill(self) -> None:
        """SIGKILL, as a crash or a full node would."""
        if self._part:
            part, self._part = self._part, None
            part.stop(kill=True)

    def signal(self, number: signal.Signals) -> None:
        assert self._part
        self._part.signal(number)

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of one of the operator's own pages; (0, reason) where nothing answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, name: str, **labels: str) -> float:
        """One sample of /metrics; 0.0 if it is not there."""
        wanted = "{" + ",".join(f'{key}="{value}"' for key, value in sorted(labels.items())) + "}" if labels else ""
        for line in self.page("/metrics")[1].splitlines():
            if line.startswith(f"{name}{wanted} "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    @property
    def pid(self) -> int:
        """Process id of the operator itself, not of its leash."""
        assert self._part
        children = Path(f"/proc/{self._part.pid}/task/{self._part.pid}/children").read_text().split()
        return int(children[0])

    def catches(self, number: int) -> bool:
        """Whether the operator has a handler for a signal (`SigCgt` in proc(5)); False before it has started."""
        try:
            process = Path(f"/proc/{self.pid}")
            if b"exposure" not in (process / "cmdline").read_bytes():
                return False
            fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        except (IndexError, OSError):
            return False
        return bool(int(fields["SigCgt"], 16) >> (number - 1) & 1)

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])


def eventually(
    check: Callable[[], T], seconds: float, what: str, more: Callable[[], str] = str, pause: float = 0.05
) -> T:
    """The first true answer of `check` within `seconds`; AssertionError with `what` where there is none."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last answer: {answer!r}\n{more()}")
        time.sleep(pause)
