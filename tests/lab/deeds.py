"""What people and clusters do while clients connect, and what follows for each client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from tests.lab.contexts import (
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
from tests.lab.expectations import Timeline
from tests.lab.network import ALLOWED_CLIENTS


class Do(Protocol):
    """Carries out a change: its name, the write, the verdicts afterwards, and who may meet anything meanwhile."""

    def __call__(
        self, what: str, write: Callable[[], object], after: dict[str, bool], loose: Iterable[str] = ()
    ) -> None: ...


class Deeds:
    """Each deed is done by `do`; done again, most are undone. `all` has them by name."""

    def __init__(self, grounds: Grounds, timeline: Timeline, do: Do) -> None:
        self._grounds, self._timeline, self._do = grounds, timeline, do
        self._turned: dict[str, bool] = {}
        self._web, self._pods_made = "shop/web-a", 0
        self._selector: dict[str, str] = {}
        self._target = OLD_PORT

    @property
    def all(self) -> dict[str, Callable[[], None]]:
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
        }

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
            self._do("adopt", lambda: self._grounds.lab.api.apply(policy), self._outsiders_of_late(False))
        else:
            self._do(
                "release",
                lambda: self._grounds.lab.api.delete("ExposurePolicy", "late", "edge"),
                self._outsiders_of_late(True),
            )

    def audit(self) -> None:
        """A namespace's way out, and back."""
        out = self._turn("audit")
        annotations = {"exposure.dev/mode": "Audit"} if out else {}
        adopted = self._turned.get("adopt", False)
        self._do(
            "audit" if out else "enforce",
            lambda: self._grounds.lab.api.apply(namespace("late", annotations=annotations)),
            self._outsiders_of_late(out) if adopted else {},
        )

    def label(self) -> None:
        """The platform's policy begins to cover a namespace, or no longer does."""
        covered = self._turn("label")
        self._do(
            "cover" if covered else "uncover",
            lambda: self._grounds.lab.api.apply(namespace("mall", EXPOSED if covered else {})),
            self._both(not covered, ("stranger", f"mall/stall {OLD_PORT}")),
        )

    def _shop(self) -> None:
        guests = [f"{each}/{128 if ':' in each else 32}" for each in GUEST] if self._turned.get("guests") else []
        bank = [{"namespaceSelector": {"matchLabels": {"team": "bank"}}}] if self._turned.get("peers") else []
        self._grounds.lab.api.apply(
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
        self._grounds.lab.api.apply(service("shop", "web", True, self._target, self._selector))

    def port(self) -> None:
        """The pods of a Service are called on another port. When kube-proxy turns over is not the policies' doing."""
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
            lambda: self._grounds.lab.api.apply(
                service("shop", "wide", False, labels={"track": "b"} if fewer else None)
            ),
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
        node = self._grounds.lab.nodes["n2"]
        found = [*node.addresses, *(SPARE if more else ())]
        status = {"status": {"addresses": [{"type": "InternalIP", "address": each} for each in found]}}
        self._do(
            "a node address more" if more else "a node address less",
            lambda: self._grounds.lab.api.call(
                "PATCH", f"/api/v1/nodes/{node.name}/status", status, "application/merge-patch+json"
            ),
            self._both(more, ("spare", f"shop/wide-b {OLD_PORT}")),
        )

    def roll(self) -> None:
        """One pod takes another's place, as a rollout does it: nobody may notice."""
        self._pods_made += 1

        def replace() -> None:
            old = self._grounds.lab.pods[self._web]
            [new] = self._grounds.lab.add_pods([web(f"web-a{self._pods_made}", "n1")])
            self._grounds.wait_proxied(new, True)
            self._grounds.lab.set_ready(old, False)
            self._grounds.wait_proxied(old, False)
            time.sleep(1.0)  # as a pod is given time to finish what it has begun
            self._grounds.lab.remove_pod(old)
            self._web = new.full_name

        self._do("roll a pod", replace, {})

    def by_hand(self) -> None:
        """Somebody deletes a grant: it is put back. Meanwhile those it let in are kept out, and nobody else gets in."""
        pairs = [("allowed", "VIP shop/web"), *(("allowed", f"shop/web-b {port}") for port in (OLD_PORT, NEW_PORT)),
                 ("guest", f"shop/web-b {OLD_PORT}")]  # fmt: skip
        hurt = [name for pair in pairs for name in self._grounds.streams(*pair) if self._timeline.verdict(name)]
        self._do(
            "delete by hand", lambda: self._grounds.lab.api.delete("NetworkPolicy", "shop", "exposure-to-web"), {}, hurt
        )
