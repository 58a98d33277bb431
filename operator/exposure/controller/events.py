"""Kubernetes Events: on transitions only, and never so many that they burden the cluster."""

import asyncio
import datetime
import logging
import time
from dataclasses import dataclass

from exposure.controller.client import FIELD_MANAGER
from exposure.controller.errors import ApiError
from exposure.controller.writer import NotLeading, Writer

#: Each namespace has a bucket, so that a busy tenant silences nobody else, and the cluster has one for all of them.
#: What overflows is in the status and the metrics all the same.
NAMESPACE_BURST, NAMESPACE_PER_SECOND = 25.0, 1.0
CLUSTER_BURST, CLUSTER_PER_SECOND = 400.0, 10.0
NAMESPACES_KEPT = 1000
LONGEST_NOTE = 1000
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """The object an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""


class Bucket:
    """So many at once, and so many a second."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._tokens, self._filled_at = burst, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Events:
    def __init__(self, writer: Writer, instance: str) -> None:
        self._writer = writer
        self._instance = instance
        self._cluster = Bucket(CLUSTER_BURST, CLUSTER_PER_SECOND)
        self._namespaces: dict[str, Bucket] = {}
        self._posting: set[asyncio.Task[None]] = set()

    def post(self, subject: Subject, reason: str, note: str, *, warning: bool = False) -> None:
        """Posts in the background; over the rate it is dropped."""
        if len(self._namespaces) > NAMESPACES_KEPT:
            self._namespaces.clear()
        own = self._namespaces.setdefault(subject.namespace, Bucket(NAMESPACE_BURST, NAMESPACE_PER_SECOND))
        if not own.take() or not self._cluster.take():
            return
        task = asyncio.create_task(self._post(subject, reason, note[:LONGEST_NOTE], warning))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _post(self, subject: Subject, reason: str, note: str, warning: bool) -> None:
        # Events about cluster-scoped objects live in "default", by convention.
        namespace = subject.namespace or "default"
        regarding = {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "name": subject.name,
            **({"namespace": subject.namespace} if subject.namespace else {}),
            **({"uid": subject.uid} if subject.uid else {}),
        }
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{subject.name[:200]}.{time.time_ns():x}", "namespace": namespace},
            "eventTime": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"exposure.dev/{FIELD_MANAGER}",
            "reportingInstance": self._instance[:128],
            "action": "Reconcile",
            "reason": reason,
            "regarding": regarding,
            "note": note,
            "type": "Warning" if warning else "Normal",
        }
        try:
            await self._writer.create("events", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body)
        except (ApiError, NotLeading) as error:
            log.debug("an Event was not posted: %s", error)
