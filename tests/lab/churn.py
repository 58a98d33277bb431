"""Nothing opens and nothing is cut while everything changes, and while the operator is killed at random moments.

Clients connect all the time, while one action follows the other: namespaces are adopted and released, policies edited,
selectors and ports of Services changed, node addresses changed, pods replaced, policies deleted by hand. What each
client must meet at each moment follows from intent (`expectations`), never from the operator's own code.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.lab.actions import Actions
from tests.lab.churn_lab import ChurnLab
from tests.lab.expectations import LONGEST_WINDOW_SECONDS, Clients, Tally, Timeline
from tests.lab.lab import Lab
from tests.lab.operated import Operator

DWELL_SECONDS = 0.4  # between actions, where every verdict is exact
SLOW_WRITE_SECONDS = 0.03
CNI = "kube-router"


@dataclass(slots=True)
class Outcome:
    """`actions` by name, in the order they were done; `late`: changes that were not in force in time."""

    tally: Tally
    actions: list[str] = field(default_factory=list)
    kills: int = 0
    late: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> int:
        return self.tally.wrong + len(self.late)


class Churn:
    """`run` does actions in a random order (of `seed`) until enough connections were made.

    `kills` False leaves the operator alive throughout.
    """

    def __init__(self, churn_lab: ChurnLab, operator: Operator, seed: int, *, kills: bool = True) -> None:
        self._churn_lab, self._operator, self._lab = churn_lab, operator, churn_lab.lab
        self._random = random.Random(seed)
        self._kills = kills
        self._timeline = Timeline(churn_lab.verdicts)
        self._late: list[str] = []
        self._actions = {**Actions(churn_lab, self._timeline, self._do).all, "nothing but a crash": self.crash}
        self._clients: Clients | None = None
        self._order: list[str] = []

    def run(
        self, probes: int, seconds: float, only: Iterable[str] = (), *, rounds: int = 1, until_wrong: bool = False
    ) -> Outcome:
        """At least `probes` connections and `rounds` rounds of actions, in `seconds`; `until_wrong` stops at a mistake.

        Most actions are undone in every second round.
        """
        actions = {name: action for name, action in self._actions.items() if not only or name in set(only)}
        began = time.monotonic()
        unready = self._settle_before()
        done: list[str] = []
        self._clients = Clients(self._lab.traffic, self._churn_lab.probes, self._timeline)
        try:
            while not unready and time.monotonic() - began < seconds:
                if self._clients.probes >= probes and len(done) >= rounds * len(actions):
                    break
                # All of them in a new order each round.
                name = self._next(list(actions), len(done))
                actions[name]()
                done.append(name)
                time.sleep(DWELL_SECONDS)
                if self._late or (self._clients.tally().wrong and until_wrong):
                    break
        finally:
            tally = self._clients.close()
        took = round(time.monotonic() - began, 1)
        return Outcome(tally, done, self._operator.kills, unready + self._late, took)

    def _next(self, names: list[str], number: int) -> str:
        if number % len(names) == 0:
            self._order = self._random.sample(names, len(names))
        return self._order[number % len(names)]

    def _settle_before(self) -> list[str]:
        self._operator.wait_quiet()
        streams = Clients(self._lab.traffic, self._churn_lab.probes, self._timeline, at_once=0)
        deadline = time.monotonic() + LONGEST_WINDOW_SECONDS / 4
        while wrong := streams.check(self._churn_lab.probes):
            if time.monotonic() > deadline:
                return [f"before any action: {stream}" for stream in wrong]
            time.sleep(0.2)
        return []

    def _do(self, what: str, write: Callable[[], object], after: dict[str, bool], loose: Iterable[str] = ()) -> None:
        """One change, from before its write until it is in force, with a crash at a random moment."""
        assert self._clients
        crash = self._random.choice(("never", "before", "during", "during", "after")) if self._kills else "never"
        loosened = set(loose)
        with self._timeline.change(f"{what} (crash: {crash})", after, loosened):
            if crash == "before":
                self._operator.kill()
            write()
            if crash in ("before", "during"):
                time.sleep(self._random.uniform(0.0, 0.25))
                self._operator.crash()
            self._wait_in_force(what, {*after, *loosened})
        if crash == "after":
            self._timeline.note("crash")
            self._operator.crash()
            self._operator.wait_quiet()

    def _wait_in_force(self, what: str, streams: set[str]) -> None:
        assert self._clients
        deadline = time.monotonic() + LONGEST_WINDOW_SECONDS
        right = 0
        while right < 3:  # a load balancer chooses among pods, so one right answer is not enough
            self._operator.wait_quiet(quiet=0.2)
            wrong = self._clients.check(streams) if streams else []
            right = 0 if wrong else right + 1
            if time.monotonic() > deadline:
                self._late.append(f"{what}: not in force after {LONGEST_WINDOW_SECONDS:.0f} s: {wrong[:4]}")
                return
            if not streams:
                return

    def crash(self) -> None:
        """The operator dies and is restarted. Intent is the same, so nothing changes."""
        self._timeline.note("crash")
        self._operator.crash()
        self._operator.wait_quiet()


def run(
    lab: Lab,
    operator: Operator,
    seed: int,
    probes: int,
    seconds: float,
    *,
    families: Sequence[int] = (0, 1),
    kills: bool = True,
    only: Iterable[str] = (),
    rounds: int = 1,
    until_wrong: bool = False,
) -> Outcome:
    """Everything in one call; see `Churn.run`."""
    churn_lab = ChurnLab(lab, families)
    operator.wait_quiet()
    churn_lab.wait_until_served()
    return Churn(churn_lab, operator, seed, kills=kills).run(
        probes, seconds, only, rounds=rounds, until_wrong=until_wrong
    )
