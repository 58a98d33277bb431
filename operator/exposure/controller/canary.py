"""The canary: connections between its own pods prove whether this CNI enforces NetworkPolicies.

One round, in the operator's own namespace: a server pod, and a client that must reach it; a policy that closes the
server, and a client that must not reach it; no policy again, and a client that must. Only the whole sequence proves
anything: a refused connection alone might mean that the server never listened. A round deletes what it created. After a
crash, the next round does. The policy selects the server pod alone.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from exposure.controller.client import Client, Object
from exposure.controller.errors import ApiError, Conflict
from exposure.controller.events import EventRecorder
from exposure.controller.logs import fields
from exposure.controller.metrics import Metrics
from exposure.controller.status import now
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
SWEEP_SECONDS = 5.0
#: How old a proof may become before its time is renewed. A renewal writes every Exposure once.
RENEW_SECONDS = 3600.0
LEADING_SECONDS = 1.0
REASONS = {True: "Enforced", False: "NotEnforced", None: "Unproven"}
#: What a round proved, None for nothing, and the sentence that says how.
Proof: TypeAlias = tuple[bool | None, str]
log = logging.getLogger(__name__)


@dataclass
class Canary:
    """`run` goes on until it is cancelled, and acts while `may_run`. `on_change` is called when the proof changes.

    `verified`: the condition of every Exposure, without its time of transition. None as long as no round has ended.
    """

    client: Client
    writer: Writer
    events: EventRecorder
    metrics: Metrics
    config: Config
    may_run: Callable[[], bool]
    on_change: Callable[[], None]
    verified: Object | None = None
    _recorded_at: float = 0.0

    @property
    def namespace(self) -> str:
        return self.config.canary.namespace or self.config.operator_namespace

    async def run(self) -> None:
        while True:
            if not self.may_run():
                await asyncio.sleep(LEADING_SECONDS)
                continue
            # NotLeading: the lease went to another process meanwhile, which has to prove it itself.
            with contextlib.suppress(NotLeading):
                self._record(*await self._prove())
            await asyncio.sleep(self.config.canary.interval_seconds)

    async def _prove(self) -> Proof:
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                await self._sweep()
                return await self._round()
        except (ApiError, ProbeFailed, TimeoutError) as error:
            return None, f"The canary could not run: {error or type(error).__name__}"
        finally:
            # What cannot be deleted now, the next round deletes.
            with contextlib.suppress(ApiError, NotLeading, TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._sweep()

    async def _round(self) -> Proof:
        server = await self._start_server()
        if await self._connect(server, "o") != "open":
            return None, "The canary's client cannot reach its server without a NetworkPolicy: nothing is proven."
        policy = await self._close_server()
        if await self._connect(server, "x") == "open":
            return False, (
                "A connection succeeded although a NetworkPolicy denies it. "
                "The CNI of this cluster does not enforce NetworkPolicies."
            )
        await self._delete("networkpolicies", policy)
        if await self._connect(server, "o") != "open":
            return None, "The canary's server stopped answering, so the connection that failed before proves nothing."
        return True, (
            "A connection succeeded without a NetworkPolicy, failed under one that denies it, and succeeded again."
        )

    async def _sweep(self) -> None:
        """Deletes what this round made, and what an earlier one left behind when its process was killed."""
        for resource in COLLECTIONS:
            labelled = await self.client.get(self._path(resource), {"labelSelector": f"app.kubernetes.io/name={NAME}"})
            for live in labelled.get("items") or ():
                if live["metadata"]["name"].startswith(NAME):
                    await self._delete(resource, live)

    async def _start_server(self) -> str:
        """The server pod's address, once it runs. Whether it listens already, the clients' retries show."""
        command = ["python", "-m", "exposure.verify.listen", str(PORT)]
        image = self.config.canary.image
        pod = restricted_pod(self.namespace, _name("server"), _labels("server"), image, command, ROUND_SECONDS)
        running = await self._run(pod, lambda status: status.get("phase") == "Running" and bool(status.get("podIP")))
        return str(running["status"]["podIP"])

    async def _connect(self, server: str, want: str) -> str:
        """The outcome of a client pod's connection. It is tried again for a while where it is not what is wanted."""
        job = Job(self.namespace, [(server, PORT, "TCP", 1, want)])
        image, labels = self.config.canary.image, _labels("client")
        pod = probe_pod(job, _name("client"), image, START_SECONDS, 1.0, 1, GRACE_SECONDS, labels)
        ended = await self._run(pod, lambda status: status.get("phase") in ("Succeeded", "Failed"))
        await self._delete("pods", ended)
        return answer_of(job, ended).observed[0].outcomes[0]

    async def _close_server(self) -> Object:
        body: Object = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": _name("policy"), "namespace": self.namespace, "labels": _labels("policy")},
            "spec": {"podSelector": {"matchLabels": _labels("server")}, "policyTypes": ["Ingress"], "ingress": []},
        }
        return await self.writer.create("networkpolicies", self._path("networkpolicies"), body)

    async def _run(self, pod: Object, reached: Callable[[Object], bool]) -> Object:
        """Creates a pod, and returns it once its status is as wanted."""
        created = await self.writer.create("pods", self._path("pods"), pod)
        async with asyncio.timeout(START_SECONDS + GRACE_SECONDS):
            while True:
                live = await self.client.get(self._path("pods", created))
                if reached(live.get("status") or {}):
                    return live
                await asyncio.sleep(POLL_SECONDS)

    async def _delete(self, resource: str, live: Object) -> None:
        with contextlib.suppress(Conflict):
            await self.writer.delete(resource, self._path(resource, live), live["metadata"]["uid"])

    def _path(self, resource: str, live: Object | None = None) -> str:
        collection = COLLECTIONS[resource].format(self.namespace)
        return collection if live is None else f"{collection}/{live['metadata']['name']}"

    def _record(self, enforced: bool | None, evidence: str) -> None:
        self.metrics.canary_enforced.set(float("nan") if enforced is None else enforced)
        self.metrics.canary_last_run.set_to_current_time()
        verified = condition("Verified", enforced, REASONS[enforced], f"{evidence} ({now()})")
        changed = self.verified is None or self.verified["status"] != verified["status"]
        if not changed and time.monotonic() - self._recorded_at < RENEW_SECONDS:
            return
        self.verified, self._recorded_at = verified, time.monotonic()
        level = logging.INFO if enforced else logging.WARNING
        log.log(level, "canary", extra=fields(enforced=enforced, evidence=evidence))
        if changed:
            namespace = {"apiVersion": "v1", "kind": "Namespace", "name": self.namespace}
            self.events.post(namespace, verified["reason"], verified["message"], warning=not enforced)
        self.on_change()


def _name(part: str) -> str:
    return f"{NAME}-{part}-{secrets.token_hex(3)}"


def _labels(part: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": part}
