"""The canary: a proof, by connections of the operator's own pods, that this CNI enforces NetworkPolicies at all.

One round, in the operator's own namespace: a server pod, and a client that must reach it; a policy that closes the
server, and a client that must not reach it; no policy again, and a client that must. Only the whole sequence proves
anything: a refused connection alone might mean a server that never listened. A round deletes what it made. What a crash
leaves behind, the next round deletes first. The policy selects the server pod alone.
"""

import asyncio
import contextlib
import datetime
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from exposure.controller.client import Client, Object
from exposure.controller.errors import ApiError, Conflict, NotFound
from exposure.controller.events import EventRecorder, ObjectReference
from exposure.controller.logs import fields
from exposure.controller.metrics import Metrics
from exposure.controller.writer import NotLeading, Writer
from exposure.model.config import Config
from exposure.render.status import condition
from exposure.verify.pods import Job, ProbeFailed, answer_of, probe_pod, restricted_pod

#: The label of everything that a round makes, and how its name begins.
NAME = "exposure-canary"
COLLECTIONS = {
    "pods": "/api/v1/namespaces/{}/pods",
    "networkpolicies": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
}
PORT = 8080
START_SECONDS = 60.0
#: How long the CNI may take to carry out a change, before it counts as not enforcing.
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.5
ROUND_SECONDS = 5 * START_SECONDS
#: How old a proof may become before its time is renewed. A renewal writes every Exposure once.
RENEW_SECONDS = 3600.0
LEADING_SECONDS = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a round proved. `enforced` None: nothing. `at`: RFC 3339. `monotonic`: the same moment, in seconds."""

    enforced: bool | None
    evidence: str
    at: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    monotonic: float = field(default_factory=time.monotonic)

    def as_condition(self) -> dict[str, Any]:
        """The condition Verified of every Exposure, without its time of transition."""
        reason = {True: "Enforced", False: "NotEnforced", None: "Unproven"}[self.enforced]
        return condition("Verified", self.enforced, reason, f"{self.evidence} ({self.at})")


@dataclass(frozen=True, slots=True)
class MadeObject:
    """Something that a round made, or that an earlier one left."""

    resource: str
    path: str
    uid: str


@dataclass
class Canary:
    """`run` goes on until it is cancelled, and acts while `may_run`. `on_change` is called when the proof changes."""

    client: Client
    writer: Writer
    events: EventRecorder
    metrics: Metrics
    config: Config
    may_run: Callable[[], bool]
    on_change: Callable[[], None]
    proof: Proof | None = None
    _made: list[MadeObject] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.config.canary.namespace or self.config.operator_namespace

    def condition(self) -> Object | None:
        """The condition of every Exposure. None as long as no round has ended."""
        return self.proof.as_condition() if self.proof is not None else None

    async def run(self) -> None:
        while True:
            if not self.may_run():
                await asyncio.sleep(LEADING_SECONDS)
                continue
            # NotLeading: the lease went to another process meanwhile, which has to prove it itself.
            with contextlib.suppress(NotLeading):
                self._record(await self._prove())
            await asyncio.sleep(self.config.canary.interval_seconds)

    async def _prove(self) -> Proof:
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                return await self._round()
        except (ApiError, ProbeFailed, TimeoutError) as error:
            return Proof(None, f"The canary could not run: {error or type(error).__name__}")
        finally:
            await self._clean_up()

    async def _round(self) -> Proof:
        await self._sweep()
        server = await self._start_server()
        if await self._connect(server, "o") != "open":
            return Proof(None, "The canary's client cannot reach its server even without a policy: nothing is proven.")
        policy = await self._close_server()
        if await self._connect(server, "x") == "open":
            evidence = (
                "A connection succeeded to a pod that a NetworkPolicy closes: "
                "the CNI of this cluster does not enforce NetworkPolicies."
            )
            return Proof(False, evidence)
        await self._delete(policy)
        if await self._connect(server, "o") != "open":
            return Proof(None, "The canary's server stopped answering: the refused connection before proves nothing.")
        evidence = (
            "A connection succeeded without a policy, failed under one that denies, and succeeded again afterwards."
        )
        return Proof(True, evidence)

    async def _sweep(self) -> None:
        """Deletes what an earlier round left behind, when its process was killed."""
        for resource, collection in COLLECTIONS.items():
            path = collection.format(self.namespace)
            left = await self.client.get(path, {"labelSelector": f"app.kubernetes.io/name={NAME}"})
            for raw in left.get("items") or ():
                metadata = raw["metadata"]
                if metadata["name"].startswith(NAME):
                    await self._delete(MadeObject(resource, f"{path}/{metadata['name']}", metadata["uid"]))

    async def _start_server(self) -> str:
        """The server pod's address, once it runs. Whether it listens already, the clients' retries show."""
        command = ["python", "-m", "exposure.verify.listen", str(PORT)]
        image = self.config.canary.image
        pod = restricted_pod(self.namespace, _name("server"), _labels("server"), image, command, ROUND_SECONDS)
        made = await self._make("pods", pod)
        running = await self._until(made, lambda status: status.get("phase") == "Running" and bool(status.get("podIP")))
        return str(running["status"]["podIP"])

    async def _connect(self, server: str, want: str) -> str:
        """The outcome of a client pod's connection. It is tried again for a while where it is not what is wanted."""
        job = Job(self.namespace, [(server, PORT, "TCP", 1, want)])
        image, labels = self.config.canary.image, _labels("client")
        pod = probe_pod(job, _name("client"), image, START_SECONDS, 1.0, 1, GRACE_SECONDS, labels)
        made = await self._make("pods", pod)
        ended = await self._until(made, lambda status: status.get("phase") in ("Succeeded", "Failed"))
        await self._delete(made)
        return answer_of(job, ended).observed[0].outcomes[0]

    async def _close_server(self) -> MadeObject:
        body: Object = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": _name("policy"), "namespace": self.namespace, "labels": _labels("policy")},
            "spec": {"podSelector": {"matchLabels": _labels("server")}, "policyTypes": ["Ingress"], "ingress": []},
        }
        return await self._make("networkpolicies", body)

    async def _make(self, resource: str, body: Object) -> MadeObject:
        path = COLLECTIONS[resource].format(self.namespace)
        metadata = (await self.writer.create(resource, path, body))["metadata"]
        made = MadeObject(resource, f"{path}/{metadata['name']}", metadata["uid"])
        self._made.append(made)
        return made

    async def _until(self, pod: MadeObject, reached: Callable[[Object], bool]) -> Object:
        """The pod, once its status is as wanted."""
        async with asyncio.timeout(START_SECONDS + GRACE_SECONDS):
            while True:
                live = await self.client.get(pod.path)
                if reached(live.get("status") or {}):
                    return live
                await asyncio.sleep(POLL_SECONDS)

    async def _delete(self, made: MadeObject) -> None:
        with contextlib.suppress(NotFound, Conflict):
            await self.writer.delete(made.resource, made.path, made.uid)
        self._made = [other for other in self._made if other != made]

    async def _clean_up(self) -> None:
        for made in list(self._made):
            # What cannot be deleted now, the next round sweeps.
            with contextlib.suppress(ApiError, NotLeading):
                await self._delete(made)
        self._made.clear()

    def _record(self, proof: Proof) -> None:
        before = self.proof
        self.metrics.canary_enforced.set({True: 1.0, False: 0.0, None: float("nan")}[proof.enforced])
        self.metrics.canary_last_run.set_to_current_time()
        changed = before is None or before.enforced != proof.enforced
        if before is not None and not changed and proof.monotonic - before.monotonic < RENEW_SECONDS:
            return
        self.proof = proof
        level = logging.INFO if proof.enforced else logging.WARNING
        log.log(level, "canary", extra=fields(enforced=proof.enforced, evidence=proof.evidence))
        if changed:
            verified = proof.as_condition()
            namespace = ObjectReference("v1", "Namespace", "", self.namespace)
            self.events.post(namespace, verified["reason"], verified["message"], warning=not proof.enforced)
        self.on_change()


def _name(part: str) -> str:
    return f"{NAME}-{part}-{secrets.token_hex(3)}"


def _labels(part: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": part}
