"""Probe pods: short-lived, restricted, and gone afterwards.

A pod runs `exposure.verify.probe` and answers by its termination message, so that the verbs create, get and delete on
Pods are enough (and list, to remove what an earlier run left). A probe pod has no owner: its own deadline ends it, and
the next run removes it.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import quote

from exposure.verify.values import Outcome, ProbeOutcome

Object: TypeAlias = dict[str, Any]
#: (method, path, body) → HTTP status and parsed body.
Send: TypeAlias = Callable[[str, str, Object | None], tuple[int, Object]]

LABELS = {"app.kubernetes.io/name": "exposure-verify", "app.kubernetes.io/managed-by": "kubectl-exposure"}
SELECTOR = quote(",".join(f"{key}={value}" for key, value in LABELS.items()))
RESULT = "/dev/termination-log"
#: The letters of `exposure.verify.probe`, which has no import of its own.
OUTCOMES: Mapping[str, Outcome] = {"o": "open", "r": "refused", "u": "unreachable", "s": "silent", "n": "untried"}
#: As many as surely fit a termination message of 4096 bytes at the default number of repeats.
TARGETS_PER_POD = 400
#: The nodes learn about a new pod within this time.
GRACE_SECONDS = 3.0
START_SECONDS = 90.0
LEFT_OVER_SECONDS = 900.0
PAUSE_SECONDS = 0.2


class ProbeFailed(Exception):
    """A probe pod could not be created, did not start or gave no answer; the message says which."""


@dataclass(frozen=True, slots=True)
class Job:
    """One pod to run. `targets`: address, port, protocol, how many connections, what is expected ("o", "x" or "")."""

    namespace: str
    targets: Sequence[tuple[str, int, str, int, str]]
    host_network: bool = False
    node: str = ""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The pod's own addresses, what it observed at each target of its job in order, and the node that it ran on."""

    addresses: tuple[str, ...]
    observed: tuple[ProbeOutcome, ...]
    node: str


@dataclass
class ProbePods:
    """`run` one pod after the other; `close` deletes what is left, also after Ctrl-C."""

    send: Send
    image: str
    timeout: float
    parallel: int
    _open: set[tuple[str, str]] = field(default_factory=set)

    def run(self, job: Job) -> ProbeAnswer:
        """What the pod observed. ProbeFailed where it does not end in time."""
        name, path = f"exposure-verify-{secrets.token_hex(4)}", f"/api/v1/namespaces/{job.namespace}/pods"
        times = [target[3] for target in job.targets]
        rounds = sum(times) / self.parallel + max(times)
        seconds = START_SECONDS + 2 * GRACE_SECONDS + 2 * rounds * self.timeout
        self._open.add((job.namespace, name))
        status, body = self.send("POST", path, probe_pod(job, name, self.image, seconds, self.timeout, self.parallel))
        if status not in (200, 201):
            self._open.discard((job.namespace, name))
            reason = body.get("message") or f"the API server answers {status}"
            raise ProbeFailed(
                f"No probe pod can be created in namespace {job.namespace}: {reason}. You need the verb create "
                "on pods there."
            )
        try:
            return self._wait(job, f"{path}/{name}", time.monotonic() + seconds)
        finally:
            self._delete(job.namespace, name)

    def close(self) -> None:
        for namespace, name in sorted(self._open):
            self._delete(namespace, name)

    def sweep(self, namespaces: Sequence[str]) -> int:
        """Deletes probe pods that an earlier run left, and returns how many. Without the right to list pods, none."""
        removed = 0
        for namespace in namespaces:
            status, body = self.send("GET", f"/api/v1/namespaces/{namespace}/pods?labelSelector={SELECTOR}", None)
            for item in body.get("items") or () if status == 200 else ():
                if _age(item["metadata"].get("creationTimestamp", "")) > LEFT_OVER_SECONDS:
                    self._delete(namespace, item["metadata"]["name"])
                    removed += 1
        return removed

    def _wait(self, job: Job, path: str, until: float) -> ProbeAnswer:
        pod: Object = {}
        while time.monotonic() < until:
            status, pod = self.send("GET", path, None)
            if status == 404:
                raise ProbeFailed(
                    f"The probe pod in namespace {job.namespace} was deleted before it answered. Run the command again."
                )
            if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                return answer_of(job, pod)
            time.sleep(PAUSE_SECONDS)
        raise ProbeFailed(
            f"The probe pod in namespace {job.namespace} did not answer in time: {_state(pod)}. Check that it can be "
            "scheduled and that its node can pull its image."
        )

    def _delete(self, namespace: str, name: str) -> None:
        self.send("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", {"gracePeriodSeconds": 1})
        self._open.discard((namespace, name))


def probe_pod(
    job: Job,
    name: str,
    image: str,
    seconds: float,
    timeout: float,
    parallel: int,
    grace: float = GRACE_SECONDS,
    labels: Mapping[str, str] = LABELS,
) -> Object:
    """The Pod that connects to a job's targets. With hostNetwork it needs a namespace that Pod Security leaves free."""
    targets = {"timeout": timeout, "parallel": parallel, "grace": grace, "targets": job.targets}
    command = ["python", "-m", "exposure.verify.probe", "--result", RESULT]
    pod = restricted_pod(job.namespace, name, labels, image, command, seconds)
    spec = pod["spec"]
    spec["containers"][0]["env"] = [{"name": "TARGETS", "value": json.dumps(targets, separators=(",", ":"))}]
    if job.host_network:
        spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    if job.node:
        # By name, as a DaemonSet does it: a node's hostname label may say something else.
        by_name = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [job.node]}]}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": by_name}}
        spec["affinity"] = {"nodeAffinity": required}
    return pod


def restricted_pod(
    namespace: str, name: str, labels: Mapping[str, str], image: str, command: Sequence[str], seconds: float
) -> Object:
    """One container that runs `command` under Pod Security `restricted`. The kubelet ends it by its deadline."""
    container = {
        "name": "probe",
        "image": image,
        "command": list(command),
        "terminationMessagePath": RESULT,
        "terminationMessagePolicy": "File",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    user = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532}
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(seconds) + 30,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": user | {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def answer_of(job: Job, pod: Mapping[str, Any]) -> ProbeAnswer:
    """The answer of a pod that has ended; ProbeFailed where its termination message is none."""
    statuses = pod["status"].get("containerStatuses") or [{}]
    message = ((statuses[0].get("state") or {}).get("terminated") or {}).get("message") or ""
    own_addresses, semicolon, by_target = message.partition(";")
    words = by_target.split()
    if not semicolon or len(words) != len(job.targets):
        raise ProbeFailed(
            f"The probe pod in namespace {job.namespace} ended without an answer: {message.strip() or _state(pod)}. "
            "Use the operator's image."
        )
    addresses = tuple(address for address in own_addresses.split(",") if address)
    return ProbeAnswer(addresses, tuple(map(outcome, words)), (pod.get("spec") or {}).get("nodeName", ""))


def outcome(word: str) -> ProbeOutcome:
    """What `exposure.verify.probe` reports of one target, with a letter for each connection."""
    return ProbeOutcome(tuple(OUTCOMES.get(letter, "untried") for letter in word))


def _state(pod: Mapping[str, Any]) -> str:
    status = pod.get("status") or {}
    parts = [str(status.get("phase") or "no status"), str(status.get("message") or "")]
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        parts.append(" ".join(str(waiting[key]) for key in ("reason", "message") if key in waiting))
    conditions = status.get("conditions") or ()
    parts += [str(condition["message"]) for condition in conditions if condition.get("message")]
    return "; ".join(part for part in parts if part)


def _age(created: str) -> float:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    except ValueError:
        return 0.0
