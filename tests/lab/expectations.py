"""Which connections must be admitted at which moment, computed from intent alone: what was written, and when.

A change has a window, from just before its write until probes show that it is in force. A connection that overlaps the
window may meet the old verdict or the new one. Outside, and wherever old and new are the same, it must be exact.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.lab.traffic import Outcome, Probe, ProbeResult, Traffic

LONGEST_WINDOW_SECONDS = 60.0
_SHOWN = 40


@dataclass(slots=True)
class _Window:
    began: float
    what: str
    verdicts: frozenset[bool]
    ended: float = float("inf")


@dataclass(slots=True)
class _History:
    """One stream: its verdict now, and the windows so far."""

    verdict: bool
    since: float
    windows: list[_Window] = field(default_factory=list)
    steady: list[tuple[float, bool]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A connection that met a verdict which did not hold at any moment of it."""

    stream: str
    expected: bool
    outcome: Outcome
    started: float
    ended: float
    lately: str

    def __str__(self) -> str:
        expected = "admitted" if self.expected else "refused"
        return (
            f"{self.stream}: expected {expected}, was {self.outcome.value} at {self.started:.3f} "
            f"({1000 * (self.ended - self.started):.0f} ms), {self.lately}"
        )


class Timeline:
    """The verdicts of every stream over time (time.monotonic). Thread-safe."""

    def __init__(self, verdicts: Mapping[str, bool]) -> None:
        now = time.monotonic()
        self._lock = threading.Lock()
        self._streams = {name: _History(verdict, now, steady=[(now, verdict)]) for name, verdict in verdicts.items()}
        self._actions: list[tuple[float, str]] = []

    def verdict(self, stream: str) -> bool:
        """The verdict on a stream now, or after the change that is under way."""
        return self._streams[stream].verdict

    def note(self, action: str) -> None:
        """Remembers an action and its time, for the message about a wrong connection."""
        with self._lock:
            self._actions.append((time.monotonic(), action))

    @contextmanager
    def change(self, what: str, after: Mapping[str, bool], loose: Iterable[str] = ()) -> Iterator[None]:
        """A change of verdicts, under way inside the block. `loose` streams may meet anything meanwhile."""
        began = time.monotonic()
        windows = []
        with self._lock:
            self._actions.append((began, what))
            for name in {*after, *loose}:
                stream = self._streams[name]
                new = after.get(name, stream.verdict)
                both = frozenset({True, False}) if name in set(loose) else frozenset({stream.verdict, new})
                windows.append(_Window(began, what, both))
                stream.windows.append(windows[-1])
                stream.verdict = new
        yield
        ended = time.monotonic()
        with self._lock:
            for window in windows:
                window.ended = ended
            for name in {*after, *loose}:
                self._streams[name].steady.append((ended, self._streams[name].verdict))

    def judge(self, stream: str, result: ProbeResult) -> Wrong | None:
        """Wrong where a connection met a verdict that held at no moment of it."""
        with self._lock:
            history = self._streams[stream]
            possible = {
                verdict
                for window in history.windows
                if window.began <= result.ended and result.started <= window.ended
                for verdict in window.verdicts
            }
            # Outside of windows: the last verdict that was steady when it began.
            possible |= {next(verdict for at, verdict in reversed(history.steady) if at <= result.started)}
            if result.passed in possible:
                return None
            lately = [
                f"{result.started - at:+.3f} s after {action}" for at, action in self._actions if at <= result.ended
            ][-3:]
            return Wrong(
                stream,
                not result.passed,
                result.outcome,
                result.started,
                result.ended,
                "; ".join(lately) or "before any action",
            )


@dataclass(slots=True)
class Tally:
    """What became of all connections. `wrong_shown` holds the first of the wrong ones."""

    probes: int = 0
    passed: int = 0
    wrong: int = 0
    by_stream: Counter[str] = field(default_factory=Counter)
    wrong_shown: list[Wrong] = field(default_factory=list)


class Clients:
    """Clients that connect all the time, one connection after the other, until `close`; then `tally` has everything."""

    def __init__(self, traffic: Traffic, streams: Mapping[str, Probe], timeline: Timeline, at_once: int = 8) -> None:
        self._traffic, self._streams, self._timeline = traffic, dict(streams), timeline
        self._seen: list[tuple[str, ProbeResult]] = []
        self._tally = Tally()
        self._stop = False
        self._done = self._traffic.start(self._connect(at_once))

    @property
    def probes(self) -> int:
        return len(self._seen) + self._tally.probes

    def check(self, names: Iterable[str]) -> list[str]:
        """Of these streams, those whose next connection does not meet its verdict."""
        wanted = list(names)
        results = self._traffic.probe([self._streams[name] for name in wanted])
        return [n for n, result in zip(wanted, results, strict=True) if result.passed != self._timeline.verdict(n)]

    def tally(self) -> Tally:
        """Judges the connections so far. Only while no change is under way."""
        results, self._seen = self._seen, []
        total = self._tally
        for name, result in results:
            total.probes += 1
            total.passed += result.passed
            total.by_stream[name] += 1
            if wrong := self._timeline.judge(name, result):
                total.wrong += 1
                if len(total.wrong_shown) < _SHOWN:
                    total.wrong_shown.append(wrong)
        return total

    def close(self) -> Tally:
        """Let every connection come to its end, and judge them all."""
        self._stop = True
        self._done.result(timeout=30)
        return self.tally()

    async def _connect(self, at_once: int) -> None:
        names = list(self._streams)
        turn = 0

        async def work() -> None:
            nonlocal turn
            while not self._stop:
                name = names[turn % len(names)]
                turn += 1
                self._seen.append((name, await self._traffic.connect(self._streams[name])))
                await asyncio.sleep(0)

        await asyncio.gather(*(work() for _ in range(at_once)))
