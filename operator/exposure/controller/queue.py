"""Which namespace is next: each at most once, policies before reports, failures later.

A namespace that is enqueued starts at once where there is capacity. Enqueued again during its pass, it gets one more
pass. There is no debounce: bursts fold together by themselves, because a pass takes longer than enqueueing.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from exposure.controller.metrics import Metrics

SHORTEST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 30.0
LONGEST_SERVER_RETRY_SECONDS = 120.0
POLICY_PASSES_AT_ONCE = 64
REPORT_PASSES_AT_ONCE = 8
#: Reports wait while policies are written anywhere, because protection comes first. They do not wait longer than this.
REPORTS_WAIT_SECONDS = 20.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """The pass did everything that was to be done."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The pass failed. The next one comes after the queue's own delay, and not before `after_seconds`."""

    after_seconds: float = 0.0


PassResult: TypeAlias = Done | RetryLater
#: One pass over a namespace.
Pass: TypeAlias = Callable[[str], Awaitable[PassResult]]
DONE = Done()


class WorkQueue:
    """One kind of pass. Namespaces start in the order of their names, at most `limit` at a time."""

    def __init__(self, name: str, run_pass: Pass, limit: int, wake: asyncio.Event) -> None:
        self._name = name
        self._run_pass = run_pass
        self._limit = limit
        self._wake = wake
        self._waiting: set[str] = set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def enqueue(self, namespaces: Iterable[str]) -> None:
        for namespace in namespaces:
            if namespace in self._running:
                self._again.add(namespace)
            else:
                self._waiting.add(namespace)
        self._wake.set()

    @property
    def depth(self) -> int:
        """How many namespaces wait."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._running)

    @property
    def can_start(self) -> bool:
        return bool(self._waiting) and len(self._running) < self._limit

    def has(self, namespace: str) -> bool:
        """Whether it waits or is in a pass."""
        return namespace in self._running or namespace in self._waiting

    def start_next(self) -> None:
        namespace = min(self._waiting)
        self._waiting.discard(namespace)
        timer = self._timers.pop(namespace, None)
        if timer is not None:
            timer.cancel()
        self._running[namespace] = asyncio.create_task(self._pass(namespace), name=f"{self._name} {namespace}")

    def clear(self) -> None:
        """Drops what waits. Passes that run go on to their end."""
        self._waiting.clear()
        self._again.clear()
        self._failures.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def stop(self, seconds: float) -> None:
        """Gives passes that run so many seconds to end, then cancels them."""
        self.clear()
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=seconds)
            for task in late:
                task.cancel()

    async def _pass(self, namespace: str) -> None:
        result: PassResult = RetryLater()
        try:
            result = await self._run_pass(namespace)
        except Exception:
            # A mistake of ours about one namespace must not end the work on all others.
            log.exception("%s of namespace %s failed", self._name, namespace)
        finally:
            del self._running[namespace]
            if isinstance(result, RetryLater):
                self._retry(namespace, result.after_seconds)
            else:
                self._failures.pop(namespace, None)
            if namespace in self._again:
                self._again.discard(namespace)
                self._waiting.add(namespace)
            self._wake.set()

    def _retry(self, namespace: str, after_seconds: float) -> None:
        failures = self._failures[namespace] = self._failures.get(namespace, 0) + 1
        delay = min(SHORTEST_RETRY_SECONDS * 2 ** min(failures - 1, 10), LONGEST_RETRY_SECONDS)
        delay = max(delay * random.uniform(0.5, 1.0), min(after_seconds, LONGEST_SERVER_RETRY_SECONDS))
        if namespace in self._timers:
            self._timers[namespace].cancel()
        self._timers[namespace] = asyncio.get_running_loop().call_later(delay, self._retry_now, namespace)

    def _retry_now(self, namespace: str) -> None:
        self._timers.pop(namespace, None)
        self.enqueue((namespace,))


class Scheduler:
    """The two queues, and the rule between them.

    `has_capacity`: whether another write may leave. `refresh`: called once before the passes of a burst.
    """

    def __init__(
        self,
        policies: Pass,
        reports: Pass,
        has_capacity: Callable[[], bool],
        refresh: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        self.wake = asyncio.Event()
        self.policies = WorkQueue("policies", policies, POLICY_PASSES_AT_ONCE, self.wake)
        self.reports = WorkQueue("reports", reports, REPORT_PASSES_AT_ONCE, self.wake)
        self._has_capacity = has_capacity
        self._refresh = refresh
        self._reports_held_since: float | None = None
        metrics.queue_depth.labels("policies").set_function(lambda: self.policies.depth)
        metrics.queue_depth.labels("reports").set_function(lambda: self.reports.depth)

    def clear(self) -> None:
        self.policies.clear()
        self.reports.clear()

    async def stop(self, seconds: float) -> None:
        await asyncio.gather(self.policies.stop(seconds), self.reports.stop(seconds))

    async def run(self) -> None:
        """Starts passes as capacity allows. After each start, the writes that it asked for get their turn to leave."""
        while True:
            self.wake.clear()
            self._refresh()
            while self.policies.can_start and self._has_capacity():
                self.policies.start_next()
                await asyncio.sleep(0)
            while self._reports_may_start():
                self.reports.start_next()
                await asyncio.sleep(0)
            reports_are_held = bool(self.reports.depth) and self.policies.busy
            try:
                await asyncio.wait_for(self.wake.wait(), 0.5 if reports_are_held else None)
            except TimeoutError:
                continue

    def _reports_may_start(self) -> bool:
        if not self.reports.can_start:
            self._reports_held_since = None if not self.reports.busy else self._reports_held_since
            return False
        if not self.policies.busy:
            self._reports_held_since = None
            return True
        now = time.monotonic()
        if self._reports_held_since is None:
            self._reports_held_since = now
        return now - self._reports_held_since > REPORTS_WAIT_SECONDS
