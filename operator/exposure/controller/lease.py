"""Leader election on a coordination.k8s.io Lease, by the monotonic clock. docs/adr/0007-a-lease-of-our-own.md: why.

The holder counts from before its request: its right ends `LEASE_SECONDS` after the last renewal was *sent*, however
late the answer came. A standby counts from when it *saw* the record change. So the two never both believe that they
lead, unless their clocks run at different speeds. The time of day has no part in it. A write begins only if the right
outlasts it.
"""

import asyncio
import datetime
import logging
import random
import time
from collections.abc import Callable

from exposure.controller.client import Client, Object
from exposure.controller.errors import ApiError, Conflict, NotFound

LEASE_SECONDS = 15.0
RENEW_SECONDS = 4.0
ATTEMPT_SECONDS = 4.0
#: Left of the lease when a write begins, beyond what the write itself may take.
MARGIN_SECONDS = 1.0
log = logging.getLogger(__name__)


class Lease:
    """`on_gain` and `on_loss` are called when this process begins and ceases to lead."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        on_gain: Callable[[], None],
        on_loss: Callable[[], None],
    ) -> None:
        self.identity = identity
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._name, self._namespace = name, namespace
        self._on_gain, self._on_loss = on_gain, on_loss
        self._valid_until = float("-inf")
        self._leading = False
        #: Holder and resourceVersion of another process's record, and when they were first seen.
        self._observed: tuple[str, str] | None = None
        self._observed_at = 0.0
        #: Our own record as the API server last returned it.
        self._record: Object | None = None

    @property
    def leading(self) -> bool:
        return self._leading and time.monotonic() < self._valid_until

    def holds_for(self, seconds: float) -> bool:
        """Whether a write that begins now and takes `seconds` ends before another process can lead."""
        return self._leading and time.monotonic() + seconds + MARGIN_SECONDS < self._valid_until

    async def run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    await self._attempt()
            except Conflict:
                self._record = None
            except (ApiError, TimeoutError) as error:
                level = logging.ERROR if getattr(error, "status", 0) in (401, 403) else logging.WARNING
                log.log(level, "the Lease %s was not renewed: %s", self._name, str(error) or "no answer in time")
                self._record = None
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                log.warning("the Lease %s has an unknown form: %r", self._name, error)
                self._record = None
            # From now on no write may begin. The others are notified now, and not when another process leads.
            if self._leading and not self.holds_for(0):
                self._lose("it could not be renewed in time")
            pause = RENEW_SECONDS if self._leading else RENEW_SECONDS / 2
            if self._leading and self._record is None:
                pause = 0.5
            await asyncio.sleep(max(0.1, started + pause * random.uniform(0.9, 1.1) - time.monotonic()))

    async def release(self) -> None:
        """Gives the lease up, so that a standby need not wait. Only after the last write was answered."""
        if not self.leading or self._record is None:
            return
        self._leading, self._valid_until = False, float("-inf")
        spec = {**self._record["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
        try:
            await self._client.send("PUT", self._path, {**self._record, "spec": spec}, 2.0)
        except ApiError as error:
            log.info("the Lease %s is left to expire: %s", self._name, error)

    async def _attempt(self) -> None:
        sent_at = time.monotonic()
        record = self._record if self._leading and self._record else await self._read()
        if record is None:
            made = await self._client.send("POST", self._collection, self._new_record(), ATTEMPT_SECONDS)
            self._acquired(made, sent_at)
            return
        spec = record.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder != self.identity and not self._is_free(record, holder, float(spec.get("leaseDurationSeconds") or 0)):
            if self._leading:
                self._lose(f"{holder} holds it")
            return
        renewed = await self._client.send("PUT", self._path, self._renewed(record), ATTEMPT_SECONDS)
        self._acquired(renewed, sent_at)

    async def _read(self) -> Object | None:
        try:
            return await self._client.get(self._path)
        except NotFound:
            return None

    def _is_free(self, record: Object, holder: str, seconds: float) -> bool:
        """Released, or unchanged for its whole duration on our own clock, counted from when we first saw it so."""
        if not holder:
            return True
        observed = (holder, record["metadata"]["resourceVersion"])
        now = time.monotonic()
        if observed != self._observed:
            self._observed, self._observed_at = observed, now
            return False
        return now - self._observed_at > max(seconds, LEASE_SECONDS)

    def _acquired(self, record: Object, sent_at: float) -> None:
        self._record = record
        self._valid_until = sent_at + LEASE_SECONDS
        if not self._leading:
            self._leading = True
            log.info("this process leads, as %s", self.identity)
            self._on_gain()

    def _lose(self, reason: str) -> None:
        self._leading, self._record = False, None
        log.warning("this process no longer leads: %s", reason)
        self._on_loss()

    def _new_record(self) -> Object:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._spec({}, transitions=0),
        }

    def _renewed(self, record: Object) -> Object:
        spec = record.get("spec") or {}
        ours = spec.get("holderIdentity") == self.identity
        transitions = int(spec.get("leaseTransitions") or 0) + (0 if ours else 1)
        # With the resourceVersion that was read: of two processes that try, one gets a Conflict.
        return {**record, "spec": self._spec(spec if ours else {}, transitions)}

    def _spec(self, previous: Object, transitions: int) -> Object:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(LEASE_SECONDS),
            "acquireTime": previous.get("acquireTime") or _now(),
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }


class NoLease:
    """Without leader election there is one process, and it leads."""

    identity = ""
    leading = True

    def holds_for(self, seconds: float) -> bool:
        return True


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
