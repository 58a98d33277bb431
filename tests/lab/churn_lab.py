"""The lab of the churn: its namespaces, pods and Services, and the clients that connect all the time."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.lab.lab import Lab
from tests.lab.network import ALLOWED_CLIENTS, Host
from tests.lab.pods import LabPod, PodSpec
from tests.lab.traffic import Probe

OLD_PORT, NEW_PORT = 8080, 8081
GUEST = ("192.0.2.220", "2001:db8::c0:20")
SPARE = ("192.0.2.50", "2001:db8::32")
EXPOSED = {"exposed": "yes"}
FAMILIES = {"v4": 0, "v6": 1}
SITES = 3
#: Client and target (`VIP NAMESPACE/SERVICE` or `NAMESPACE/POD PORT`) → whether it is admitted at the beginning.
STREAMS: Mapping[tuple[str, str], bool] = {
    # Always admitted.
    ("allowed", "VIP shop/web"): True,
    ("allowed", "VIP shop/wide"): True,
    ("allowed", f"shop/wide-b {OLD_PORT}"): True,
    ("allowed", "VIP late/site-1"): True,
    **{("allowed", f"late/site-{i}-0 {OLD_PORT}"): True for i in range(1, SITES + 1)},
    ("late/office", f"late/site-1-0 {OLD_PORT}"): True,
    ("allowed", f"mall/stall {OLD_PORT}"): True,
    ("allowed", f"tenant/den {OLD_PORT}"): True,
    # Never admitted.
    ("stranger", "VIP shop/web"): False,
    ("stranger", f"shop/web-b {OLD_PORT}"): False,
    ("stranger", f"shop/web-b {NEW_PORT}"): False,
    ("stranger", f"shop/wide-a {OLD_PORT}"): False,
    ("stranger", f"shop/wide-b {OLD_PORT}"): False,
    ("stranger", f"shop/mate {OLD_PORT}"): False,
    ("stranger", f"tenant/den {OLD_PORT}"): False,
    ("shop/mate", f"shop/web-b {OLD_PORT}"): False,
    ("shop/mate", f"tenant/den {OLD_PORT}"): False,
    # By what is intended at the moment.
    ("allowed", f"shop/web-b {OLD_PORT}"): True,
    ("allowed", f"shop/web-b {NEW_PORT}"): False,
    ("allowed", f"shop/wide-a {OLD_PORT}"): True,
    ("guest", f"shop/web-b {OLD_PORT}"): False,
    ("guest", f"shop/wide-b {OLD_PORT}"): False,
    ("spare", f"shop/wide-b {OLD_PORT}"): False,
    ("bank/teller", f"shop/wide-b {OLD_PORT}"): False,
    **{("stranger", f"late/site-{i}-0 {OLD_PORT}"): True for i in range(1, SITES + 1)},
    ("bank/teller", f"late/site-2-0 {OLD_PORT}"): True,
    ("stranger", f"mall/stall {OLD_PORT}"): True,
}

Manifest = dict[str, Any]


def service(
    namespace: str, name: str, local: bool, target: int = OLD_PORT, labels: Mapping[str, str] | None = None
) -> Manifest:
    """A LoadBalancer Service for pods with these labels, in both families."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "LoadBalancer",
            "ipFamilyPolicy": "RequireDualStack",
            "externalTrafficPolicy": "Local" if local else "Cluster",
            "selector": {"app": name, **(labels or {})},
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": target}],
        },
    }


def exposure_policy(namespace: str, **spec: Any) -> Manifest:
    return {
        "apiVersion": "exposure.dev/v1alpha1",
        "kind": "ExposurePolicy",
        "metadata": {"namespace": namespace, "name": "edge"},
        "spec": spec,
    }


def namespace(
    name: str, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None
) -> Manifest:
    metadata = {"name": name, "labels": {"team": name, **(labels or {})}, "annotations": dict(annotations or {})}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


class ChurnLab:
    """At first `late` and `mall` are not isolated; `shop` and `tenant` are as soon as an operator runs."""

    def __init__(self, lab: Lab, families: Sequence[int] = (0, 1)) -> None:
        self.lab = lab
        self._families = {name: index for name, index in FAMILIES.items() if index in families}
        lab.add_client("guest", GUEST)
        lab.add_client("spare", SPARE)
        lab.apply(namespace("shop"), namespace("bank"), namespace("late"), namespace("mall"))
        lab.apply(namespace("tenant", EXPOSED))
        lab.add_pods(_pods())
        lab.apply(
            service("shop", "web", True),
            service("shop", "wide", False),
            *(service("late", f"site-{i}", False) for i in range(1, SITES + 1)),
            service("mall", "stall", True),
            service("tenant", "den", True),
            exposure_policy("shop", clients={"cidrs": list(ALLOWED_CLIENTS)}),
            exposure_policy("tenant"),
            {
                "apiVersion": "exposure.dev/v1alpha1",
                "kind": "ClusterExposurePolicy",
                "metadata": {"name": "platform"},
                "spec": {
                    "namespaceSelector": {"matchLabels": EXPOSED},
                    "limits": {"clients": {"cidrs": list(ALLOWED_CLIENTS)}},
                },
            },
        )
        self._vips = {
            f"{where}/{name}": lab.wait_for_addresses(where, name, families=2)
            for where, name in (("shop", "web"), ("shop", "wide"), ("late", "site-1"))
        }
        self._route_clients()
        self.probes = {f"{who} to {what}, {family}": self._probe(who, what, index)
                       for (who, what) in STREAMS for family, index in self._families.items()}  # fmt: skip
        self.verdicts = {f"{who} to {what}, {family}": verdict
                         for (who, what), verdict in STREAMS.items() for family in self._families}  # fmt: skip

    def streams(self, who: str, what: str) -> Iterator[str]:
        """The names of a pair's streams, one in each family."""
        return (f"{who} to {what}, {family}" for family in self._families)

    def _route_clients(self) -> None:
        nodes = list(self.lab.nodes.values())
        for client in self.lab.clients.values():
            lines = [f"route add {c} via {node.addresses[i]}" for node in nodes for i, c in enumerate(node.pod_cidrs)]
            subprocess.run(
                [*client.netns.prefix, "ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True
            )

    def _probe(self, who: str, what: str, family: int) -> Probe:
        sender: LabPod | Host = self.lab.pods[who] if "/" in who else self.lab.clients[who]
        netns = sender.host.netns if isinstance(sender, LabPod) else sender.netns
        first, _, second = what.partition(" ")
        if first == "VIP":
            address = next(vip for vip in self._vips[second] if (":" in vip) == bool(family))
            return Probe(netns, address, 80)
        return Probe(netns, self.lab.pods[first].host.addresses[family], int(second))

    def wait_until_served(self) -> None:
        """Until every load balancer answers those who are admitted."""
        vips = [probe for name, probe in self.probes.items() if name.startswith("allowed to VIP")]
        self.lab.wait_until(vips, lambda result: result.passed)

    def wait_proxied(self, pod: LabPod, wanted: bool, seconds: float = 20.0) -> None:
        """Until kube-proxy on every node sends to a pod, or no longer does; TimeoutError after `seconds`."""
        deadline = time.monotonic() + seconds
        while any(
            _mentions(node.netns.prefix, command, address) != wanted
            for node in self.lab.nodes.values()
            for command, address in zip(("iptables-save", "ip6tables-save"), pod.host.addresses, strict=True)
        ):
            if time.monotonic() > deadline:
                raise TimeoutError(f"kube-proxy and {pod.full_name}: not {wanted} after {seconds:.0f} s")
            time.sleep(0.05)


def _mentions(prefix: tuple[str, ...], command: str, address: str) -> bool:
    rules = subprocess.run([*prefix, command, "-t", "nat"], capture_output=True, text=True, check=True).stdout
    return any(f"--to-destination {form}:" in rules for form in (address, f"[{address}]"))


def _pods() -> Iterator[PodSpec]:
    both = [("TCP", OLD_PORT), ("TCP", NEW_PORT)]
    old_only = both[:1]
    yield web("web-a", "n1")
    yield web("web-b", "n2")
    yield PodSpec("shop", "wide-a", "n1", {"app": "wide", "track": "a"}, serves=old_only)
    yield PodSpec("shop", "wide-b", "n2", {"app": "wide", "track": "b"}, serves=old_only)
    yield PodSpec("shop", "mate", "n1", {"app": "mate"}, serves=old_only)
    yield PodSpec("bank", "teller", "n2", {"app": "teller"}, serves=old_only)
    for i in range(1, SITES + 1):
        yield PodSpec("late", f"site-{i}-0", "n1" if i % 2 else "n2", {"app": f"site-{i}"}, serves=old_only)
    yield PodSpec("late", "office", "n2", {"app": "office"}, serves=old_only)
    yield PodSpec("mall", "stall", "n1", {"app": "stall"}, serves=old_only)
    yield PodSpec("tenant", "den", "n1", {"app": "den"}, serves=old_only)


def web(name: str, node: str) -> PodSpec:
    """A pod of the Service `web`."""
    return PodSpec("shop", name, node, {"app": "web", "tier": "edge"}, serves=[("TCP", OLD_PORT), ("TCP", NEW_PORT)])
