"""What is changed while clients connect, and what follows for each client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from tests.lab.churn_lab import (
    EXPOSED,
    GUEST,
    NEW_PORT,
    OLD_PORT,
    SITES,
    SPARE,
    ChurnLab,
    exposure_policy,
    namespace,
    service,
    web,
)
from tests.lab.expectations import Timeline
from tests.lab.network import ALLOWED_CLIENTS


class Do(Protocol):
    """Carries out a change: its name, the write, the verdicts afterwards, and the streams without verdict meanwhile."""

    def __call__(
        self, what: str, write: Callable[[], object], after: dict[str, bool], loose: Iterable[str] = ()
    ) -> None: ...


class Actions:
    """Each action is carried out by `do`. Most are undone the next time. `all` has them by name."""

    def __init__(self, churn_lab: ChurnLab, timeline: Timeline, do: Do) -> None:
        self._churn_lab, self._timeline, self._do = churn_lab, timeline, do
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
            "a selector with one more label": self.select_the_same,
            "another node address": self.node_address,
            "roll a pod": self.roll,
            "delete a policy": self.by_hand,
        }

    def _turn(self, what: str) -> bool:
        self._turned[what] = not self._turned.get(what, False)
        return self._turned[what]

    def _both(self, verdict: bool, *pairs: tuple[str, str]) -> dict[str, bool]:
        return {name: verdict for pair in pairs for name in self._churn_lab.streams(*pair)}

    def _outsiders_of_late(self, verdict: bool) -> dict[str, bool]:
        return self._both(
            verdict,
            *(("stranger", f"late/site-{i}-0 {OLD_PORT}") for i in range(1, SITES + 1)),
            ("bank/teller", f"late/site-2-0 {OLD_PORT}"),
        )

    def adopt(self) -> None:
        """A namespace becomes isolated but for its clients and its own pods; next time it is released."""
        if self._turned.get("audit"):
            self.audit()
        if self._turn("adopt"):
            policy = exposure_policy(
                "late", clients={"cidrs": list(ALLOWED_CLIENTS)}, isolation={"allowSameNamespace": True}
            )
            self._do("adopt", lambda: self._churn_lab.lab.api.apply(policy), self._outsiders_of_late(False))
        else:
            self._do(
                "release",
                lambda: self._churn_lab.lab.api.delete("ExposurePolicy", "late", "edge"),
                self._outsiders_of_late(True),
            )

    def audit(self) -> None:
        """A namespace is annotated Audit; next time the annotation is removed."""
        out = self._turn("audit")
        annotations = {"exposure.dev/mode": "Audit"} if out else {}
        adopted = self._turned.get("adopt", False)
        self._do(
            "audit" if out else "enforce",
            lambda: self._churn_lab.lab.api.apply(namespace("late", annotations=annotations)),
            self._outsiders_of_late(out) if adopted else {},
        )

    def label(self) -> None:
        """The ClusterExposurePolicy begins to select a namespace, or no longer does."""
        selected = self._turn("label")
        self._do(
            "select a namespace" if selected else "select it no longer",
            lambda: self._churn_lab.lab.api.apply(namespace("mall", EXPOSED if selected else {})),
            self._both(not selected, ("stranger", f"mall/stall {OLD_PORT}")),
        )

    def _shop(self) -> None:
        guests = (
            [f"{address}/{128 if ':' in address else 32}" for address in GUEST] if self._turned.get("guests") else []
        )
        bank = [{"namespaceSelector": {"matchLabels": {"team": "bank"}}}] if self._turned.get("peers") else []
        self._churn_lab.lab.api.apply(
            exposure_policy("shop", clients={"cidrs": [*ALLOWED_CLIENTS, *guests]}, **({"peers": bank} if bank else {}))
        )

    def edit_clients(self) -> None:
        """More clients are admitted, or no longer are."""
        invited = self._turn("guests")
        self._do(
            "invite guests" if invited else "send guests away",
            self._shop,
            self._both(invited and self._target == OLD_PORT, ("guest", f"shop/web-b {OLD_PORT}"))
            | self._both(invited, ("guest", f"shop/wide-b {OLD_PORT}")),
        )

    def edit_peers(self) -> None:
        """Another namespace is a peer, or no longer is."""
        named = self._turn("peers")
        after = self._both(named, ("bank/teller", f"shop/wide-b {OLD_PORT}"))
        self._do("name peers" if named else "name no peers", self._shop, after)

    def _web_service(self) -> None:
        self._churn_lab.lab.api.apply(service("shop", "web", True, self._target, self._selector))

    def port(self) -> None:
        """A Service has another target port. Its address has no verdict meanwhile: kube-proxy changes when it can."""
        self._target = NEW_PORT if self._target == OLD_PORT else OLD_PORT
        self._do(
            f"target port {self._target}",
            self._web_service,
            self._both(self._target == OLD_PORT, ("allowed", f"shop/web-b {OLD_PORT}"))
            | self._both(self._target == NEW_PORT, ("allowed", f"shop/web-b {NEW_PORT}"))
            | self._both(
                self._target == OLD_PORT and self._turned.get("guests", False), ("guest", f"shop/web-b {OLD_PORT}")
            ),
            loose=self._churn_lab.streams("allowed", "VIP shop/web"),
        )

    def select(self) -> None:
        """A Service leaves one of its pods behind, or takes it back."""
        fewer = self._turn("select")
        self._do(
            "select fewer pods" if fewer else "select all pods",
            lambda: self._churn_lab.lab.api.apply(
                service("shop", "wide", False, labels={"track": "b"} if fewer else None)
            ),
            self._both(not fewer, ("allowed", f"shop/wide-a {OLD_PORT}")),
            loose=self._churn_lab.streams("allowed", "VIP shop/wide"),
        )

    def select_the_same(self) -> None:
        """A selector selects the same pods by other labels: no connection may differ."""
        self._selector = {"tier": "edge"} if self._turn("words") else {}
        self._do("the same pods by other labels", self._web_service, {})

    def node_address(self) -> None:
        """A node has one more address, from which it may SNAT, or one less."""
        more = self._turn("address")
        node = self._churn_lab.lab.nodes["n2"]
        addresses = [*node.addresses, *(SPARE if more else ())]
        status = {"status": {"addresses": [{"type": "InternalIP", "address": address} for address in addresses]}}
        self._do(
            "a node address more" if more else "a node address less",
            lambda: self._churn_lab.lab.api.call(
                "PATCH", f"/api/v1/nodes/{node.name}/status", status, "application/merge-patch+json"
            ),
            self._both(more, ("spare", f"shop/wide-b {OLD_PORT}")),
        )

    def roll(self) -> None:
        """One pod replaces another, as in a rollout: no connection may differ."""
        self._pods_made += 1

        def replace() -> None:
            old = self._churn_lab.lab.pods[self._web]
            [new] = self._churn_lab.lab.add_pods([web(f"web-a{self._pods_made}", "n1")])
            self._churn_lab.wait_proxied(new, True)
            self._churn_lab.lab.set_ready(old, False)
            self._churn_lab.wait_proxied(old, False)
            time.sleep(1.0)  # as a pod has a grace period for connections under way
            self._churn_lab.lab.remove_pod(old)
            self._web = new.full_name

        self._do("roll a pod", replace, {})

    def by_hand(self) -> None:
        """A NetworkPolicy is deleted by hand and put back. Meanwhile its clients may be refused."""
        pairs = [("allowed", "VIP shop/web"), *(("allowed", f"shop/web-b {port}") for port in (OLD_PORT, NEW_PORT)),
                 ("guest", f"shop/web-b {OLD_PORT}")]  # fmt: skip
        refused = [name for pair in pairs for name in self._churn_lab.streams(*pair) if self._timeline.verdict(name)]
        self._do(
            "delete by hand",
            lambda: self._churn_lab.lab.api.delete("NetworkPolicy", "shop", "exposure-to-web"),
            {},
            refused,
        )
