"""Nothing opens and nothing is cut while everything changes, and while the operator is killed at random moments.

Clients connect all the time. One deed after the other: namespaces are adopted and released, policies edited, Services
selected and ported anew, node addresses change, pods roll, policies are deleted by hand. What each client must meet at
each moment follows from what was asked for (`expectations`), never from the operator's own code.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.lab.expectations import LONGEST_WINDOW_SECONDS, Clients, Tally, Timeline
from tests.lab.grounds import (
    EXPOSED,
    GUEST,
    NEW_PORT,
    OLD_PORT,
    SITES,
    SPARE,
    Grounds,
    exposure_policy,
    namespace,
    service,
    web,
)
from tests.lab.lab import Lab
from tests.lab.network import ALLOWED_CLIENTS
from tests.lab.operated import Operator

DWELL_SECONDS = 0.4  # between deeds, where every verdict is exact
SLOW_WRITE_SECONDS = 0.03
CNI = "kube-router"


@dataclass(slots=True)
class Outcome:
    """`deeds` by name, in the order they were done; `late`: changes that were not in force in time."""

    tally: Tally
    deeds: list[str] = field(default_factory=list)
    kills: int = 0
    late: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> int:
        return self.tally.wrong + len(self.late)


class Churn:
    """`run` does deeds in a random order (of `seed`) until enough connections were made.

    `kills` False leaves the operator alive throughout.
    """

    def __init__(self, grounds: Grounds, operator: Operator, seed: int, *, kills: bool = True) -> None:
        self._grounds, self._operator, self._lab = grounds, operator, grounds.lab
        self._random = random.Random(seed)
        self._kills = kills
        self._timeline = Timeline(grounds.verdicts)
        self._late: list[str] = []
        self._turned: dict[str, bool] = {}
        self._web, self._pods_made = "shop/web-a", 0
        self._selector: dict[str, str] = {}
        self._target = OLD_PORT
        self._clients: Clients | None = None

    @property
    def deeds(self) -> dict[str, Callable[[], None]]:
        return {
            "adopt or release a namespace": self.adopt,
            "audit a namespace or enforce": self.audit,
            "label a namespace for the platform's policy": self.label,
            "edit clients": self.edit_clients,
            "edit peers": self.edit_peers,
            "another target port": self.port,
            "another selector": self.select,
            "a selector that says more": self.select_the_same,
            "another node address": self.node_address,
            "roll a pod": self.roll,
            "delete a policy by hand": self.by_hand,
            "nothing but a crash": self.crash,
        }

    def run(self, probes: int, seconds: float, only: Iterable[str] = ()) -> Outcome:
        """At least `probes` connections and every deed once, within `seconds`; a mistake found does not end it."""
        deeds = {name: deed for name, deed in self.deeds.items() if not only or name in set(only)}
        began = time.monotonic()
        unready = self._settle_before()
        done: list[str] = []
        self._clients = Clients(self._lab.traffic, self._grounds.probes, self._timeline)
        try:
            while not unready and time.monotonic() - began < seconds:
                if self._clients.probes >= probes and set(done) >= set(deeds):
                    break
                # All of them in a new order each round.
                name = self._next(list(deeds), len(done))
                deeds[name]()
                done.append(name)
                time.sleep(DWELL_SECONDS)
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
        streams = Clients(self._lab.traffic, self._grounds.probes, self._timeline, at_once=0)
        deadline = time.monotonic() + LONGEST_WINDOW_SECONDS / 4
        while wrong := streams.check(self._grounds.probes):
            if time.monotonic() > deadline:
                return [f"before any deed: {each}" for each in wrong]
            time.sleep(0.2)
        return []

    def _do(self, what: str, write: Callable[[], object], after: dict[str, bool], loose: Iterable[str] = ()) -> None:
        """One change, from before it is asked for until it is in force, with a crash at a random moment of it."""
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
        while right < 3:  # a load balancer chooses among pods: once is not always
            self._operator.wait_quiet(quiet=0.2)
            wrong = self._clients.check(streams) if streams else []
            right = 0 if wrong else right + 1
            if time.monotonic() > deadline:
                self._late.append(f"{what}: not in force after {LONGEST_WINDOW_SECONDS:.0f} s: {wrong[:4]}")
                return
            if not streams:
                return

    def _turn(self, what: str) -> bool:
        self._turned[what] = not self._turned.get(what, False)
        return self._turned[what]

    def _both(self, verdict: bool, *pairs: tuple[str, str]) -> dict[str, bool]:
        return {name: verdict for pair in pairs for name in self._grounds.streams(*pair)}

    def _outsiders_of_late(self, verdict: bool) -> dict[str, bool]:
        return self._both(
            verdict,
            *(("stranger", f"late/site-{i}-0 {OLD_PORT}") for i in range(1, SITES + 1)),
            ("bank/teller", f"late/site-2-0 {OLD_PORT}"),
        )

    def adopt(self) -> None:
        """A namespace that stood open is closed but for its clients and neighbours; next time it is let go."""
        if self._turned.get("audit"):
            self.audit()
        if self._turn("adopt"):
            policy = exposure_policy(
                "late", clients={"cidrs": list(ALLOWED_CLIENTS)}, isolation={"allowSameNamespace": True}
            )
            self._do("adopt", lambda: self._lab.api.apply(policy), self._outsiders_of_late(False))
        else:
            self._do(
                "release",
                lambda: self._lab.api.delete("ExposurePolicy", "late", "edge"),
                self._outsiders_of_late(True),
            )

    def audit(self) -> None:
        """A namespace's way out, and back."""
        out = self._turn("audit")
        annotations = {"exposure.dev/mode": "Audit"} if out else {}
        adopted = self._turned.get("adopt", False)
        self._do(
            "audit" if out else "enforce",
            lambda: self._lab.api.apply(namespace("late", **annotations)),
            self._outsiders_of_late(out) if adopted else {},
        )

    def label(self) -> None:
        """The platform's policy begins to cover a namespace, or no longer does."""
        covered = self._turn("label")
        self._do(
            "cover" if covered else "uncover",
            lambda: self._lab.api.apply(namespace("mall", EXPOSED if covered else {})),
            self._both(not covered, ("stranger", f"mall/stall {OLD_PORT}")),
        )

    def _shop(self) -> None:
        guests = [f"{each}/{128 if ':' in each else 32}" for each in GUEST] if self._turned.get("guests") else []
        bank = [{"namespaceSelector": {"matchLabels": {"team": "bank"}}}] if self._turned.get("peers") else []
        self._lab.api.apply(
            exposure_policy("shop", clients={"cidrs": [*ALLOWED_CLIENTS, *guests]}, **({"peers": bank} if bank else {}))
        )

    def edit_clients(self) -> None:
        """Somebody more may come in, or no longer may."""
        invited = self._turn("guests")
        self._do(
            "invite guests" if invited else "send guests away",
            self._shop,
            self._both(invited and self._target == OLD_PORT, ("guest", f"shop/web-b {OLD_PORT}"))
            | self._both(invited, ("guest", f"shop/wide-b {OLD_PORT}")),
        )

    def edit_peers(self) -> None:
        """Another namespace may call, or no longer may."""
        named = self._turn("peers")
        after = self._both(named, ("bank/teller", f"shop/wide-b {OLD_PORT}"))
        self._do("name peers" if named else "name no peers", self._shop, after)

    def _web_service(self) -> None:
        self._lab.api.apply(service("shop", "web", True, self._target, **self._selector))

    def port(self) -> None:
        """The pods of a Service are called on another port. What kube-proxy does meanwhile is not the policies' doing."""
        self._target = NEW_PORT if self._target == OLD_PORT else OLD_PORT
        self._do(
            f"target port {self._target}",
            self._web_service,
            self._both(self._target == OLD_PORT, ("allowed", f"shop/web-b {OLD_PORT}"))
            | self._both(self._target == NEW_PORT, ("allowed", f"shop/web-b {NEW_PORT}"))
            | self._both(
                self._target == OLD_PORT and self._turned.get("guests", False), ("guest", f"shop/web-b {OLD_PORT}")
            ),
            loose=self._grounds.streams("allowed", "VIP shop/web"),
        )

    def select(self) -> None:
        """A Service leaves one of its pods behind, or takes it back."""
        fewer = self._turn("select")
        self._do(
            "select fewer pods" if fewer else "select all pods",
            lambda: self._lab.api.apply(service("shop", "wide", False, **({"track": "b"} if fewer else {}))),
            self._both(not fewer, ("allowed", f"shop/wide-a {OLD_PORT}")),
            loose=self._grounds.streams("allowed", "VIP shop/wide"),
        )

    def select_the_same(self) -> None:
        """A selector says the same pods in other words: nobody may notice."""
        self._selector = {"tier": "edge"} if self._turn("words") else {}
        self._do("the same pods in other words", self._web_service, {})

    def node_address(self) -> None:
        """A node has one more address, from which it may SNAT, or one less."""
        more = self._turn("address")
        node = self._lab.nodes["n2"]
        found = [*node.addresses, *(SPARE if more else ())]
        status = {"status": {"addresses": [{"type": "InternalIP", "address": each} for each in found]}}
        self._do(
            "a node address more" if more else "a node address less",
            lambda: self._lab.api.call(
                "PATCH", f"/api/v1/nodes/{node.name}/status", status, "application/merge-patch+json"
            ),
            self._both(more, ("spare", f"shop/wide-b {OLD_PORT}")),
        )

    def roll(self) -> None:
        """One pod takes another's place, as a rollout does it: nobody may notice."""
        self._pods_made += 1

        def replace() -> None:
            old = self._lab.pods[self._web]
            [new] = self._lab.add_pods([web(f"web-a{self._pods_made}", "n1")])
            self._grounds.wait_proxied(new, True)
            self._lab.set_ready(old, False)
            self._grounds.wait_proxied(old, False)
            time.sleep(1.0)  # as a pod is given time to finish what it has begun
            self._lab.remove_pod(old)
            self._web = new.full_name

        self._do("roll a pod", replace, {})

    def by_hand(self) -> None:
        """Somebody deletes a grant: it is put back. Meanwhile those it let in are kept out, and nobody else gets in."""
        pairs = [("allowed", "VIP shop/web"), *(("allowed", f"shop/web-b {port}") for port in (OLD_PORT, NEW_PORT)),
                 ("guest", f"shop/web-b {OLD_PORT}")]  # fmt: skip
        hurt = [name for pair in pairs for name in self._grounds.streams(*pair) if self._timeline.verdict(name)]
        self._do("delete by hand", lambda: self._lab.api.delete("NetworkPolicy", "shop", "exposure-to-web"), {}, hurt)

    def crash(self) -> None:
        """The operator dies and comes back; nothing was asked for, so nothing changes."""
        self._timeline.note("crash")
        self._operator.crash()
        self._operator.wait_quiet()


def run(
    lab: Lab, operator: Operator, seed: int, probes: int, seconds: float, *, kills: bool = True, only: Iterable[str] = ()
) -> Outcome:
    """The whole part in a lab of its own; see `Churn.run`."""
    grounds = Grounds(lab)
    operator.wait_quiet()
    grounds.wait_until_served()
    return Churn(grounds, operator, seed, kills=kills).run(probes, seconds, only)
