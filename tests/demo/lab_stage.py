"""The stage where packets are real: nodes, pods and clients in network namespaces, kube-proxy, MetalLB, an enforcer."""

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
from tests.lab.traffic import Probe, Seen

#: Connections for each call: enough that of two pods behind an entry point both are met, but for one time in 500,000.
CONNECTIONS = 20
#: Where the lab's enforcer stands, and the CNI that stands there and SNATs to what the lab's nodes SNAT to.
POSITION, CNI = "pre", "kube-router"
CONFIG_MAP = "/api/v1/namespaces/exposure-system/configmaps/exposure-operator"
#: Those beyond the router: their address, and the ones by which they are plugged in. The stranger is every lab's own.
FAR_CLIENTS = {
    CUSTOMER: ("203.0.113.10", ("192.0.2.140", "2001:db8::80:10")),
    PARTNER: ("198.51.100.20", ("192.0.2.141", "2001:db8::80:11")),
}
FAR_NETWORKS = ("203.0.113.0/24", "198.51.100.0/24")
#: Between two connections of a stream, and at most so many of them.
STREAM_PAUSE_SECONDS, STREAM_LIMIT = 0.03, 5000

_TOOLS = ("ip", "nsenter", "iptables", "ip6tables", "nft")
_TRIED = ("ip link add v1 type veth peer name v2", "iptables -t nat -S", "ip6tables -t nat -S", "nft list ruleset")


def hindrance() -> str:
    """Why this machine cannot have a lab, as a clause; empty where it can."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root (sudo HOME=$HOME make demo)"
    if absent := [each for each in _TOOLS if not shutil.which(each)]:
        return f"{', '.join(absent)} not found (Debian: apt-get install iptables nftables iproute2)"
    try:
        trial = Netns("trial")
    except OSError as error:
        return f"network namespaces are not to be had here: {error.strerror}"
    try:
        for each in _TRIED:
            ran = subprocess.run([*trial.prefix, *each.split()], capture_output=True, text=True, check=False)
            if ran.returncode:
                return f"`{each}` fails in a network namespace: {ran.stderr.strip()}"
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
        self._streams: dict[Call, Future[list[Seen]]] = {}
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
        self.asked()
        if self._operator:
            self._operator.kill()
        if self._background:
            self._background.stop()
        self._lab.stop()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return run(command, self._environment, self._lab.network.control_plane.netns.prefix)

    def install_operator(self) -> str:
        network = {"cni": CNI}
        # The operator reads a file, `kubectl exposure` the ConfigMap: they are told the same.
        said = {"data": {"config.yaml": yaml.safe_dump({"network": network})}}
        self._lab.api.call("PATCH", CONFIG_MAP, said, "application/merge-patch+json")
        self._operator = _AppliedOperator(self._lab, network=network)
        self._operator.__enter__()
        return (
            "No kubelet runs its Deployment here, so the very same process is started by hand, with the token of its "
            "ServiceAccount. One fact it is told by its ConfigMap: policies are enforced before SNAT, as kube-router "
            f"and Calico do (network.cni: {CNI})."
        )

    def ask(self, calls: Sequence[Call]) -> Sequence[Answer]:
        self._pods.settle_policies()
        probes = [self._probe(each) for each in calls]
        seen = iter(self._lab.probe([probe for probe in probes for _ in range(CONNECTIONS)]))
        return [
            _answer(call, self._source(call), probe, [next(seen) for _ in range(CONNECTIONS)])
            for call, probe in zip(calls, probes, strict=True)
        ]

    def keep_asking(self, calls: Sequence[Call]) -> None:
        self._enough.clear()
        for call in calls:
            self._streams[call] = self._lab.traffic.start(self._stream(self._probe(call)))

    def asked(self) -> Sequence[Stream]:
        self._enough.set()
        found = {call: stream.result(timeout=30) for call, stream in self._streams.items()}
        self._streams.clear()
        return [_stream(call, seen) for call, seen in found.items()]

    def last_words(self) -> str:
        return self._operator.tail() if self._operator else ""

    def how_to_go_on(self) -> Sequence[str]:
        entry_point = self._probe(Call(PARTNER, "media/images")).address
        asks = f"bash -c 'cat </dev/tcp/{entry_point}/80; echo'"
        names = self._lab.namespaces
        return (
            f"nsenter --net={names}/client-{PARTNER} {asks}   # is let in",
            f"nsenter --net={names}/client-{STRANGER} {asks}   # is not",
            f"nsenter --net={names}/control-plane bash   # and in there:",
            *exports(self._environment),
            "kubectl get exposures -A",
        )

    @property
    def _environment(self) -> dict[str, str]:
        return environment(self._lab.cluster, self._lab.root)

    def _add_clients(self) -> None:
        """As in the world outside, clients have addresses of other networks, and a router is between."""
        router = self._lab.network.lan
        router.set({"ipv4/ip_forward": 1, "ipv4/conf/all/send_redirects": 0, "ipv4/conf/br0/send_redirects": 0})
        _ip(router, *(f"route add {each} dev br0" for each in FAR_NETWORKS))
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

    async def _stream(self, probe: Probe) -> list[Seen]:
        seen: list[Seen] = []
        while not self._enough.is_set() and len(seen) < STREAM_LIMIT:
            seen.append(await self._lab.traffic.connect(probe))
            await asyncio.sleep(STREAM_PAUSE_SECONDS)
        return seen


def _ip(host: Netns, *lines: str) -> None:
    for line in lines:
        subprocess.run([*host.prefix, "ip", *line.split()], check=True, capture_output=True, timeout=10)


def _answer(call: Call, source: str, probe: Probe, seen: Sequence[Seen]) -> Answer:
    passed = [each for each in seen if each.passed]
    return Answer(
        call,
        source,
        f"{probe.address}:{probe.port}",
        len(seen),
        len(passed),
        tuple(sorted({each.server.replace("@", " on ") for each in passed})),
        tuple(sorted({each.peer for each in passed})),
    )


def _stream(call: Call, seen: Sequence[Seen]) -> Stream:
    after = [each.passed for each in seen]
    first_refused = after.index(False) if False in after else len(after)
    return Stream(call, len(after), sum(after), sum(after[first_refused:]))
