"""Which namespace is next: each at most once, policies before reports, failures later.

A namespace that is enqueued starts at once where there is capacity. Enqueued again during its pass, it gets one more
pass. There is no debounce: a pass takes longer than enqueueing, so bursts become one pass.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class PassResult:
    """`failures` are sentences. After one, the namespace comes again, no sooner than after `retry_after` seconds."""

    failures: list[str] = field(default_factory=list)
    retry_after: float = 0.0

    def fail(self, error: Exception) -> None:
        self.failures.append(str(error))
        self.retry_after = max(self.retry_after, getattr(error, "retry_after", None) or 0.0)


#: One pass over a namespace.
Pass: TypeAlias = Callable[[str], Awaitable[PassResult]]


class WorkQueue:
    """One kind of pass. Namespaces start in the order of their names, at most `limit` at a time."""

    def __init__(self, name: str, run_pass: Pass, limit: int, wake: asyncio.Event, metrics: Metrics) -> None:
        self._name = name
        self._run_pass = run_pass
        self._limit = limit
        self._wake = wake
        self._waiting: set[str] = set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        metrics.queue_depth.labels(name).set_function(lambda: len(self._waiting))

    def enqueue(self, namespaces: Iterable[str]) -> None:
        for namespace in namespaces:
            if namespace in self._running:
                self._again.add(namespace)
            else:
                self._waiting.add(namespace)
        self._wake.set()

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
        if namespace in self._timers:
            self._timers.pop(namespace).cancel()
        self._running[namespace] = asyncio.create_task(self._pass(namespace), name=f"{self._name} {namespace}")

    def clear(self) -> None:
        """Drops what waits. Passes that run go on to their end."""
        for timer in self._timers.values():
            timer.cancel()
        for waiting in (self._waiting, self._again, self._failures, self._timers):
            waiting.clear()

    async def stop(self, seconds: float) -> None:
        """Gives passes that run so many seconds to end, then cancels them."""
        self.clear()
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=seconds)
            for task in late:
                task.cancel()

    async def _pass(self, namespace: str) -> None:
        try:
            result = await self._run_pass(namespace)
        except Exception as error:
            # An internal error about one namespace must not stop the work on all others.
            log.exception("%s of namespace %s failed", self._name, namespace)
            result = PassResult([str(error)])
        finally:
            del self._running[namespace]
        if result.failures:
            self._retry_later(namespace, result.retry_after)
        else:
            self._failures.pop(namespace, None)
        if namespace in self._again:
            self._again.discard(namespace)
            self._waiting.add(namespace)
        self._wake.set()

    def _retry_later(self, namespace: str, retry_after: float) -> None:
        failures = self._failures[namespace] = self._failures.get(namespace, 0) + 1
        delay = min(SHORTEST_RETRY_SECONDS * 2 ** min(failures - 1, 10), LONGEST_RETRY_SECONDS)
        delay = max(delay * random.uniform(0.5, 1.0), min(retry_after, LONGEST_SERVER_RETRY_SECONDS))
        self._timers[namespace] = asyncio.get_running_loop().call_later(delay, self.enqueue, (namespace,))


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
        self.policies = WorkQueue("policies", policies, POLICY_PASSES_AT_ONCE, self.wake, metrics)
        self.reports = WorkQueue("reports", reports, REPORT_PASSES_AT_ONCE, self.wake, metrics)
        self._has_capacity = has_capacity
        self._refresh = refresh
        self._reports_held_since = 0.0

    def clear(self) -> None:
        self.policies.clear()
        self.reports.clear()

    def has(self, namespace: str) -> bool:
        return self.policies.has(namespace) or self.reports.has(namespace)

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
            reports_are_held = self.reports.can_start and self.policies.busy
            try:
                await asyncio.wait_for(self.wake.wait(), 0.5 if reports_are_held else None)
            except TimeoutError:
                continue

    def _reports_may_start(self) -> bool:
        now = time.monotonic()
        if not (self.reports.busy and self.policies.busy):
            self._reports_held_since = now
            return self.reports.can_start
        return self.reports.can_start and now - self._reports_held_since > REPORTS_WAIT_SECONDS
