"""Every write that leaves this process: bounded in number, under the lease, counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exposure.controller.client import WRITE_SECONDS, Client, Object
from exposure.controller.errors import ApiError, NotFound
from exposure.controller.lease import Lease, NoLease
from exposure.controller.metrics import Metrics
from exposure.controller.tables import ObjectTable, key_of

POLICIES = "networkpolicies"
#: NetworkPolicies and reports have slots of their own: a report never takes one that a NetworkPolicy waits for.
POLICIES_AT_ONCE = 32
REPORTS_AT_ONCE = 8


class NotLeading(Exception):
    """The lease would not outlast the write, so the write was not begun."""


class Writer:
    """Applies, deletes and creates. NotLeading where the lease does not allow it."""

    def __init__(self, client: Client, lease: Lease | NoLease, metrics: Metrics) -> None:
        self._client = client
        self._lease = lease
        self._metrics = metrics
        self._policy_slots = asyncio.Semaphore(POLICIES_AT_ONCE)
        self._report_slots = asyncio.Semaphore(REPORTS_AT_ONCE)

    @property
    def has_capacity(self) -> bool:
        """Whether another write of a NetworkPolicy could leave at once."""
        return not self._policy_slots.locked()

    async def apply(self, table: ObjectTable, body: Object, subresource: str = "", *, force: bool = True) -> Object:
        """The object as it is now, which the table then has as well. `subresource` begins with a slash."""
        async with self._slot(f"{table.kind.plural}{subresource}", "apply"):
            written = await self._client.apply(f"{table.path(key_of(body))}{subresource}", body, force=force)
        table.put(written, own_write=True)
        return written

    async def delete(self, resource: str, path: str, uid: str) -> Object:
        """The last state of the object or a Status, {} where it was gone already."""
        try:
            async with self._slot(resource, "delete"):
                return await self._client.delete(path, uid)
        except NotFound:
            return {}

    async def create(self, resource: str, path: str, body: Object) -> Object:
        async with self._slot(resource, "create"):
            return await self._client.send("POST", path, body)

    @asynccontextmanager
    async def _slot(self, resource: str, verb: str) -> AsyncIterator[None]:
        async with self._policy_slots if resource == POLICIES else self._report_slots:
            # Asked here and not when the plan was made: the write may have waited long for its slot.
            if not self._lease.holds_for(WRITE_SECONDS):
                raise NotLeading("this process is not the leader")
            try:
                yield
            except ApiError as error:
                self._metrics.writes.labels(resource, verb, type(error).__name__).inc()
                raise
            self._metrics.writes.labels(resource, verb, "ok").inc()
