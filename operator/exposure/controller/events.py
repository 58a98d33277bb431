"""Kubernetes Events: only on transitions, and at a limited rate."""

import asyncio
import datetime
import logging
import time
from collections.abc import Mapping

from exposure.controller.client import FIELD_MANAGER, Object
from exposure.controller.errors import ApiError
from exposure.controller.writer import NotLeading, Writer

#: A bucket for each namespace, so that a busy tenant takes no Events from others, and one for the whole cluster.
#: Status and metrics also have what is dropped here.
NAMESPACE_BURST, NAMESPACE_PER_SECOND = 25.0, 1.0
CLUSTER_BURST, CLUSTER_PER_SECOND = 400.0, 10.0
NAMESPACES_KEPT = 1000
LONGEST_NOTE = 1000
log = logging.getLogger(__name__)


class TokenBucket:
    """Allows `burst` at once, and `per_second` afterwards."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._tokens, self._filled_at = burst, time.monotonic()

    def take(self) -> bool:
        """Whether there was a token."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class EventRecorder:
    def __init__(self, writer: Writer, instance: str) -> None:
        self._writer = writer
        self._instance = instance
        self._cluster = TokenBucket(CLUSTER_BURST, CLUSTER_PER_SECOND)
        self._namespaces: dict[str, TokenBucket] = {}
        self._posting: set[asyncio.Task[None]] = set()

    def post(self, regarding: Mapping[str, str], reason: str, note: str, *, warning: bool = False) -> None:
        """Posts in the background. Above the rate the Event is dropped. `regarding`: an ObjectReference of the API."""
        if len(self._namespaces) > NAMESPACES_KEPT:
            self._namespaces.clear()
        namespace = regarding.get("namespace", "")
        bucket = self._namespaces.setdefault(namespace, TokenBucket(NAMESPACE_BURST, NAMESPACE_PER_SECOND))
        if not bucket.take() or not self._cluster.take():
            return
        # By convention, Events about cluster-scoped objects are in the namespace default.
        namespace = namespace or "default"
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{regarding['name'][:200]}.{time.time_ns():x}", "namespace": namespace},
            "eventTime": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"exposure.dev/{FIELD_MANAGER}",
            "reportingInstance": self._instance[:128],
            "action": "Reconcile",
            "reason": reason,
            "regarding": regarding,
            "note": note[:LONGEST_NOTE],
            "type": "Warning" if warning else "Normal",
        }
        task = asyncio.create_task(self._create(namespace, body))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _create(self, namespace: str, body: Object) -> None:
        try:
            await self._writer.create("events", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body)
        except (ApiError, NotLeading) as error:
            log.debug("an Event was not posted: %s", error)
