"""Which namespace is next: each at most once, policies before reports, failures later.

A ring starts work at once when there is room; while a namespace is being worked on, further rings fold into one more
pass. There is no debounce: bursts coalesce by themselves, because work takes longer than ringing.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable

from exposure.controller.metrics import Metrics

SHORTEST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 30.0
#: Reports wait while policies are being written anywhere (protection first), but not for ever.
REPORTS_WAIT_SECONDS = 20.0

log = logging.getLogger(__name__)

#: Does one pass over a namespace; True: done, False: try again later, a number: not before so many seconds.
Pass = Callable[[str], Awaitable[bool | float]]


class Stage:
    """One kind of work by namespace, ordered by name, at most `limit` at a time."""

    def __init__(self, name: str, work: Pass, limit: int, metrics: Metrics) -> None:
        self._name = name
        self._work = work
        self._limit = limit
        self._metrics = metrics
        self._waiting: set[str] = set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.wake = asyncio.Event()
        self.idle_since = time.monotonic()

    def enqueue(self, namespaces: Iterable[str]) -> None:
        for namespace in namespaces:
            if namespace in self._running:
                self._again.add(namespace)
            else:
                self._waiting.add(namespace)
        self.wake.set()

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._running)

    @property
    def has_room(self) -> bool:
        return bool(self._waiting) and len(self._running) < self._limit

    def running(self, namespace: str) -> bool:
        return namespace in self._running or namespace in self._waiting

    def start_next(self) -> None:
        namespace = min(self._waiting)
        self._waiting.discard(namespace)
        timer = self._timers.pop(namespace, None)
        if timer is not None:
            timer.cancel()
        self._running[namespace] = asyncio.create_task(self._one(namespace), name=f"{self._name} {namespace}")

    def clear(self) -> None:
        """Forgets what waits; what runs is left to finish."""
        self._waiting.clear()
        self._again.clear()
        self._failures.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def stop(self, seconds: float) -> None:
        """Lets running work finish for so long, then cancels it."""
        self.clear()
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=seconds)
            for task in late:
                task.cancel()

    async def _one(self, namespace: str) -> None:
        result: bool | float = False
        try:
            result = await self._work(namespace)
        except Exception:
            # A mistake of ours about one namespace must not end the work on all others.
            log.exception("%s of namespace %s failed", self._name, namespace)
        finally:
            del self._running[namespace]
            if result is True:
                self._failures.pop(namespace, None)
            else:
                self._retry(namespace, 0.0 if result is False else float(result))
            if namespace in self._again:
                self._again.discard(namespace)
                self._waiting.add(namespace)
            self.idle_since = time.monotonic()
            self.wake.set()

    def _retry(self, namespace: str, at_least: float) -> None:
        failures = self._failures[namespace] = self._failures.get(namespace, 0) + 1
        pause = min(SHORTEST_RETRY_SECONDS * 2 ** min(failures - 1, 10), LONGEST_RETRY_SECONDS)
        pause = max(pause * random.uniform(0.5, 1.0), min(at_least, 120.0))
        if namespace in self._timers:
            self._timers[namespace].cancel()
        self._timers[namespace] = asyncio.get_running_loop().call_later(pause, self._due, namespace)

    def _due(self, namespace: str) -> None:
        self._timers.pop(namespace, None)
        self.enqueue((namespace,))


class Queue:
    """The two stages, and the rule between them."""

    def __init__(
        self, policies: Pass, reports: Pass, room: Callable[[], bool], refresh: Callable[[], None], metrics: Metrics
    ) -> None:
        self.policies = Stage("policies", policies, 64, metrics)
        self.reports = Stage("reports", reports, 8, metrics)
        self.reports.wake = self.policies.wake
        self._wake = self.policies.wake
        self._room = room
        self._refresh = refresh
        self._metrics = metrics
        self._held_since: float | None = None
        metrics.queue_depth.labels("policies").set_function(lambda: len(self.policies._waiting))
        metrics.queue_depth.labels("reports").set_function(lambda: len(self.reports._waiting))

    @property
    def idle(self) -> bool:
        return not self.policies.busy and not self.reports.busy

    async def run(self) -> None:
        """Starts work as there is room; after each start the writes it asked for get their turn to leave."""
        while True:
            self._wake.clear()
            self._refresh()
            while self.policies.has_room and self._room():
                self.policies.start_next()
                await asyncio.sleep(0)
            while self._reports_may_start():
                self.reports.start_next()
                await asyncio.sleep(0)
            waiting = bool(self.reports._waiting) and self.policies.busy
            try:
                await asyncio.wait_for(self._wake.wait(), 0.5 if waiting else None)
            except TimeoutError:
                continue

    def _reports_may_start(self) -> bool:
        if not self.reports.has_room:
            self._held_since = None if not self.reports.busy else self._held_since
            return False
        if not self.policies.busy:
            self._held_since = None
            return True
        now = time.monotonic()
        if self._held_since is None:
            self._held_since = now
        return now - self._held_since > REPORTS_WAIT_SECONDS
