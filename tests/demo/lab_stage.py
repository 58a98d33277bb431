"""The stage with real packets: nodes, pods and clients in network namespaces, kube-proxy, MetalLB, an enforcer."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from tests.cluster.operator_process import REPOSITORY
from tests.demo.calls import CUSTOMER, PARTNER, STRANGER, Answer, Call, Stream
from tests.demo.kubelets import Background, Kubelets, Object
from tests.demo.stage import environment, exports, run
from tests.lab.lab import Lab
from tests.lab.netns import Netns
from tests.lab.network import GATEWAY, PodHost
from tests.lab.operated import Operator
from tests.lab.traffic import Probe, ProbeResult

#: Connections for each call: with two pods behind an entry point, both answer but for one time in 500,000.
CONNECTIONS = 20
#: Where the lab's enforcer filters, and a CNI that filters there and SNATs to the same addresses as the lab's nodes.
POSITION, CNI = "pre", "kube-router"
CONFIG_MAP = "/api/v1/namespaces/exposure-system/configmaps/exposure-operator"
#: Clients beyond the router: their address, and their addresses on the LAN. Every lab has the stranger already.
FAR_CLIENTS = {
    CUSTOMER: ("203.0.113.10", ("192.0.2.140", "2001:db8::80:10")),
    PARTNER: ("198.51.100.20", ("192.0.2.141", "2001:db8::80:11")),
}
FAR_NETWORKS = ("203.0.113.0/24", "198.51.100.0/24")
#: The pause between two connections of a stream, and how many it makes at most.
STREAM_PAUSE_SECONDS, STREAM_LIMIT = 0.03, 5000

_TOOLS = ("ip", "nsenter", "iptables", "ip6tables", "nft")
_TRIED = ("ip link add v1 type veth peer name v2", "iptables -t nat -S", "ip6tables -t nat -S", "nft list ruleset")


def reason_without_lab() -> str:
    """Why this machine cannot have a lab, as a clause; empty where it can."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root (sudo HOME=$HOME make demo)"
    if absent := [tool for tool in _TOOLS if not shutil.which(tool)]:
        return f"{', '.join(absent)} not found (Debian: apt-get install iptables nftables iproute2)"
    try:
        trial = Netns("trial")
    except OSError as error:
        return f"this machine gives no network namespace: {error.strerror}"
    try:
        for command in _TRIED:
            ran = subprocess.run([*trial.prefix, *command.split()], capture_output=True, text=True, check=False)
            if ran.returncode:
                return f"`{command}` fails in a network namespace: {ran.stderr.strip()}"
    finally:
        trial.close()
    return ""


class _LabPods:
    """Pods as hosts of the lab, with a server on each of their container ports."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._settling = threading.Lock()
        self._hosts: dict[str, PodHost] = {}
        self.by_app: dict[str, list[PodHost]] = {}

    @property
    def nodes(self) -> Mapping[str, Sequence[str]]:
        return {name: node.addresses for name, node in self._lab.nodes.items()}

    def join(self, pod: Object, node: str) -> Sequence[str]:
        head = pod["metadata"]
        app = head["labels"]["app"]
        host = self._lab.network.add_pods([(f"{head['namespace']}/{head['name']}", self._lab.nodes[node])])[0]
        self._link(host).symlink_to(host.netns.path)
        for container in pod["spec"]["containers"]:
            for port in container.get("ports") or ():
                self._lab.traffic.serve(host.netns, f"{app}@{node}", port["containerPort"])
        self._hosts[head["uid"]] = host
        self.by_app.setdefault(f"{head['namespace']}/{app}", []).append(host)
        return host.addresses

    def leave(self, pod: Object) -> None:
        host = self._hosts.pop(pod["metadata"]["uid"])
        for hosts in self.by_app.values():
            if host in hosts:
                hosts.remove(host)
        self._lab.traffic.stop_serving(host.netns)
        self._link(host).unlink(missing_ok=True)
        self._lab.network.remove_pod(host)

    def settle(self) -> None:
        with self._settling:
            self._lab.settle("Pod")

    def settle_policies(self) -> None:
        with self._settling:
            self._lab.settle("NetworkPolicy")

    def _link(self, host: PodHost) -> Path:
        return self._lab.namespaces / f"pod-{host.addresses[0]}"


class _AppliedOperator(Operator):
    """An operator whose manifests the story has applied already."""

    def install(self) -> None:
        crds = str(REPOSITORY / "crds")
        self.lab.cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", crds)


class LabStage:
    """Two nodes, MetalLB, a customer and a partner beyond a router, and a stranger on the nodes' own network."""

    def __init__(self) -> None:
        self._lab = Lab(position=POSITION)
        self._pods = _LabPods(self._lab)
        self._background: Background | None = None
        self._operator: Operator | None = None
        self._streams: dict[Call, Future[list[ProbeResult]]] = {}
        self._enough = threading.Event()

    def __enter__(self) -> Self:
        self._lab.start()
        try:
            self._add_clients()
            self._background = Background(Kubelets(self._lab.api, self._pods).look)
            self._background.start()
        except BaseException:
            self._lab.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_streams()
        if self._operator:
            self._operator.kill()
        if self._background:
            self._background.stop()
        self._lab.stop()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return run(command, self._environment, self._lab.network.control_plane.netns.prefix)

    def install_operator(self) -> str:
        network = {"cni": CNI}
        # The operator reads a file, `kubectl exposure` the ConfigMap: both have the same content.
        config_map = {"data": {"config.yaml": yaml.safe_dump({"network": network})}}
        self._lab.api.call("PATCH", CONFIG_MAP, config_map, "application/merge-patch+json")
        self._operator = _AppliedOperator(self._lab, network=network)
        self._operator.__enter__()
        return (
            "No kubelet runs the Deployment here, so the demo starts the same process, with the token of its "
            "ServiceAccount. The ConfigMap states where the lab enforces policies: before SNAT, as kube-router and "
            f"Calico do (network.cni: {CNI})."
        )

    def connect(self, calls: Sequence[Call]) -> Sequence[Answer]:
        self._pods.settle_policies()
        probes = [self._probe(call) for call in calls]
        results = iter(self._lab.probe([probe for probe in probes for _ in range(CONNECTIONS)]))
        return [
            _answer(call, self._source(call), probe, [next(results) for _ in range(CONNECTIONS)])
            for call, probe in zip(calls, probes, strict=True)
        ]

    def start_streams(self, calls: Sequence[Call]) -> None:
        self._enough.clear()
        for call in calls:
            self._streams[call] = self._lab.traffic.start(self._stream(self._probe(call)))

    def stop_streams(self) -> Sequence[Stream]:
        self._enough.set()
        finished = {call: stream.result(timeout=30) for call, stream in self._streams.items()}
        self._streams.clear()
        return [_stream(call, results) for call, results in finished.items()]

    def log_tail(self) -> str:
        return self._operator.tail() if self._operator else ""

    def next_commands(self) -> Sequence[str]:
        entry_point = self._probe(Call(PARTNER, "media/images")).address
        connects = f"bash -c 'cat </dev/tcp/{entry_point}/80; echo'"
        names = self._lab.namespaces
        return (
            f"nsenter --net={names}/client-{PARTNER} {connects}   # is admitted",
            f"nsenter --net={names}/client-{STRANGER} {connects}   # is not",
            f"nsenter --net={names}/control-plane bash   # in that shell:",
            *exports(self._environment),
            "kubectl get exposures -A",
        )

    @property
    def _environment(self) -> dict[str, str]:
        return environment(self._lab.cluster, self._lab.root)

    def _add_clients(self) -> None:
        """Clients have addresses of other networks than the nodes, and reach them through a router."""
        router = self._lab.network.lan
        router.set({"ipv4/ip_forward": 1, "ipv4/conf/all/send_redirects": 0, "ipv4/conf/br0/send_redirects": 0})
        _ip(router, *(f"route add {cidr} dev br0" for cidr in FAR_NETWORKS))
        for name, (address, first) in FAR_CLIENTS.items():
            host = self._lab.add_client(name, first)
            _ip(
                host.netns,
                "-4 addr flush dev eth0",
                f"addr add {address}/32 dev eth0",
                f"route add {GATEWAY[0]} dev eth0",
                f"route add default via {GATEWAY[0]}",
            )

    def _probe(self, call: Call) -> Probe:
        namespace, _, name = call.service.partition("/")
        if "/" in call.caller:
            address = self._lab.api.get("Service", namespace, name)["spec"]["clusterIP"]
            return Probe(self._pods.by_app[call.caller][0].netns, address, call.port)
        address = self._lab.wait_for_addresses(namespace, name)[0]
        return Probe(self._lab.clients[call.caller].netns, address, call.port)

    def _source(self, call: Call) -> str:
        if "/" in call.caller:
            return self._pods.by_app[call.caller][0].addresses[0]
        if call.caller in FAR_CLIENTS:
            return FAR_CLIENTS[call.caller][0]
        return self._lab.clients[call.caller].addresses[0]

    async def _stream(self, probe: Probe) -> list[ProbeResult]:
        results: list[ProbeResult] = []
        while not self._enough.is_set() and len(results) < STREAM_LIMIT:
            results.append(await self._lab.traffic.connect(probe))
            await asyncio.sleep(STREAM_PAUSE_SECONDS)
        return results


def _ip(host: Netns, *lines: str) -> None:
    for line in lines:
        subprocess.run([*host.prefix, "ip", *line.split()], check=True, capture_output=True, timeout=10)


def _answer(call: Call, source: str, probe: Probe, results: Sequence[ProbeResult]) -> Answer:
    passed = [result for result in results if result.passed]
    return Answer(
        call,
        source,
        f"{probe.address}:{probe.port}",
        len(results),
        len(passed),
        tuple(sorted({result.server.replace("@", " on ") for result in passed})),
        tuple(sorted({result.peer for result in passed})),
    )


def _stream(call: Call, results: Sequence[ProbeResult]) -> Stream:
    passed = [result.passed for result in results]
    first_refused = passed.index(False) if False in passed else len(passed)
    return Stream(call, len(passed), sum(passed), sum(passed[first_refused:]))
