"""One lab: control plane, nodes, kube-proxy, MetalLB, an enforcer, pods and clients. It starts in seconds.

with Lab(nodes=2) as lab:
    web = lab.add_pods([PodSpec("shop", "web-0", "n1", {"app": "web"}, serves=(("TCP", 8080),))])[0]
    lab.apply({"kind": "Service", …})
    [result] = lab.probe([Probe(lab.clients["allowed"].netns, "192.0.2.64", 80)])
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import Part
from tests.lab import parts
from tests.lab.api import Api
from tests.lab.enforcer.nft import Nftables
from tests.lab.enforcer.rules import closed_pod_rules
from tests.lab.folders import FOLDER, sweep
from tests.lab.network import CONTROL_PLANE, Host, Network, Node, PodHost
from tests.lab.pods import LabPod, PodSpec, pod_manifest, pod_status
from tests.lab.traffic import Probe, ProbeResult, Traffic

CLIENTS = {
    "allowed": ("192.0.2.130", "2001:db8::80:2"),
    "stranger": ("192.0.2.200", "2001:db8::c0:2"),
}
CNI_SETTLE_SECONDS = 3.0
_PLURALS = {"NetworkPolicy": "networkpolicies", "Pod": "pods", "Node": "nodes", "Namespace": "namespaces"}
_T = TypeVar("_T")


class Lab:
    """`start` and `stop`, or a `with` block. Root only. Several live side by side.

    `position`   where ingress is filtered: "pre" or "post" SNAT (the lab's own enforcer only)
    `proxy_mode` kube-proxy's: "iptables" or "nftables"
    `denial`     how the enforcer denies: "reject" (at once) or "drop" (silence)
    `enforcing`  False: a cluster whose CNI ignores policies
    `metallb`    False: no load balancer
    """

    def __init__(
        self,
        *,
        nodes: int = 2,
        position: str = "pre",
        proxy_mode: str = "iptables",
        denial: str = "reject",
        enforcing: bool = True,
        metallb: bool = True,
    ) -> None:
        self.position, self.proxy_mode, self.denial = position, proxy_mode, denial
        self._wanted_nodes, self._enforcing, self._with_metallb = nodes, enforcing, metallb
        self._pods: dict[str, LabPod] = {}
        self._parts: list[Part] = []
        self._speaker_key = parts.new_speaker_key()
        self.nodes: dict[str, Node] = {}
        self.clients: dict[str, Host] = {}
        self.proxies: list[Part] = []
        self.enforcer: parts.Enforcer | None = None
        self.timings: dict[str, float] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pods(self) -> Mapping[str, LabPod]:
        """Every running pod by namespace/name."""
        return self._pods

    def start(self) -> None:
        """Starts everything; RuntimeError or OSError if a part does not start."""
        sweep()
        self.root = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
        self.namespaces = self.root / "netns"
        self.namespaces.mkdir()
        try:
            self.network = self._timed("network", Network)
            self.traffic = Traffic()
            self._link("control-plane", self.network.control_plane)
            self.cluster = ControlPlane(
                self.root / "cluster",
                exec_prefix=self.network.control_plane.netns.prefix,
                address=CONTROL_PLANE[0],
            )
            self._timed("control plane", self.cluster.start)
            self.api = Api(
                self.network.control_plane.netns, self.cluster.url, self.cluster.admin_token, str(self.cluster.ca_file)
            )
            self._timed("nodes", lambda: self.add_nodes([f"n{i + 1}" for i in range(self._wanted_nodes)]))
            for name, addresses in CLIENTS.items():
                self.add_client(name, addresses)
            self._timed("enforcer", self._start_enforcer)
            if self._with_metallb:
                self._timed("metallb", self._start_metallb)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every part, and with them every namespace. Calling it twice does no harm."""
        for part in reversed(self._parts):
            part.stop(kill=True)
        self._parts.clear()
        if hasattr(self, "cluster"):
            self.cluster.stop()
        if hasattr(self, "traffic"):
            self.traffic.close()
            del self.traffic
        if hasattr(self, "network"):
            self.network.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def _timed(self, what: str, work: Callable[[], _T]) -> _T:
        began = time.monotonic()
        result = work()
        self.timings[what] = round(time.monotonic() - began, 2)
        return result

    def _link(self, name: str, host: Host | Node | PodHost) -> None:
        """A link by which the enforcer, and a person with nsenter, finds a namespace."""
        (self.namespaces / name).unlink(missing_ok=True)
        (self.namespaces / name).symlink_to(host.netns.path)

    def _start_enforcer(self) -> None:
        if not self._enforcing:
            return
        if os.environ.get("LAB_CNI"):
            self._parts += [parts.start_kube_router(self.cluster, node, self.root) for node in self.nodes.values()]
            return
        self.enforcer = parts.Enforcer(
            self.cluster, self.network.control_plane, self.root, self.namespaces, self.position, self.denial
        )
        self._parts.append(self.enforcer.part)
        self.settle("Node")

    def _start_metallb(self) -> None:
        parts.install_metallb(self.api)
        self._parts.append(parts.start_metallb_controller(self.cluster, self.network.control_plane, self.root))
        self._parts += parts.start_speakers(
            self.cluster, self.api, list(self.nodes.values()), self.root, self._speaker_key
        )

    def run(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Part:
        """Start a process beside the API server, such as an operator; `NAME.log` in `root`. It ends with the lab."""
        part = Part([*self.network.control_plane.netns.prefix, *argv], log=self.root / f"{name}.log", env=env)
        self._parts.append(part)
        return part

    def add_nodes(self, names: Sequence[str]) -> list[Node]:
        """New nodes with their Node objects and kube-proxy. (MetalLB speaks on those that `start` made.)"""
        made = self.network.add_nodes(list(self.nodes.values()), names)
        for node in made:
            self._link(f"node-{node.name}", node)
            self.nodes[node.name] = node
            self.api.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": node.name, "labels": {"kubernetes.io/hostname": node.name}},
                    "spec": {"podCIDR": node.pod_cidrs[0], "podCIDRs": list(node.pod_cidrs)},
                }
            )
            addresses = [{"type": "InternalIP", "address": address} for address in node.addresses]
            ready = [{"type": "Ready", "status": "True", "reason": "Lab", "message": ""}]
            self.api.call(
                "PATCH",
                f"/api/v1/nodes/{node.name}/status",
                {"status": {"addresses": addresses, "conditions": ready}},
                "application/merge-patch+json",
            )
            self.proxies.append(parts.start_kube_proxy(self.cluster, node, self.root, self.proxy_mode))
            self._parts.append(self.proxies[-1])
        return made

    def add_client(self, name: str, addresses: tuple[str, str]) -> Host:
        """A host on the LAN that is no part of the cluster."""
        host = self.network.attach([(name, addresses)])[0]
        self.clients[name] = host
        self._link(f"client-{name}", host)
        return host

    def add_pods(self, specs: Iterable[PodSpec]) -> list[LabPod]:
        """Run pods: wires, servers, Pod objects; ready only once the enforcer knows them, as with a real CNI."""
        wanted = list(specs)
        hosts = self.network.add_pods([(f"{spec.namespace}/{spec.name}", self.nodes[spec.node]) for spec in wanted])
        made = []
        for spec, host in zip(wanted, hosts, strict=True):
            self._link(f"pod-{host.addresses[0]}", host)
            if self.enforcer is not None and self.position == "post":
                closed = Nftables(Path(host.netns.path))
                closed.run(closed_pod_rules())
                closed.close()
            for protocol, port in spec.serves:
                self.traffic.serve(host.netns, f"{spec.namespace}/{spec.name}", port, protocol)
            self.api.apply(pod_manifest(spec))
            pod = LabPod(spec, host)
            self._set_status(pod, ready=False)
            self._pods[pod.full_name] = pod
            made.append(pod)
        if made:
            self.settle("Pod")
        for pod in made:
            if pod.spec.ready:
                self._set_status(pod, ready=True)
        return made

    def set_ready(self, pod: LabPod, ready: bool) -> None:
        """Put a pod into its Services, or take it out."""
        self._set_status(pod, ready=ready)

    def relabel(self, pod: LabPod, labels: Mapping[str, str]) -> None:
        """Give a running pod other labels."""
        manifest = pod_manifest(pod.spec)
        manifest["metadata"]["labels"] = dict(labels)
        self.api.apply(manifest)

    def _set_status(self, pod: LabPod, *, ready: bool) -> None:
        self.api.call(
            "PATCH",
            f"/api/v1/namespaces/{pod.spec.namespace}/pods/{pod.spec.name}/status",
            {"status": pod_status(pod, ready=ready)},
            "application/merge-patch+json",
        )

    def remove_pod(self, pod: LabPod) -> None:
        """Delete the Pod object, then pull its wire."""
        self.api.delete("Pod", pod.spec.namespace, pod.spec.name)
        self._pods.pop(pod.full_name, None)
        self.traffic.stop_serving(pod.host.netns)
        (self.namespaces / f"pod-{pod.host.addresses[0]}").unlink(missing_ok=True)
        self.network.remove_pod(pod.host)

    def apply(self, *manifests: Mapping[str, Any]) -> list[Any]:
        """Server-side apply of any objects, in order; NetworkPolicies are in force when this returns."""
        made = [self.api.apply(manifest) for manifest in manifests]
        if any(manifest["kind"] == "NetworkPolicy" for manifest in manifests):
            self.settle()
        return made

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete any object; a NetworkPolicy is no longer in force when this returns."""
        self.api.delete(kind, namespace, name)
        if kind == "NetworkPolicy":
            self.settle()

    def settle(self, kind: str = "NetworkPolicy", seconds: float = 10.0) -> None:
        """Waits until the enforcer has every object of a kind as it is now: TimeoutError with the end of its log."""
        if self.enforcer is None:
            if self._enforcing:
                time.sleep(CNI_SETTLE_SECONDS)  # another CNI does not report when it is done
            return
        deadline = time.monotonic() + seconds
        while not self.enforcer.has(_PLURALS[kind], self.api.list(kind)):
            if time.monotonic() > deadline or not self.enforcer.part.is_running():
                raise TimeoutError(f"the enforcer does not hold every {kind}:\n{self.enforcer.part.last_lines()}")
            time.sleep(0.002)

    def wait_for_addresses(self, namespace: str, name: str, families: int = 1, seconds: float = 20.0) -> list[str]:
        """The load balancer addresses of a Service, once it has one for each family."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.api.get("Service", namespace, name).get("status", {}).get("loadBalancer", {})
            addresses = [ingress["ip"] for ingress in status.get("ingress") or ()]
            if len(addresses) >= families:
                return addresses
            time.sleep(0.02)
        raise TimeoutError(f"Service {namespace}/{name} has no load balancer address after {seconds:.0f} s")

    def probe(self, probes: Iterable[Probe], at_once: int = 200) -> list[ProbeResult]:
        """Make real connections; see `Traffic.probe`."""
        return self.traffic.probe(probes, at_once)

    def wait_until(
        self, probes: Sequence[Probe], right: Callable[[ProbeResult], bool], seconds: float = 20.0
    ) -> list[ProbeResult]:
        """Probe again and again until every answer is right; TimeoutError with the first that are not."""
        deadline = time.monotonic() + seconds
        while True:
            results = self.probe(probes)
            wrong = [(probe, result) for probe, result in zip(probes, results, strict=True) if not right(result)]
            if not wrong:
                return results
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(wrong)} of {len(probes)} probes still wrong after {seconds:.0f} s: {wrong[:3]}"
                )
            time.sleep(0.02)
