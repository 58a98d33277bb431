"""The operator inside a lab: installed from its manifests, run with its own ServiceAccount's token, killed at will."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.cluster.faults import FaultyServer
from tests.cluster.operator_process import NAMESPACE, REPOSITORY, SERVICE_ACCOUNT
from tests.cluster.processes import Part
from tests.lab.lab import Lab

PACKAGE = REPOSITORY / "operator"
READY_SECONDS = 60.0
QUIET_SECONDS = 0.4
_PORT = 8080
_KINDS = ("NetworkPolicy", "Exposure")
_INTENTS = ("ExposurePolicy", "ClusterExposurePolicy")


class SlowServer:
    """The API server behind a proxy that holds back each write of a NetworkPolicy: states in between last longer."""

    def __init__(self, lab: Lab, seconds: float) -> None:
        self._lab, self._seconds = lab, seconds
        self._loop = asyncio.new_event_loop()
        self._proxy = FaultyServer(lab.cluster)
        self._thread = threading.Thread(target=self._run, name="lab-slow-server", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._proxy.__aenter__(), self._loop).result(timeout=10)
        self._proxy.delay(seconds, matching=r"^(PATCH|POST|PUT|DELETE) .*/networkpolicies")
        self.url = self._proxy.url

    def _run(self) -> None:
        # Sockets belong to the namespace in which their thread made them, so this thread stays inside.
        with self._lab.network.control_plane.netns.inside():
            self._loop.run_forever()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.__aexit__(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()


class Operator:
    """One operator in a lab. `with` installs it, starts it, waits until it is ready, and ends it.

    `network`  the `network` part of its configuration file, e.g. {"cni": "kube-router"}
    `package`  the folder that holds `exposure`: another than the repository's for a mistaken operator
    `slow`     seconds by which each write of a NetworkPolicy is held back; 0: not at all
    """

    def __init__(
        self, lab: Lab, *, network: Mapping[str, Any] | None = None, package: Path = PACKAGE, slow: float = 0.0
    ) -> None:
        self.lab = lab
        self.kills = 0
        self._package, self._slow = package, slow
        self._slow_server: SlowServer | None = None
        self._folder = lab.root / "operator"
        self._folder.mkdir(exist_ok=True)
        self._config = self._folder / "config.yaml"
        self._config.write_text(yaml.safe_dump({"network": dict(network or {})}))
        self._kubeconfig = self._folder / "kubeconfig"
        self._part: Part | None = None

    def __enter__(self) -> Self:
        self.install()
        if self._slow:
            self._slow_server = SlowServer(self.lab, self._slow)
        token = self.lab.cluster.service_account_token(NAMESPACE, SERVICE_ACCOUNT)
        server = self._slow_server.url if self._slow_server else None
        self.lab.cluster.write_kubeconfig(self._kubeconfig, token, server=server)
        self.start()
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._slow_server:
            self._slow_server.close()

    def install(self) -> None:
        """Applies the manifests, once in a lab. No kubelet runs the Deployment: `start` starts its process."""
        done = self._folder / "installed"
        if done.exists():
            return
        kubectl = self.lab.cluster.kubectl
        kubectl("apply", "--server-side", "-k", str(REPOSITORY / "manifests" / "base"))
        kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(REPOSITORY / "crds"))
        done.touch()

    def start(self) -> None:
        """Start the process; `wait_ready` waits for it."""
        self._part = Part(
            [
                *self.lab.network.control_plane.netns.prefix,
                *(sys.executable, "-m", "exposure"),
                *("--kubeconfig", str(self._kubeconfig)),
                *("--config", str(self._config)),
                *("--namespace", NAMESPACE),
                *("--listen", f"127.0.0.1:{_PORT}"),
                "--no-leader-elect",
            ],
            log=self.log,
            env={"PYTHONPATH": str(self._package), "PYTHONUNBUFFERED": "1"},
        )

    def kill(self) -> None:
        """SIGKILL, as a crash would; nothing happens where it does not run."""
        if self._part:
            part, self._part = self._part, None
            part.signal(signal.SIGKILL)
            part.stop(kill=True)

    def crash(self) -> None:
        """SIGKILL, and a new process at once, which is not waited for."""
        self.kill()
        self.kills += 1
        self.start()

    @property
    def log(self) -> Path:
        return self._folder / "operator.log"

    def wait_ready(self) -> None:
        """Everything has been read once; RuntimeError with the end of the log after `READY_SECONDS`."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline or (self._part and not self._part.is_running()):
                raise RuntimeError(f"the operator is not ready:\n{self.tail()}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with (
                self.lab.network.control_plane.netns.inside(),
                opener.open(f"http://127.0.0.1:{_PORT}/readyz", timeout=5) as answer,
            ):
                return bool(answer.status == 200)
        except OSError:
            return False

    def wait_quiet(self, quiet: float = QUIET_SECONDS, seconds: float = 60.0) -> None:
        """Until what it writes has not changed for `quiet` seconds, and the status of every policy is of its spec."""
        self.wait_ready()
        deadline = time.monotonic() + seconds
        before: object = None
        since = time.monotonic()
        while True:
            written = {kind: self.lab.api.list(kind) for kind in (*_KINDS, *_INTENTS)}
            now = [item["metadata"]["resourceVersion"] for objects in written.values() for item in objects]
            unsettled = [policy for kind in _INTENTS for policy in written[kind] if not _has_settled(policy)]
            if now != before or unsettled:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > quiet:
                break
            if time.monotonic() > deadline:
                waiting = [f"{policy['metadata']['name']}: {policy.get('status')}" for policy in unsettled]
                raise TimeoutError(f"the operator has not settled after {seconds:.0f} s: {waiting}\n{self.tail()}")
            time.sleep(0.05)
        self.lab.settle()

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])


def _has_settled(intent: Mapping[str, Any]) -> bool:
    """Whether a policy's status is of its present spec."""
    return bool((intent.get("status") or {}).get("observedGeneration") == intent["metadata"].get("generation"))
