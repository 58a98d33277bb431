"""Kubernetes Events: on transitions only, and never so many that they burden the cluster."""

import asyncio
import datetime
import logging
import time
from dataclasses import dataclass

from exposure.cluster.client import FIELD_MANAGER
from exposure.cluster.errors import ApiError
from exposure.cluster.writer import NotLeading, Writer

#: A bucket of so many, refilled one a second: what overflows is in the status and the metrics all the same.
BURST = 25.0
PER_SECOND = 1.0
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


class Events:
    def __init__(self, writer: Writer, instance: str) -> None:
        self._writer = writer
        self._instance = instance
        self._tokens = BURST
        self._filled_at = time.monotonic()
        self._posting: set[asyncio.Task[None]] = set()

    def post(self, subject: Subject, reason: str, note: str, *, warning: bool = False) -> None:
        """Posts in the background; over the rate it is dropped."""
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * PER_SECOND)
        self._filled_at = now
        if self._tokens < 1:
            return
        self._tokens -= 1
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
