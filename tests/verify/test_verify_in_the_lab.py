"""Verification against real packets: right where all is right, and with the cause named where something is broken."""

from __future__ import annotations

import signal
import subprocess
import time
import xml.etree.ElementTree as xml
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.cluster.operator_process import eventually
from tests.lab.lab import Lab
from tests.lab.policies import policy
from tests.verify.stage import Stage, causes

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("verify"), pytest.mark.timeout(300)]
INSIDE = "other-namespace,same-namespace"
EVERYWHERE = f"outside,{INSIDE},node"

Breaking = Callable[[Stage], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Lab() as lab:
        made = Stage(lab)
        with made.kubelet:
            yield made


@pytest.fixture(scope="module")
def after_snat() -> Iterator[Stage]:
    with Lab(position="post", denial="drop") as lab:
        made = Stage(lab, "aws-vpc-cni")
        with made.kubelet:
            yield made


def test_all_as_expected(stage: Stage) -> None:
    """In a cluster that is right everything comes as expected, from everywhere, and the exit status is 0."""
    status, checks = stage.checks("--from", EVERYWHERE)
    assert (0, []) == (status, [each for each in checks if each["result"] == "mismatch"])
    # A node reaches its own pods always, and others by the policy: through a ClusterIP nobody knows which it meets.
    unjudged = {
        (each["from"]["place"], each["target"]["entryPoint"]) for each in checks if each["result"] == "not judged"
    }
    assert unjudged <= {("node", "ClusterIP")}
    places = {each["from"]["place"] for each in checks if "from" in each}
    assert set(EVERYWHERE.split(",")) == places
    assert {"allowed", "denied"} <= {each["expected"]["verdict"] for each in checks}
    assert 40 < len(checks)


@pytest.mark.parametrize("client, places", [("allowed", INSIDE), ("allowed", "outside"), ("stranger", "outside")])
def test_all_as_expected_behind_silent_walls_after_snat(after_snat: Stage, client: str, places: str) -> None:
    """Where the CNI filters in the pod after SNAT, and drops instead of refusing, the same holds by another row."""
    status, checks = after_snat.checks("--from", places, "--repeat", "2", client=client)
    assert (0, []) == (status, [each for each in checks if each["result"] == "mismatch"])
    verdicts = {each["expected"]["verdict"] for each in checks if each["exposure"] == "shop/service-api"}
    assert {"allowed" if (client, places) == ("allowed", "outside") else "denied"} == verdicts
    assert (places == "outside") == ("this CNI filters after that" in str(checks))


def test_a_stranger_who_may_come_as_a_node_is_not_judged(stage: Stage) -> None:
    """Where SNAT hides the client nobody can tell what must come of it: said, and no failure."""
    status, checks = stage.checks("--from", "outside", client="stranger")
    verdicts = {(each["exposure"], each["expected"]["verdict"]) for each in checks if "target" in each}
    assert {("shop/service-api", "denied"), ("shop/service-web", "unsure")} == verdicts
    assert 0 == status
    assert "SourceFilterLost" in str(checks)


def test_nothing_is_left_behind(stage: Stage) -> None:
    """Probe pods are restricted, short-lived, and gone when the command ends."""
    before = len(stage.kubelet.ran)
    assert 0 == stage.checks("--from", INSIDE)[0]
    ran = stage.kubelet.ran[before:]
    assert ["exposure-system", "shop"] == [each["metadata"]["namespace"] for each in ran]
    for pod in ran:
        assert pod["spec"]["activeDeadlineSeconds"] < 300
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert not pod["spec"]["automountServiceAccountToken"]
    left = [each for each in stage.lab.api.list("Pod") if each["metadata"]["name"].startswith("exposure-verify-")]
    assert [] == [each for each in left if "deletionTimestamp" not in each["metadata"]]


def test_a_dry_run_connects_to_nothing(stage: Stage) -> None:
    """It says what it would connect to and from where, and makes neither a connection nor a pod."""
    before = len(stage.kubelet.ran)
    status, said, _ = stage.verify("--from", EVERYWHERE, "--dry-run", output="table")
    assert (0, before) == (status, len(stage.kubelet.ran))
    assert "tcp://192.0.2.6" in said
    assert "a pod in exposure-system" in said
    assert "none of them made" in said


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, id="ctrl-c"), pytest.param(signal.SIGTERM, id="ended-by-somebody")]
)
def test_whoever_is_interrupted_leaves_no_pod(stage: Stage, number: signal.Signals) -> None:
    """Whatever ends the command, its pod goes with it."""
    with stage.kubelet.asleep():
        command = stage.start("--from", "other-namespace")
        try:
            eventually(lambda: _probe_pods(stage), 20, "a probe pod")
            command.send_signal(number)
            assert 130 == command.wait(timeout=20)
        finally:
            command.kill()
        eventually(lambda: not _probe_pods(stage), 10, "no probe pod is left")


def _probe_pods(stage: Stage) -> list[str]:
    names = [each["metadata"]["name"] for each in stage.lab.api.list("Pod")]
    return [name for name in names if name.startswith("exposure-verify-")]


@pytest.mark.parametrize(
    "options, word",
    [
        pytest.param(["--from", "moon"], "moon", id="no-such-place"),
        pytest.param(["--timeout", "soon"], "soon", id="no-time"),
        pytest.param(["--parallel", "1000"], "1000", id="too-many-at-once"),
        pytest.param(["--node", "n9", "--from", "node"], "n9", id="no-such-node"),
        pytest.param(["nothing"], "nothing", id="no-such-service"),
    ],
)
def test_wrong_use(stage: Stage, options: list[str], word: str) -> None:
    """Exit status 2, and a sentence with the word that was wrong."""
    status, said, complaint = stage.verify(*options)
    assert (2, "") == (status, said)
    assert word in complaint


def test_junit(stage: Stage) -> None:
    """A test case for each check, for whoever collects such files."""
    status, said, _ = stage.verify("--from", "outside", output="junit")
    suite = xml.fromstring(said)
    assert (0, "0") == (status, suite.get("failures"))
    assert len(suite) == int(suite.get("tests", "0")) == 5


@contextmanager
def foreign_allow_all(stage: Stage) -> Iterator[None]:
    stage.lab.apply(policy("open-house", "shop", {}, {"ingress": [{}]}, ["Ingress"]))
    yield
    stage.lab.delete("NetworkPolicy", "shop", "open-house")


@contextmanager
def firewall(stage: Stage) -> Iterator[None]:
    """Between the client and everything but the API server: drops."""
    with _dropping(stage, "192.0.2.8/29", "192.0.2.64/27", "2001:db8::8/125", "2001:db8::40/122"):
        yield


@contextmanager
def firewall_before_the_balancer(stage: Stage) -> Iterator[None]:
    with _dropping(stage, "192.0.2.64/27", "2001:db8::40/122"):
        yield


@contextmanager
def _dropping(stage: Stage, *ranges: str) -> Iterator[None]:
    prefix = stage.lab.clients["allowed"].netns.prefix
    rules = "\n".join(f"{'ip6' if ':' in each else 'ip'} daddr {each} drop" for each in ranges)
    table = f"table inet wall {{\nchain out {{\ntype filter hook output priority 0;\n{rules}\n}}\n}}\n"
    subprocess.run([*prefix, "nft", "-f", "-"], input=table, text=True, check=True)
    yield
    subprocess.run([*prefix, "nft", "delete table inet wall"], check=True)


def service_port_in_policy(stage: Stage) -> AbstractContextManager[None]:
    rules = [
        {**rule, "ports": [{"protocol": "TCP", "port": 80}]} for rule in stage.policy("exposure-to-web")["ingress"]
    ]
    return stage.other_policy("exposure-to-web", {"ingress": rules})


def policy_without_nodes(stage: Stage) -> AbstractContextManager[None]:
    nodes = {f"{each}/{128 if ':' in each else 32}" for node in stage.lab.nodes.values() for each in node.addresses}
    rules = []
    for rule in stage.policy("exposure-to-web")["ingress"]:
        peers = [peer for peer in rule["from"] if peer.get("ipBlock", {}).get("cidr") not in nodes]
        rules.append({**rule, "from": peers})
    return stage.other_policy("exposure-to-web", {"ingress": rules})


def policy_too_wide(stage: Stage) -> AbstractContextManager[None]:
    return stage.other_policy("exposure-to-web", {"ingress": [{}]})


def default_deny_deleted(stage: Stage) -> AbstractContextManager[None]:
    return stage.other_policy("exposure-default-deny", None)


@contextmanager
def nobody_listens(stage: Stage) -> Iterator[None]:
    pods = [pod for name, pod in stage.lab.pods.items() if name.startswith("shop/web-")]
    for pod in pods:
        stage.lab.traffic.stop_serving(pod.host.netns)
    yield
    for pod in pods:
        stage.lab.traffic.serve(pod.host.netns, pod.full_name, 8080, "TCP")


@contextmanager
def nobody_ready(stage: Stage) -> Iterator[None]:
    pods = [pod for name, pod in stage.lab.pods.items() if name.startswith("shop/web-")]
    for pod in pods:
        stage.lab.set_ready(pod, False)
    _wait_for_endpoints(stage, 0)
    yield
    for pod in pods:
        stage.lab.set_ready(pod, True)
    _wait_for_endpoints(stage, 2)


def _wait_for_endpoints(stage: Stage, ready: int) -> None:
    for _ in range(200):
        slices = [
            each
            for each in stage.lab.api.list("EndpointSlice", "shop")
            if each["metadata"]["labels"].get("kubernetes.io/service-name") == "web"
        ]
        found = [sum(e["conditions"]["ready"] for e in each.get("endpoints") or ()) for each in slices]
        if all(each == ready for each in found):
            return
        time.sleep(0.05)
    raise AssertionError(f"endpoints of web: {found}, not {ready}")


@contextmanager
def nobody_announces(stage: Stage) -> Iterator[None]:
    """MetalLB still gives addresses, and no speaker answers for them."""
    stage.lab.api.delete("L2Advertisement", "metallb-system", "lan")
    prefix = stage.lab.clients["allowed"].netns.prefix
    time.sleep(0.5)
    for family in ("-4", "-6"):
        subprocess.run([*prefix, "ip", family, "neigh", "flush", "dev", "eth0"], check=True)
    yield
    stage.lab.apply(
        {
            "apiVersion": "metallb.io/v1beta1",
            "kind": "L2Advertisement",
            "metadata": {"name": "lan", "namespace": "metallb-system"},
            "spec": {"ipAddressPools": ["lan"]},
        }
    )
    for _ in range(40):
        if stage.checks("--from", "outside")[0] == 0:
            return
    raise AssertionError("the speakers do not announce again")


@pytest.mark.parametrize(
    "breaking, places, named",
    [
        pytest.param(foreign_allow_all, EVERYWHERE, {"AdditivePolicy"}, id="a-foreign-policy-admits-everybody"),
        pytest.param(firewall, "outside", {"Unreachable"}, id="a-firewall-between-here-and-the-nodes"),
        pytest.param(
            firewall_before_the_balancer,
            "outside",
            {"LoadBalancerNotAnswering"},
            id="a-firewall-before-the-load-balancer",
        ),
        pytest.param(service_port_in_policy, "outside", {"ServicePortInPolicy"}, id="the-service-port-in-a-policy"),
        pytest.param(policy_without_nodes, "outside", {"NodeAddressesMissing"}, id="a-policy-without-the-nodes"),
        pytest.param(policy_too_wide, INSIDE, {"PolicyDiffers"}, id="a-policy-wider-than-planned"),
        pytest.param(default_deny_deleted, INSIDE, {"PolicyMissing"}, id="no-default-deny"),
        pytest.param(nobody_listens, "outside", {"TargetPortClosed"}, id="nobody-listens-on-the-target-port"),
        pytest.param(nobody_ready, "outside", {"NoReadyBackend"}, id="no-backend-is-ready"),
        pytest.param(nobody_announces, "outside", {"LoadBalancerNotAnswering"}, id="nobody-announces-the-address"),
    ],
)
def test_what_is_broken_is_named(stage: Stage, breaking: Breaking, places: str, named: set[str]) -> None:
    """Exit status 1, and this cause and no other, for every connection that came otherwise."""
    with breaking(stage):
        status, checks = stage.checks("--from", places)
    assert (1, named) == (status, causes(checks))


def test_nodes_that_do_not_forward(stage: Stage) -> None:
    """Where kube-proxy's rules are gone, kube-proxy is named, and not the load balancer."""
    for node in stage.lab.nodes.values():
        for iptables in ("iptables", "ip6tables"):
            subprocess.run([*node.netns.prefix, iptables, "-t", "nat", "-F", "KUBE-SERVICES"], check=True)
    status, checks = stage.checks("--from", "outside")
    assert (1, {"NodesDoNotForward"}) == (status, causes(checks))


def test_no_enforcement(stage: Stage) -> None:
    """A cluster that ignores its policies is told of: by whoever gets in that no policy admits."""
    assert stage.lab.enforcer
    stage.lab.enforcer.part.stop(kill=True)
    for node in stage.lab.nodes.values():
        subprocess.run([*node.netns.prefix, "nft", "delete", "table", "inet", "networkpolicy"], check=True)
    status, checks = stage.checks("--from", f"outside,{INSIDE}", client="stranger")
    assert (1, {"NotEnforced"}) == (status, causes(checks))
