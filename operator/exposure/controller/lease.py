"""Leader election on a coordination.k8s.io Lease, by the monotonic clock. docs/adr/0007-a-lease-of-our-own.md: why.

The holder counts from before its request: its right ends `LEASE_SECONDS` after the last renewal was *sent*, however
late the answer came. A standby counts from when it *saw* the record change. So the two never both believe that they
lead, unless their clocks run at different speeds. The time of day has no part in it. A write begins only if the right
outlasts it. A standby takes over within about 2 s of a clean stop, and of 20 s of a crash.
"""

import asyncio
import datetime
import logging
import random
import time
from collections.abc import Callable

from exposure.controller.client import Client, Object
from exposure.controller.errors import ApiError, Conflict, NotFound

NAME = "exposure-operator"
LEASE_SECONDS = 15.0
RENEW_SECONDS = 4.0
#: After a renewal that failed.
RETRY_SECONDS = 0.5
ATTEMPT_SECONDS = 4.0
RELEASE_SECONDS = 2.0
#: Left of the lease when a write begins, beyond what the write itself may take.
MARGIN_SECONDS = 1.0
NEVER = float("-inf")
log = logging.getLogger(__name__)


class Lease:
    """`on_gain` and `on_loss` are called when this process begins and ceases to lead."""

    def __init__(
        self, client: Client, namespace: str, identity: str, on_gain: Callable[[], None], on_loss: Callable[[], None]
    ) -> None:
        self._client = client
        self._namespace, self._identity = namespace, identity
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._on_gain, self._on_loss = on_gain, on_loss
        #: When our right ends. NEVER while this process does not lead.
        self._valid_until = NEVER
        #: Our own record as the API server last returned it, None after a renewal that failed.
        self._record: Object | None = None
        #: The resourceVersion of another process's record, and when it was first seen.
        self._observed, self._observed_at = "", NEVER

    @property
    def leading(self) -> bool:
        return time.monotonic() < self._valid_until

    def holds_for(self, seconds: float) -> bool:
        """Whether a write that begins now and takes `seconds` ends before another process can lead."""
        return time.monotonic() + seconds + MARGIN_SECONDS < self._valid_until

    async def run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    await self._attempt()
            except Conflict:
                self._record = None
            except (ApiError, TimeoutError) as error:
                self._record = None
                level = logging.ERROR if getattr(error, "status", 0) in (401, 403) else logging.WARNING
                log.log(level, "the Lease %s was not renewed: %s", NAME, str(error) or "no answer in time")
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                self._record = None
                log.warning("the Lease %s has an unknown form: %r", NAME, error)
            # From now on no write may begin. The others are notified now, and not when another process leads.
            if not self.holds_for(0):
                self._lose("the Lease could not be renewed in time")
            pause = RENEW_SECONDS if self.leading else RENEW_SECONDS / 2
            if self.leading and self._record is None:
                pause = RETRY_SECONDS
            await asyncio.sleep(max(0.1, started + pause * random.uniform(0.9, 1.1) - time.monotonic()))

    async def release(self) -> None:
        """Gives the lease up, so that a standby need not wait. Only after the last write was answered."""
        if not self.leading or self._record is None:
            return
        self._valid_until = NEVER
        spec = {**self._record["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._client.send("PUT", f"{self._collection}/{NAME}", {**self._record, "spec": spec})
        except (ApiError, TimeoutError) as error:
            log.info("the Lease %s was not released and will expire: %s", NAME, str(error) or "no answer in time")

    async def _attempt(self) -> None:
        sent_at = time.monotonic()
        path = f"{self._collection}/{NAME}"
        try:
            record = self._record or await self._client.get(path)
        except NotFound:
            self._acquired(await self._client.send("POST", self._collection, self._claim({})), sent_at)
            return
        holder = (record.get("spec") or {}).get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._has_expired(record):
            self._lose(f"{holder} holds the Lease")
        else:
            # With the resourceVersion that was read: of two processes that try, one gets a Conflict.
            self._acquired(await self._client.send("PUT", path, self._claim(record)), sent_at)

    def _has_expired(self, record: Object) -> bool:
        """Whether it is unchanged for its whole duration on our own clock, counted from when we first saw it so."""
        version, now = record["metadata"]["resourceVersion"], time.monotonic()
        if version != self._observed:
            self._observed, self._observed_at = version, now
        return now - self._observed_at > max(float(record["spec"].get("leaseDurationSeconds") or 0), LEASE_SECONDS)

    def _acquired(self, record: Object, sent_at: float) -> None:
        gained = self._valid_until == NEVER
        self._record, self._valid_until = record, sent_at + LEASE_SECONDS
        if gained:
            log.info("this process is the leader, as %s", self._identity)
            self._on_gain()

    def _lose(self, reason: str) -> None:
        if self._valid_until != NEVER:
            self._record, self._valid_until = None, NEVER
            log.warning("this process is no longer the leader: %s", reason)
            self._on_loss()

    def _claim(self, record: Object) -> Object:
        """The record with this process as its holder. `record` {}: there is none yet."""
        spec = record.get("spec") or {}
        ours = spec.get("holderIdentity") == self._identity
        transitions = int(spec.get("leaseTransitions") or 0)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NAME, "namespace": self._namespace},
            **record,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(LEASE_SECONDS),
                "acquireTime": (spec.get("acquireTime") if ours else None) or _now(),
                "renewTime": _now(),
                "leaseTransitions": transitions if ours or not record else transitions + 1,
            },
        }


class NoLease:
    """Without leader election there is one process, and it leads."""

    leading = True

    def holds_for(self, seconds: float) -> bool:
        return True


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
