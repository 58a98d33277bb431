"""Verification with real packets: no mismatch where nothing is broken, and the cause where something is."""

from __future__ import annotations

import signal
import subprocess
import xml.etree.ElementTree as xml
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.cluster.operator_process import eventually
from tests.lab.lab import Lab
from tests.lab.policies import policy
from tests.lab.traffic import Probe
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


def test_a_cluster_without_faults_has_no_mismatch(stage: Stage) -> None:
    """Every connection from every place is as expected, and the exit status is 0."""
    status, checks = stage.checks("--from", EVERYWHERE)
    assert (0, []) == (status, [check for check in checks if check["result"] == "mismatch"])
    # A node always reaches its own pods. Whether a ClusterIP selects one of these is not known.
    unjudged = {
        (check["from"]["place"], check["target"]["entryPoint"]) for check in checks if check["result"] == "not judged"
    }
    assert unjudged <= {("node", "ClusterIP")}
    places = {check["from"]["place"] for check in checks if "from" in check}
    assert set(EVERYWHERE.split(",")) == places
    assert {"allowed", "denied"} <= {check["expected"]["verdict"] for check in checks}
    assert 40 < len(checks)


@pytest.mark.parametrize("client, places", [("allowed", INSIDE), ("allowed", "outside"), ("stranger", "outside")])
def test_filtering_after_snat_with_silent_denials_has_no_mismatch(after_snat: Stage, client: str, places: str) -> None:
    """The CNI filters in the pod after SNAT, and drops instead of refusing: another row of the decision table."""
    status, checks = after_snat.checks("--from", places, "--repeat", "2", client=client)
    assert (0, []) == (status, [check for check in checks if check["result"] == "mismatch"])
    verdicts = {check["expected"]["verdict"] for check in checks if check["exposure"] == "shop/service-api"}
    assert {"allowed" if (client, places) == ("allowed", "outside") else "denied"} == verdicts
    assert (places == "outside") == ("this CNI filters after SNAT" in str(checks))


def test_a_client_that_may_arrive_as_a_node_is_not_judged(stage: Stage) -> None:
    """Where SNAT hides the client, the expected verdict is not known. That is reported, and is no mismatch."""
    status, checks = stage.checks("--from", "outside", client="stranger")
    verdicts = {(check["exposure"], check["expected"]["verdict"]) for check in checks if "target" in check}
    assert {("shop/service-api", "denied"), ("shop/service-web", "unsure")} == verdicts
    assert 0 == status
    assert "SourceFilterLost" in str(checks)


def test_probe_pods_are_restricted_and_deleted(stage: Stage) -> None:
    """They cannot live long, and none is left when the command has ended."""
    before = len(stage.kubelet.ran)
    assert 0 == stage.checks("--from", INSIDE)[0]
    ran = stage.kubelet.ran[before:]
    assert ["exposure-system", "shop"] == [pod["metadata"]["namespace"] for pod in ran]
    for pod in ran:
        assert pod["spec"]["activeDeadlineSeconds"] < 300
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert not pod["spec"]["automountServiceAccountToken"]
    pods = stage.lab.api.list("Pod")
    left = [pod["metadata"] for pod in pods if pod["metadata"]["name"].startswith("exposure-verify-")]
    assert [] == [metadata for metadata in left if "deletionTimestamp" not in metadata]


def test_a_dry_run_connects_to_nothing(stage: Stage) -> None:
    """It prints what it would connect to and from where, and makes neither a connection nor a pod."""
    before = len(stage.kubelet.ran)
    status, out, _ = stage.verify("--from", EVERYWHERE, "--dry-run", output="table")
    assert (0, before) == (status, len(stage.kubelet.ran))
    assert "tcp://192.0.2.6" in out
    assert "a pod in exposure-system" in out
    assert "none was made" in out


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, id="ctrl-c"), pytest.param(signal.SIGTERM, id="terminated")]
)
def test_an_interrupted_command_leaves_no_pod(stage: Stage, number: signal.Signals) -> None:
    """Whatever ends the command, its pod goes with it."""
    with stage.kubelet.suspended():
        command = stage.start("--from", "other-namespace")
        try:
            eventually(lambda: _probe_pods(stage), 60, "a probe pod")
            command.send_signal(number)
            assert 130 == command.wait(timeout=60)
        finally:
            command.kill()
        eventually(lambda: not _probe_pods(stage), 30, "no probe pod is left")


def _probe_pods(stage: Stage) -> list[str]:
    names = [pod["metadata"]["name"] for pod in stage.lab.api.list("Pod")]
    return [name for name in names if name.startswith("exposure-verify-")]


@pytest.mark.parametrize(
    "options, word",
    [
        pytest.param(["--from", "moon"], "moon", id="no-such-place"),
        pytest.param(["--timeout", "soon"], "soon", id="no-duration"),
        pytest.param(["--parallel", "1000"], "1000", id="too-many-at-once"),
        pytest.param(["--node", "n9", "--from", "node"], "n9", id="no-such-node"),
        pytest.param(["nothing"], "nothing", id="no-such-service"),
    ],
)
def test_an_invalid_option_is_named(stage: Stage, options: list[str], word: str) -> None:
    """Exit status 2, and a sentence with the invalid value."""
    status, out, err = stage.verify(*options)
    assert (2, "") == (status, out)
    assert word in err


def test_junit_has_a_test_case_for_each_check(stage: Stage) -> None:
    """As CI systems read it."""
    status, out, _ = stage.verify("--from", "outside", output="junit")
    suite = xml.fromstring(out)
    assert (0, "0") == (status, suite.get("failures"))
    assert len(suite) == int(suite.get("tests", "0")) == 5


@contextmanager
def foreign_allow_all(stage: Stage) -> Iterator[None]:
    stage.lab.apply(policy("allow-all", "shop", {}, {"ingress": [{}]}, ["Ingress"]))
    try:
        yield
    finally:
        stage.lab.delete("NetworkPolicy", "shop", "allow-all")


@contextmanager
def firewall(stage: Stage) -> Iterator[None]:
    """Drops everything from the client but what is for the API server."""
    with _dropping(stage, "192.0.2.8/29", "192.0.2.64/27", "2001:db8::8/125", "2001:db8::40/122"):
        yield


@contextmanager
def firewall_before_the_balancer(stage: Stage) -> Iterator[None]:
    with _dropping(stage, "192.0.2.64/27", "2001:db8::40/122"):
        yield


@contextmanager
def _dropping(stage: Stage, *ranges: str) -> Iterator[None]:
    prefix = stage.lab.clients["allowed"].netns.prefix
    rules = "\n".join(f"{'ip6' if ':' in cidr else 'ip'} daddr {cidr} drop" for cidr in ranges)
    table = f"table inet firewall {{\nchain out {{\ntype filter hook output priority 0;\n{rules}\n}}\n}}\n"
    subprocess.run([*prefix, "nft", "-f", "-"], input=table, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run([*prefix, "nft", "delete table inet firewall"], check=True)


def service_port_in_policy(stage: Stage) -> AbstractContextManager[None]:
    rules = [
        {**rule, "ports": [{"protocol": "TCP", "port": 80}]} for rule in stage.policy("exposure-to-web")["ingress"]
    ]
    return stage.other_policy("exposure-to-web", {"ingress": rules})


def policy_without_nodes(stage: Stage) -> AbstractContextManager[None]:
    nodes = {f"{ip}/{128 if ':' in ip else 32}" for node in stage.lab.nodes.values() for ip in node.addresses}
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
def no_pod_listens(stage: Stage) -> Iterator[None]:
    pods = [pod for name, pod in stage.lab.pods.items() if name.startswith("shop/web-")]
    for pod in pods:
        stage.lab.traffic.stop_serving(pod.host.netns)
    try:
        yield
    finally:
        for pod in pods:
            stage.lab.traffic.serve(pod.host.netns, pod.full_name, 8080, "TCP")


@contextmanager
def no_pod_ready(stage: Stage) -> Iterator[None]:
    pods = [pod for name, pod in stage.lab.pods.items() if name.startswith("shop/web-")]
    for pod in pods:
        stage.lab.set_ready(pod, False)
    try:
        _wait_for_endpoints(stage, 0)
        yield
    finally:
        for pod in pods:
            stage.lab.set_ready(pod, True)
        _wait_for_endpoints(stage, 2)


def _wait_for_endpoints(stage: Stage, ready: int) -> None:
    def counts() -> list[int]:
        """The number of ready endpoints in each EndpointSlice of `web`, one for each family."""
        return [
            sum(bool(endpoint["conditions"].get("ready")) for endpoint in endpoint_slice.get("endpoints") or ())
            for endpoint_slice in stage.lab.api.list("EndpointSlice", "shop")
            if endpoint_slice["metadata"]["labels"].get("kubernetes.io/service-name") == "web"
        ]

    eventually(lambda: counts() == [ready, ready], 30, f"{ready} endpoints of web", lambda: str(counts()))


@contextmanager
def no_speaker_announces(stage: Stage) -> Iterator[None]:
    """MetalLB still assigns addresses, and no speaker answers for them."""
    stage.lab.api.delete("L2Advertisement", "metallb-system", "lan")
    client = stage.lab.clients["allowed"].netns
    addresses = [
        (address, port)
        for name, port in (("web", 80), ("api", 81))
        for address in stage.lab.wait_for_addresses("shop", name, 2)
    ]

    def answered() -> list[str]:
        """Load balancer addresses for which a speaker still answers, once the client has forgotten its neighbours."""
        for family in ("-4", "-6"):
            subprocess.run([*client.prefix, "ip", family, "neigh", "flush", "dev", "eth0"], check=True)
        results = stage.lab.probe([Probe(client, address, port) for address, port in addresses])
        return [address for (address, _), result in zip(addresses, results, strict=True) if result.passed]

    try:
        eventually(lambda: not answered(), 30, "no speaker answers", lambda: str(answered()))
        yield
    finally:
        stage.lab.apply(
            {
                "apiVersion": "metallb.io/v1beta1",
                "kind": "L2Advertisement",
                "metadata": {"name": "lan", "namespace": "metallb-system"},
                "spec": {"ipAddressPools": ["lan"]},
            }
        )
        eventually(lambda: stage.checks("--from", "outside")[0] == 0, 60, "the speakers announce again")


@pytest.mark.parametrize(
    "breaking, places, named",
    [
        pytest.param(foreign_allow_all, EVERYWHERE, {"AdditivePolicy"}, id="a-foreign-policy-admits-everyone"),
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
        pytest.param(no_pod_listens, "outside", {"TargetPortClosed"}, id="no-pod-listens-on-the-target-port"),
        pytest.param(no_pod_ready, "outside", {"NoReadyBackend"}, id="no-backend-is-ready"),
        pytest.param(
            no_speaker_announces, "outside", {"LoadBalancerNotAnswering"}, id="no-speaker-announces-the-address"
        ),
    ],
)
def test_what_is_broken_is_named(stage: Stage, breaking: Breaking, places: str, named: set[str]) -> None:
    """Exit status 1, and every mismatch has this cause."""
    with breaking(stage):
        status, checks = stage.checks("--from", places)
    assert (1, named) == (status, causes(checks))


def test_nodes_that_do_not_forward_are_named(stage: Stage) -> None:
    """Without kube-proxy and its rules, the cause is the nodes, not the load balancer."""
    for proxy in stage.lab.proxies:
        proxy.stop(kill=True)  # it would write all its rules again as soon as any endpoint changes
    for node in stage.lab.nodes.values():
        for iptables in ("iptables", "ip6tables"):
            subprocess.run([*node.netns.prefix, iptables, "-w", "-t", "nat", "-F", "KUBE-SERVICES"], check=True)
    status, checks = stage.checks("--from", "outside")
    assert (1, {"NodesDoNotForward"}) == (status, causes(checks))


def test_a_cluster_that_ignores_policies_is_named(stage: Stage) -> None:
    """Connections that no policy admits are established."""
    assert stage.lab.enforcer
    stage.lab.enforcer.part.stop(kill=True)
    for node in stage.lab.nodes.values():
        subprocess.run([*node.netns.prefix, "nft", "delete", "table", "inet", "networkpolicy"], check=True)
    status, checks = stage.checks("--from", f"outside,{INSIDE}", client="stranger")
    assert (1, {"NotEnforced"}) == (status, causes(checks))
