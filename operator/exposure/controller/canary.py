"""The canary: proof, by connections of the operator's own pods, that this CNI enforces NetworkPolicies at all.

A round, in the operator's own namespace: a server pod; a client that must reach it; then a policy that closes the
server, and a client that must not; then no policy again, and a client that must. Only that whole sequence proves
anything: a refusal alone might be a server that never listened. Everything a round makes is gone when it ends, and
would end by its own deadline if the operator did not live to see that. The policy selects the server pod alone.
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
from exposure.controller.events import Events, Subject
from exposure.controller.metrics import Metrics
from exposure.controller.writer import NotLeading, Writer
from exposure.model.config import Config
from exposure.render.status import condition
from exposure.verify.pods import Job, ProbeFailed, answer_of, probe_pod, restricted_pod

PORT = 8080
POLICY = "exposure-canary"
NAME = "exposure-canary"
START_SECONDS = 60.0
#: For the CNI to take up what has changed, before it is called not enforcing.
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.5
ROUND_SECONDS = 5 * START_SECONDS
#: So long a proof is quoted before its time is renewed: each renewal writes every Exposure once.
RENEW_SECONDS = 3600.0
LEADING_SECONDS = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """`enforced` None: nothing was proven. `evidence` is a sentence; `at` RFC 3339, `taken` on the monotonic clock."""

    enforced: bool | None
    evidence: str
    at: str
    name_conflicts: float

    def as_condition(self) -> dict[str, Any]:
        """`Verified`, as it stands on each Exposure, without its time of transition."""
        reason = {True: "Enforced", False: "NotEnforced", None: "Unproven"}[self.enforced]
        return condition("Verified", self.enforced, reason, f"{self.evidence} ({self.at})")


@dataclass
class Canary:
    """`run` goes on for ever, and does something only while `leading`; `told` is called when `proof` is another."""

    client: Client
    writer: Writer
    events: Events
    metrics: Metrics
    config: Config
    leading: Callable[[], bool]
    told: Callable[[], None]
    proof: Proof | None = None
    _made: list[tuple[str, str]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.config.canary.namespace or self.config.operator_namespace

    def condition(self) -> Object | None:
        """What stands on each Exposure; None as long as nothing was tried."""
        return self.proof.as_condition() if self.proof is not None else None

    async def run(self) -> None:
        while True:
            if not self.leading():
                await asyncio.sleep(LEADING_SECONDS)
                continue
            proof = await self._prove()
            if proof is not None:
                self._take(proof)
            await asyncio.sleep(self.config.canary.interval_seconds)

    async def _prove(self) -> Proof | None:
        """None where the lease went to another process meanwhile: it is for that one to prove."""
        enforced: bool | None = None
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                enforced, evidence = await self._round()
        except NotLeading:
            return None
        except (ApiError, ProbeFailed, TimeoutError) as error:
            evidence = f"The canary could not run: {error or type(error).__name__}"
        finally:
            await self._clean_up()
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Proof(enforced, evidence, now, time.monotonic())

    async def _round(self) -> tuple[bool | None, str]:
        await self._remove("networkpolicies", self._path("networkpolicies", POLICY))
        server = await self._start_server()
        if await self._connect(server, "o") != "open":
            return None, "The canary's client does not reach its server even without a policy, so nothing is proven."
        await self._close_server()
        if await self._connect(server, "x") == "open":
            return False, (
                "A connection to a pod that a NetworkPolicy closes stood all the same: "
                "this cluster's CNI does not enforce NetworkPolicies."
            )
        await self._remove("networkpolicies", self._path("networkpolicies", POLICY))
        if await self._connect(server, "o") != "open":
            return None, "The canary's server does not answer any more, so the refusal before proves nothing."
        return True, "A connection stood without a policy, was refused under one that denies, and stood again after it."

    async def _start_server(self) -> str:
        """The server pod's address, once it runs. (Whether it listens already, the client's patience tells.)"""
        name = f"{NAME}-server-{secrets.token_hex(3)}"
        command = ["python", "-m", "exposure.verify.listen", str(PORT)]
        labels = _labels("server")
        image = self.config.canary.image
        path = await self._make(restricted_pod(self.namespace, name, labels, image, command, ROUND_SECONDS))
        pod = await self._until(path, lambda status: status.get("phase") == "Running" and bool(status.get("podIP")))
        return str(pod["status"]["podIP"])

    async def _connect(self, server: str, want: str) -> str:
        """What became of a client pod's connection, tried again for a while if it comes otherwise than wanted."""
        name = f"{NAME}-client-{secrets.token_hex(3)}"
        job = Job(self.namespace, [(server, PORT, "TCP", 1, want)])
        image, labels = self.config.canary.image, _labels("client")
        path = await self._make(probe_pod(job, name, image, START_SECONDS, 1.0, 1, GRACE_SECONDS, labels))
        pod = await self._until(path, lambda status: status.get("phase") in ("Succeeded", "Failed"))
        await self._remove("pods", path)
        return answer_of(job, pod).observed[0].outcomes[0]

    async def _close_server(self) -> None:
        body: Object = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": POLICY, "namespace": self.namespace, "labels": {"app.kubernetes.io/name": NAME}},
            "spec": {"podSelector": {"matchLabels": _labels("server")}, "policyTypes": ["Ingress"], "ingress": []},
        }
        path = self._path("networkpolicies", POLICY)
        written = await self.writer.apply("networkpolicies", path, body)
        self._made.append(("networkpolicies", path))
        assert written["metadata"]["name"] == POLICY

    async def _make(self, pod: Object) -> str:
        await self.writer.create("pods", self._path("pods", ""), pod)
        path = self._path("pods", pod["metadata"]["name"])
        self._made.append(("pods", path))
        return path

    async def _until(self, path: str, done: Callable[[Object], bool]) -> Object:
        async with asyncio.timeout(START_SECONDS + GRACE_SECONDS):
            while True:
                pod = await self.client.get(path)
                if done(pod.get("status") or {}):
                    return pod
                await asyncio.sleep(POLL_SECONDS)

    async def _remove(self, resource: str, path: str) -> None:
        with contextlib.suppress(NotFound, Conflict):
            live = await self.client.get(path)
            await self.writer.delete(resource, path, live["metadata"]["uid"])
        self._made = [each for each in self._made if each[1] != path]

    async def _clean_up(self) -> None:
        for resource, path in list(self._made):
            # What cannot be deleted now ends by its own deadline; the policy goes at the start of the next round.
            with contextlib.suppress(ApiError, NotLeading):
                await self._remove(resource, path)
        self._made.clear()

    def _path(self, resource: str, name: str) -> str:
        group = "/api/v1" if resource == "pods" else "/apis/networking.k8s.io/v1"
        return f"{group}/namespaces/{self.namespace}/{resource}/{name}".rstrip("/")

    def _take(self, proof: Proof) -> None:
        before = self.proof
        self.metrics.canary_enforced.set({True: 1.0, False: 0.0, None: float("nan")}[proof.enforced])
        self.metrics.canary_last_run.set_to_current_time()
        same = before is not None and before.enforced == proof.enforced
        if same and before is not None and proof.name_conflicts - before.name_conflicts < RENEW_SECONDS:
            return
        self.proof = proof
        level = logging.INFO if proof.enforced else logging.WARNING
        log.log(level, "canary", extra={"fields": {"enforced": proof.enforced, "evidence": proof.evidence}})
        if not same:
            said = proof.as_condition()
            subject = Subject("v1", "Namespace", "", self.namespace)
            self.events.post(subject, said["reason"], said["message"], warning=not proof.enforced)
        self.told()


def _labels(part: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": part}
