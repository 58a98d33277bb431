"""A small kubelet for a lab: takes Pods that a test did not make itself, and runs their command.

It takes Pods with given labels, as scheduler and kubelet in one: gives each a node, a network namespace
with addresses, runs the container's command there with this machine's Python, and reports phase, addresses and the
termination message. It ignores everything else about a Pod (image, limits, security context).
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster.processes import Part
from tests.lab.api import ApiError
from tests.lab.lab import Lab
from tests.lab.netns import Netns
from tests.lab.network import Node, PodHost

PACKAGE = Path(__file__).resolve().parents[2] / "operator"
PAUSE_SECONDS = 0.05
#: What Kubernetes keeps of a termination message.
MESSAGE_BYTES = 4096


@dataclass(slots=True)
class _Running:
    """A Pod that runs here. `host` None: it has its node's own network."""

    pod: dict[str, Any]
    node: Node
    host: PodHost | None
    part: Part
    message: Path
    reported: bool = False


class Kubelet:
    """`with` starts and stops it; `labels` are those of the Pods that it takes. `ran` holds every Pod that it took."""

    def __init__(self, lab: Lab, labels: Mapping[str, str]) -> None:
        self.lab = lab
        self.ran: list[dict[str, Any]] = []
        self.failure: BaseException | None = None
        self._labels = dict(labels)
        self._running: dict[str, _Running] = {}
        self._folder = Path(tempfile.mkdtemp(dir=lab.root, prefix="kubelet-"))
        self._stop = threading.Event()
        self._turning = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="lab-kubelet", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=20)
        for uid in list(self._running):
            self._end(uid)
        if self.failure is not None and error is None:
            raise self.failure

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """The kubelet does nothing inside the block."""
        with self._turning:
            yield

    def _work(self) -> None:
        try:
            while not self._stop.wait(PAUSE_SECONDS):
                with self._turning:
                    self._turn()
        except BaseException as error:
            self.failure = error

    def _turn(self) -> None:
        pods = {pod["metadata"]["uid"]: pod for pod in self.lab.api.list("Pod") if self._is_mine(pod)}
        for uid in list(self._running):
            if uid not in pods:
                self._end(uid)
        for uid, pod in pods.items():
            if "deletionTimestamp" in pod["metadata"]:
                self._end(uid)
                with suppress(ApiError):
                    self.lab.api.delete("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
            elif uid in self._running:
                self._look(self._running[uid])
            elif (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                with suppress(ApiError):  # it may have been deleted this moment
                    self._begin(uid, pod)

    def _is_mine(self, pod: Mapping[str, Any]) -> bool:
        labels = pod["metadata"].get("labels") or {}
        return all(labels.get(key) == value for key, value in self._labels.items())

    def _begin(self, uid: str, pod: dict[str, Any]) -> None:
        node = self.lab.nodes[self._bind(pod)]
        spec, metadata = pod["spec"], pod["metadata"]
        container = spec["containers"][0]
        name = f"{metadata['namespace']}/{metadata['name']}"
        host = None if spec.get("hostNetwork") else self.lab.network.add_pods([(name, node)])[0]
        addresses = node.addresses if host is None else host.addresses
        if host is not None:
            self.lab._link(f"pod-{addresses[0]}", host)
        # As with a CNI: the network exists before the containers start. The enforcer learns of the pod when it can.
        self._patch(pod, _status(node, addresses, "Running", {"running": {"startedAt": _now()}}, container))
        message = self._folder / uid
        part = Part(
            [*_netns(node, host).prefix, *_command(container, message)],
            log=self._folder / f"{uid}.log",
            env={
                **{variable["name"]: variable.get("value", "") for variable in container.get("env") or ()},
                "PYTHONPATH": str(PACKAGE),
            },
        )
        self._running[uid] = _Running(pod, node, host, part, message)
        self.ran.append(pod)

    def _bind(self, pod: Mapping[str, Any]) -> str:
        """The Pod's node: given, required by affinity, or else the one with the fewest of these Pods."""
        if given := pod["spec"].get("nodeName"):
            return str(given)
        occupied = [running.node.name for running in self._running.values()]
        chosen = _required_node(pod["spec"]) or min(self.lab.nodes, key=occupied.count)
        metadata = pod["metadata"]
        self.lab.api.call(
            "POST",
            f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding",
            {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": metadata["name"]},
                "target": {"apiVersion": "v1", "kind": "Node", "name": chosen},
            },
        )
        return chosen

    def _look(self, running: _Running) -> None:
        if running.reported or running.part.is_running():
            return
        code = running.part.wait(1.0)
        message = running.message if running.message.exists() else self._folder / f"{running.message.name}.log"
        text = message.read_text()[:MESSAGE_BYTES]
        state = {"terminated": {"exitCode": code, "message": text, "finishedAt": _now()}}
        addresses = running.node.addresses if running.host is None else running.host.addresses
        phase = "Succeeded" if code == 0 else "Failed"
        running.reported = True
        with suppress(ApiError):
            self._patch(
                running.pod, _status(running.node, addresses, phase, state, running.pod["spec"]["containers"][0])
            )

    def _end(self, uid: str) -> None:
        running = self._running.pop(uid, None)
        if running is None:
            return
        running.part.stop(kill=True)
        if running.host is not None:
            (self.lab.namespaces / f"pod-{running.host.addresses[0]}").unlink(missing_ok=True)
            self.lab.network.remove_pod(running.host)

    def _patch(self, pod: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        metadata = pod["metadata"]
        self.lab.api.call(
            "PATCH",
            f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status",
            {"status": status},
            "application/merge-patch+json",
        )


def _netns(node: Node, host: PodHost | None) -> Netns:
    return node.netns if host is None else host.netns


def _command(container: Mapping[str, Any], message: Path) -> list[str]:
    """The container's own command line, with this Python, and this file where its termination message goes."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    inside = container.get("terminationMessagePath", "/dev/termination-log")
    return [sys.executable if word == "python" else str(message) if word == inside else word for word in words]


def _required_node(spec: Mapping[str, Any]) -> str:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            return str(field["values"][0])
    return ""


def _status(
    node: Node, addresses: tuple[str, str], phase: str, state: Mapping[str, Any], container: Mapping[str, Any]
) -> dict[str, Any]:
    running = phase == "Running"
    return {
        "phase": phase,
        "hostIP": node.addresses[0],
        "hostIPs": [{"ip": address} for address in node.addresses],
        "podIP": addresses[0],
        "podIPs": [{"ip": address} for address in addresses],
        "conditions": [{"type": condition, "status": str(running)} for condition in ("Ready", "ContainersReady")],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": running,
                "restartCount": 0,
                "state": dict(state),
            }
        ],
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
