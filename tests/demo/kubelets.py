"""Scheduler and kubelets in one: every Pod that a controller makes gets a node, addresses and a status."""

import http.client
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.lab.api import ApiError

Object = dict[str, Any]

LOOK_SECONDS = 0.1
#: The demo starts the operator's process itself, so its Deployment is not run.
_NOT_RUN = "exposure-system"
_MERGE = "application/merge-patch+json"


class Server(Protocol):
    """An API server, called as its administrator."""

    def call(self, method: str, path: str, body: Any = None, content: str = ..., /) -> Any: ...


class PodNetwork(Protocol):
    """Gives Pods their addresses."""

    @property
    def nodes(self) -> Mapping[str, Sequence[str]]:
        """The addresses of each node."""
        ...

    def join(self, pod: Object, node: str) -> Sequence[str]:
        """A new Pod's addresses; its servers run when this returns."""
        ...

    def leave(self, pod: Object) -> None: ...

    def settle(self) -> None:
        """Returns once every Pod with an address is protected. Until then no Pod is reported as ready."""
        ...


class Background:
    """A thread that looks every tenth of a second, and does the work of the real components."""

    def __init__(self, *looks: Callable[[], None]) -> None:
        self._looks = looks
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="demo-background", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _work(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            for look in self._looks:
                try:
                    look()
                except (OSError, ApiError, http.client.HTTPException):
                    continue  # it changed meanwhile, or the cluster is being stopped: the next look reads it


@dataclass(slots=True)
class _Running:
    pod: Object
    node: str
    addresses: Sequence[str]
    ready: bool = False


class Kubelets:
    """`look` takes the Pods that have no node yet, spreads each app over the nodes, and removes deleted ones."""

    def __init__(self, server: Server, network: PodNetwork) -> None:
        self._server, self._network = server, network
        self._running: dict[str, _Running] = {}

    def look(self) -> None:
        for pod in self._server.call("GET", "/api/v1/pods")["items"]:
            head = pod["metadata"]
            if "deletionTimestamp" in head:
                if self._running.pop(head["uid"], None):
                    self._network.leave(pod)
                self._server.call("DELETE", f"{_path(pod)}?gracePeriodSeconds=0")
            elif head["namespace"] != _NOT_RUN and "nodeName" not in pod["spec"]:
                self._run(pod)
        fresh = [running for running in self._running.values() if not running.ready]
        for running in fresh:
            self._report(running, ready=False)
        if fresh:
            self._network.settle()
        for running in fresh:
            self._report(running, ready=True)
            running.ready = True

    def _run(self, pod: Object) -> None:
        app = _app(pod)
        occupied = [running.node for running in self._running.values() if _app(running.pod) == app]
        node = min(self._network.nodes, key=occupied.count)
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        head = {"name": pod["metadata"]["name"]}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": head, "target": target}
        self._server.call("POST", f"{_path(pod)}/binding", binding)
        self._running[pod["metadata"]["uid"]] = _Running(pod, node, self._network.join(pod, node))

    def _report(self, running: _Running, *, ready: bool) -> None:
        hosts = self._network.nodes[running.node]
        containers = [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": ready,
                "restartCount": 0,
                "state": {"running": {}},
            }
            for container in running.pod["spec"]["containers"]
        ]
        status = {
            "phase": "Running",
            "podIP": running.addresses[0],
            "podIPs": [{"ip": address} for address in running.addresses],
            "hostIP": hosts[0],
            "hostIPs": [{"ip": address} for address in hosts],
            "conditions": [{"type": condition, "status": str(ready)} for condition in ("Ready", "ContainersReady")],
            "containerStatuses": containers,
        }
        self._server.call("PATCH", f"{_path(running.pod)}/status", {"status": status}, _MERGE)


def _app(pod: Object) -> tuple[str, str]:
    head = pod["metadata"]
    return head["namespace"], head.get("labels", {}).get("app", "")


def _path(pod: Object) -> str:
    head = pod["metadata"]
    return f"/api/v1/namespaces/{head['namespace']}/pods/{head['name']}"
