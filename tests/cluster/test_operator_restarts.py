"""The operator is stopped, killed and started at any time, with the same result."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.api import Object, cluster_exposure_policy, exposure_policy, network_policy, service
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import install_crds
from tests.cluster.operated import Operated, assert_only_own_writes, is_ours
from tests.cluster.operator_process import NAMESPACE, OperatorProcess, eventually

DEFAULT_DENY = "exposure-default-deny"
SCENARIOS = 36
STEPS = 14
#: Several changes happen between two starts, and some of the starts are after a SIGKILL.
ROUNDS = 4


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("restarts") / "cluster") as cluster:
        install_crds(cluster)
        yield cluster
        assert_only_own_writes(cluster)


@pytest.fixture
def stopped(cluster: ControlPlane, tmp_path: Path) -> Iterator[Operated]:
    """An operator that is not running yet."""
    operator = OperatorProcess(cluster, tmp_path / "operator")
    yield Operated(cluster, operator)
    operator.stop()


def test_it_adopts_what_exists_before_it_starts(stopped: Operated) -> None:
    """Services, ExposurePolicies, and its own NetworkPolicies, of which it deletes what is not planned."""
    where = stopped.new_namespace()
    stopped.api.create(service(where, "web"))
    stopped.api.create(exposure_policy(where))
    ours = {"labels": {"app.kubernetes.io/managed-by": "exposure-operator"}}
    stopped.api.create(network_policy(where, "exposure-to-gone", **ours))
    stopped.operator.start()
    stopped.until_policies(where, DEFAULT_DENY, "exposure-to-web")
    stopped.until_ready(where)


def test_what_is_deleted_while_it_is_down_leaves_nothing_behind(stopped: Operated) -> None:
    """A Service and an ExposurePolicy are deleted and a type is changed, with no operator running."""
    places = [stopped.new_namespace() for _ in range(3)]
    for where in places:
        stopped.api.create(service(where, "web"))
        stopped.api.create(service(where, "api"))
        stopped.api.create(exposure_policy(where))
    stopped.operator.start()
    for where in places:
        stopped.until_policies(where, DEFAULT_DENY, "exposure-to-web", "exposure-to-api")
    stopped.settle(quiet=0.5)
    stopped.operator.stop()
    stopped.api.delete("Service", places[0], "web")
    stopped.api.delete("ExposurePolicy", places[1], "edge")
    stopped.api.patch("Service", places[2], "web", {"spec": {"type": "ClusterIP"}})
    stopped.operator.start()
    stopped.until_policies(places[0], DEFAULT_DENY, "exposure-to-api")
    stopped.until_policies(places[1])
    stopped.until_policies(places[2], DEFAULT_DENY, "exposure-to-api")
    eventually(
        lambda: set(stopped.exposures(places[0])) == {"service-api"}, 10, "only the Exposure of the remaining Service"
    )


def test_a_restart_on_unchanged_objects_writes_nothing(stopped: Operated) -> None:
    """What is as planned is kept, down to the last Exposure and status."""
    where = stopped.new_namespace()
    stopped.api.create(service(where, "web"))
    stopped.api.create(exposure_policy(where))
    stopped.api.create(cluster_exposure_policy("restarted", where))
    stopped.operator.start()
    stopped.until_ready(where)
    stopped.settle(quiet=1.0)
    stopped.operator.stop()
    mark = stopped.cluster.audit_mark()
    stopped.operator.start()
    stopped.operator.wait_ready()
    stopped.settle(quiet=2.0)
    written = [event["requestURI"] for event in stopped.writes(mark)]
    stopped.api.delete("ClusterExposurePolicy", "", "restarted")
    assert [] == written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_it_cleanly_within_ten_seconds(stopped: Operated, number: signal.Signals) -> None:
    """The exit status is 0."""
    stopped.operator.start()
    stopped.operator.wait_ready()
    stopped.operator.signal(number)
    eventually(lambda: not stopped.operator.running, 10, "it has ended", stopped.operator.tail)
    assert stopped.operator.exit_status() == 0


def test_a_signal_while_it_is_starting_stops_it_too(stopped: Operated) -> None:
    """Whatever it is doing at that moment. The exit status is 0 as well."""
    stopped.operator.start()
    eventually(lambda: stopped.operator.catches(signal.SIGTERM), 20, "it handles SIGTERM", stopped.operator.tail)
    time.sleep(0.5)  # into the middle of the start; nothing depends on where exactly
    stopped.operator.signal(signal.SIGTERM)
    eventually(lambda: not stopped.operator.running, 10, "it has ended", stopped.operator.tail)
    assert stopped.operator.exit_status() == 0


def test_a_standby_is_ready_writes_nothing_and_takes_over(cluster: ControlPlane, tmp_path: Path) -> None:
    """At once when the leader stops in good order; after a crash, when its lease has expired."""
    first = OperatorProcess(cluster, tmp_path / "first", leader_elect=True, environment={"POD_NAME": "first"})
    second = OperatorProcess(cluster, tmp_path / "second", leader_elect=True, environment={"POD_NAME": "second"})
    operated = Operated(cluster, first)
    try:
        first.start()
        eventually(lambda: first.metric("exposure_leader") == 1, 60, "the first leads", first.tail)
        second.start()
        second.wait_ready()
        assert second.metric("exposure_leader") == 0
        where = operated.new_namespace()
        operated.api.create(service(where, "web"))
        operated.api.create(exposure_policy(where))
        operated.until_policies(where, DEFAULT_DENY, "exposure-to-web")
        assert second.metric("exposure_leader") == 0
        assert holder(operated) == "first"

        first.stop()
        eventually(lambda: second.metric("exposure_leader") == 1, 10, "the second leads soon", second.tail)
        operated.api.create(service(where, "api"))
        operated.until_policies(where, DEFAULT_DENY, "exposure-to-web", "exposure-to-api")

        first.start()
        first.wait_ready()
        second.kill()
        operated.api.delete("Service", where, "web")
        eventually(lambda: first.metric("exposure_leader") == 1, 60, "the first leads again", first.tail)
        operated.until_policies(where, DEFAULT_DENY, "exposure-to-api")
    finally:
        first.stop()
        second.stop()


def test_what_another_leader_wrote_meanwhile_is_not_drift(cluster: ControlPlane, tmp_path: Path) -> None:
    """A process that leads again corrects what differs, and does not count it as drift."""
    operator = OperatorProcess(cluster, tmp_path / "first", leader_elect=True, environment={"POD_NAME": "first"})
    operated = Operated(cluster, operator)
    try:
        operator.start()
        eventually(lambda: operator.metric("exposure_leader") == 1, 60, "it leads", operator.tail)
        where = operated.new_namespace()
        operated.api.create(service(where, "web"))
        operated.api.create(exposure_policy(where))
        operated.until_ready(where)
        planned = operated.policies(where)

        hand_over(operated, "second")
        eventually(lambda: operator.metric("exposure_leader") == 0, 30, "it leads no longer", operator.tail)
        # What a second leader may have written for a Service that has changed twice since.
        operated.api.patch("NetworkPolicy", where, "exposure-to-web", {"spec": {"ingress": []}})
        hand_over(operated, "")
        eventually(lambda: operated.policies(where) == planned, 30, "as planned", operated.more(where))
        operated.settle(quiet=0.5)
        assert operator.metric("exposure_drift_total") == 0
        assert [] == [event for event in operated.api.items("Event", where) if event["reason"] == "DriftPutBack"]

        operated.api.patch("NetworkPolicy", where, "exposure-to-web", {"spec": {"ingress": []}})
        eventually(lambda: operated.policies(where) == planned, 10, "as planned", operated.more(where))
        eventually(lambda: operator.metric("exposure_drift_total") == 1, 10, "now it is drift", operator.tail)
    finally:
        operator.stop()


def holder(operated: Operated) -> str:
    lease = operated.api.get("Lease", NAMESPACE, "exposure-operator") or {}
    return str(lease["spec"]["holderIdentity"])


def hand_over(operated: Operated, holder: str) -> None:
    """Writes a holder into the Lease; "" releases it."""
    operated.api.patch("Lease", NAMESPACE, "exposure-operator", {"spec": {"holderIdentity": holder}})


@pytest.mark.timeout(400)
def test_any_order_of_changes_and_restarts_ends_like_a_cold_start(stopped: Operated) -> None:
    """Random changes in thirty-six namespaces, through restarts and crashes. Then nothing is written for sixty seconds.
    Then the operator's objects are deleted, and a cold start writes the same policies."""
    namespaces = {stopped.new_namespace(): random.Random(seed) for seed in range(SCENARIOS)}
    stopped.operator.start()
    for turn in range(ROUNDS):
        for _ in range(STEPS // ROUNDS + 1):
            for where, chance in namespaces.items():
                change(stopped, where, chance)
        if turn % 2:
            stopped.operator.kill()
        else:
            stopped.operator.stop()
        for where, chance in namespaces.items():
            change(stopped, where, chance)
        stopped.operator.start()
    stopped.operator.wait_ready()
    stopped.settle()

    mark = stopped.cluster.audit_mark()
    time.sleep(60)
    assert [event["requestURI"] for event in stopped.writes(mark)] == []
    grown = {where: ours(stopped, where) for where in namespaces}
    entry_points = {where: stopped.exposures(where).keys() for where in namespaces}

    stopped.operator.stop()
    for where in namespaces:
        for policy in stopped.api.items("NetworkPolicy", where):
            if is_ours(policy):
                stopped.api.delete("NetworkPolicy", where, policy["metadata"]["name"])
        for name in stopped.exposures(where):
            stopped.api.delete("Exposure", where, name)
    stopped.operator.start()
    stopped.operator.wait_ready()
    stopped.settle()
    assert {where: ours(stopped, where) for where in namespaces} == grown
    assert {where: stopped.exposures(where).keys() for where in namespaces} == entry_points
    assert sum(map(len, grown.values())) > SCENARIOS


def ours(operated: Operated, where: str) -> list[tuple[str, Object, Object, Object]]:
    """Name, labels, annotations and spec of the operator's policies: what it writes, without what the server adds."""
    return sorted(
        (
            policy["metadata"]["name"],
            policy["metadata"]["labels"],
            policy["metadata"].get("annotations", {}),
            policy["spec"],
        )
        for policy in operated.api.items("NetworkPolicy", where)
        if is_ours(policy)
    )


def change(operated: Operated, where: str, chance: random.Random) -> None:
    """One random change in a namespace. An object that does not exist is created instead."""
    name = chance.choice(("web", "api", "db"))
    there = operated.api.get("Service", where, name) is not None
    match chance.randrange(12):
        case 0 | 1 | 2:
            if there:
                operated.api.patch("Service", where, name, {"spec": {"selector": {"app": chance.choice("abc")}}})
            else:
                operated.api.create(service(where, name, chance.choice(("LoadBalancer", "LoadBalancer", "ClusterIP"))))
        case 3 if there:
            ports = [{"name": "http", "port": 80, "targetPort": chance.choice((8080, 9090, "http"))}]
            operated.api.patch("Service", where, name, {"spec": {"ports": ports}})
        case 4 if there:
            operated.api.patch("Service", where, name, {"spec": {"type": chance.choice(("ClusterIP", "LoadBalancer"))}})
        case 5:
            operated.api.delete("Service", where, name)
        case 6 | 7 | 8:
            policy = chance.choice(("edge", "edge", "other"))
            spec = chance.choice(
                (
                    {"clients": {"cidrs": ["198.51.100.0/24"]}, "mode": "Enforce"},
                    {"isolation": {"allowSameNamespace": True}, "mode": "Enforce"},
                    {"services": {"names": ["web"]}, "mode": "Enforce"},
                    {"mode": "Audit"},
                )
            )
            if operated.api.get("ExposurePolicy", where, policy):
                operated.api.patch("ExposurePolicy", where, policy, {"spec": spec})
            else:
                operated.api.create(exposure_policy(where, policy, **spec))
        case 9:
            operated.api.delete("ExposurePolicy", where, "other")
        case 10:
            for live in operated.api.items("NetworkPolicy", where):
                if is_ours(live) and chance.random() < 0.5:
                    operated.api.delete("NetworkPolicy", where, live["metadata"]["name"])
        case 11:
            mode = chance.choice((None, None, "Audit"))
            operated.api.patch("Namespace", "", where, {"metadata": {"annotations": {"exposure.dev/mode": mode}}})
        case _:
            pass
