"""Real packets in a lab of network namespaces."""

import itertools
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import mentioning
from tests.lab import cells
from tests.lab.enforcer.model import compile_model
from tests.lab.enforcer.nft import Nftables
from tests.lab.enforcer.objects import Cluster, parse_node, parse_pod, parse_policy
from tests.lab.enforcer.rules import Position, node_rules
from tests.lab.entry_points import EntryPoint
from tests.lab.lab import Lab
from tests.lab.pods import PodSpec
from tests.lab.policies import policy
from tests.lab.traffic import Outcome, Probe

pytestmark = pytest.mark.lab
REPOSITORY = Path(__file__).resolve().parents[2]
DENY = policy("deny", "shop", {}, {}, ["Ingress"])
ALWAYS = [{"ipBlock": {"cidr": f"192.0.2.{last}/32"}} for last in (130, 140)]


def _shop(lab: Lab) -> None:
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    lab.add_pods([PodSpec("shop", f"web-{node}", node, {"app": "web"}, serves=[("TCP", 8080)]) for node in lab.nodes])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("position, proxy_mode", [("pre", "iptables"), ("post", "iptables"), ("pre", "nftables")])
def test_packets_agree_with_the_oracle(position: str, proxy_mode: str) -> None:
    """Each sender tries each entry point under each policy: exactly those that the oracle admits are answered."""
    with Lab(position=position, proxy_mode=proxy_mode) as lab:
        result = cells.run(cells.Stage(lab))
    assert [] == [str(wrong) for wrong in result.wrong]
    assert 0 == result.oracle_wrong
    assert {entry_point.value for entry_point in EntryPoint} == {
        entry_point for entry_point, count in result.by_entry_point.items() if count > 1000
    }
    assert 2000 < result.passed < result.cells - 2000


def test_updates_neither_cut_nor_open() -> None:
    """While a policy changes, a client that is always allowed is never refused, and any other is always refused."""
    always = {"from": ALWAYS}
    with Lab(metallb=False) as lab:
        _shop(lab)
        _route_clients(lab)
        web = lab.pods["shop/web-n1"].host
        lab.apply(DENY, policy("web", "shop", {}, {"ingress": [always]}, ["Ingress"]))
        outcomes: Counter[tuple[str, Outcome]] = Counter()
        for round_ in range(100):
            sometimes = {"from": [{"ipBlock": {"cidr": f"198.51.100.{round_}/32"}}]}
            lab.api.apply(policy("web", "shop", {}, {"ingress": [sometimes, always]}, ["Ingress"]))
            for name in ("allowed", "stranger"):
                probes = [Probe(lab.clients[name].netns, web.addresses[0], 8080)] * 20
                outcomes.update((name, result.outcome) for result in lab.probe(probes))
    assert {("allowed", Outcome.ANSWERED): 2000, ("stranger", Outcome.REFUSED): 2000} == dict(outcomes)


def _route_clients(lab: Lab) -> None:
    """Clients outside reach the pods of n1 at their own addresses."""
    for client in lab.clients.values():
        with client.netns.inside():
            subprocess.run(["ip", "route", "add", "10.244.1.0/24", "via", "192.0.2.11"], check=True)


def _table(lab: Lab, ingress: list[Any]) -> str:
    """The table of n1 with a policy for the pods `app=web`."""
    pods, namespace = lab.api.list("Pod"), {"shop": {"team": "shop"}}
    closed = policy("web", "shop", {"app": "web"}, {"ingress": ingress}, ["Ingress"])
    model = compile_model(Cluster(namespace, tuple(map(parse_pod, pods)), (parse_policy(closed),)))
    [node] = [parse_node(node) for node in lab.api.list("Node") if node["metadata"]["name"] == "n1"]
    return node_rules(model, node, Position.PRE)


def test_a_table_replaced_under_traffic_neither_cuts_nor_opens() -> None:
    """While a node's table is replaced without a pause, those always admitted are answered and all others refused."""
    with Lab(metallb=False, enforcing=False) as lab:
        _shop(lab)
        _route_clients(lab)
        pod, node = lab.pods["shop/web-n1"].host, lab.nodes["n1"]
        tables = [_table(lab, [{"from": [*ALWAYS, *more]}]) for more in ([], [{"ipBlock": {"cidr": "10.0.0.0/8"}}])]
        in_force, done = threading.Event(), threading.Event()

        def replace() -> int:
            filters, count = Nftables(Path(node.netns.path)), 0
            for text in itertools.cycle(tables):
                filters.run(text)
                in_force.set()
                count += 1
                if done.is_set():
                    break
            filters.close()
            return count

        outcomes: Counter[tuple[str, Outcome]] = Counter()
        with ThreadPoolExecutor(1) as thread:
            replacing = thread.submit(replace)
            try:
                assert in_force.wait(10)
                for name, _ in itertools.product(("allowed", "stranger"), range(100)):
                    probes = [Probe(lab.clients[name].netns, pod.addresses[0], 8080)] * 100
                    outcomes.update((name, result.outcome) for result in lab.probe(probes, at_once=40))
            finally:
                done.set()  # else a probe that fails would leave the thread running, and the test without an end
            replaced = replacing.result()
    assert {("allowed", Outcome.ANSWERED): 10_000, ("stranger", Outcome.REFUSED): 10_000} == dict(outcomes)
    assert 300 < replaced


def test_policies_are_in_force_quickly() -> None:
    """From the return of the write to the first refused connection: less than 300 ms, the best of three."""
    with Lab(metallb=False) as lab:
        _shop(lab)
        caller, web = lab.pods["shop/web-n2"].host, lab.pods["shop/web-n1"].host
        probe = Probe(caller.netns, web.addresses[1], 8080)
        seconds = []
        for _ in range(3):
            lab.wait_until([probe], lambda result: result.passed)
            lab.api.apply(DENY)
            began = time.monotonic()
            lab.wait_until([probe], lambda result: not result.passed)
            seconds.append(time.monotonic() - began)
            lab.delete("NetworkPolicy", "shop", "deny")
        assert min(seconds) < 0.3


def test_sctp_is_admitted_on_its_port_only() -> None:
    """Shown with raw packets, because not every kernel has SCTP sockets."""
    ports = [{"protocol": "SCTP", "port": 9000}]
    with Lab(metallb=False) as lab:
        _shop(lab)
        caller, web = lab.pods["shop/web-n2"].host, lab.pods["shop/web-n1"].host
        lab.apply(policy("sctp", "shop", {}, {"ingress": [{"ports": ports}]}, ["Ingress"]))
        with web.netns.inside():
            receiver = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
        with caller.netns.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
        with receiver, sender:
            receiver.settimeout(1.0)
            for port in (9001, 9000, 9001, 9000):
                sender.sendto(_sctp_init(port), (web.addresses[0], 0))
            arrived = [_sctp_port(receiver) for _ in range(2)]
            with pytest.raises(TimeoutError):
                _sctp_port(receiver)
    assert [9000, 9000] == arrived


def _sctp_init(port: int) -> bytes:
    """A whole first packet (RFC 9260, 3.3.2): connection tracking calls anything less invalid."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 1, 65535, 1, 1, 1)
    header = struct.pack("!HHI", random.randrange(20000, 60000), port, 0)
    remainder = 0xFFFFFFFF  # CRC32c
    for byte in header + bytes(4) + chunk:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return header + struct.pack("<I", remainder ^ 0xFFFFFFFF) + chunk


def _sctp_port(receiver: socket.socket) -> int:
    """The destination port of the next packet, behind its IPv4 header."""
    port: int = struct.unpack_from("!H", receiver.recv(2048), 20 + 2)[0]
    return port


def test_two_labs_do_not_disturb_each_other() -> None:
    """Two labs side by side use the same addresses, and neither sees the other's objects or packets."""
    with Lab(nodes=1, metallb=False) as first, Lab(nodes=1, metallb=False) as second:
        for lab in (first, second):
            _shop(lab)
        first.apply(DENY)
        probes = [
            Probe(lab.nodes["n1"].netns, lab.pods["shop/web-n1"].host.addresses[0], 8080) for lab in (first, second)
        ]
        assert [True, True] == [result.passed for result in first.probe(probes[:1]) + second.probe(probes[1:])]
        assert 1 == len(first.api.list("NetworkPolicy"))
        assert 0 == len(second.api.list("NetworkPolicy"))


def test_nothing_is_left_after_a_kill() -> None:
    """A lab whose process is killed leaves no process, no namespace, and its folder only until the next start."""
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.lab", "up", "--nodes", "1"], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout
        assert "up in" in holder.stdout.readline()
        running = mentioning(f"exposure-lab-{holder.pid}-")
        assert len(running) > 5
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    deadline = time.monotonic() + 15
    while (left := mentioning(f"exposure-lab-{holder.pid}-")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == left
