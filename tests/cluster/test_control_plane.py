"""The embedded cluster: it is real, independent of other clusters, and ends with the tests."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.cluster.binaries import VERSION_VARIABLE, default_version
from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import Part, Port

Value = TypeVar("Value")

_HOLDER = """
import sys, time
from pathlib import Path
from tests.cluster.processes import Part
part = Part(["sh", "-c", "sleep 600 & sleep 600"], log=Path(sys.argv[1]))
print(part.pid, flush=True)
time.sleep(600)
"""


def test_the_server_has_the_configured_version(control_plane: ControlPlane) -> None:
    """The binaries report their version of Kubernetes, not v0.0.0."""
    version = os.environ.get(VERSION_VARIABLE) or default_version()
    assert f"Server Version: v{version}" in control_plane.kubectl("version")


def test_the_crds_are_served(control_plane: ControlPlane) -> None:
    """A test finds the three resources without installing anything."""
    served = control_plane.kubectl("api-resources", "--api-group=exposure.dev", "-o", "name").split()
    assert {"exposurepolicies", "clusterexposurepolicies", "exposures"} == {name.split(".")[0] for name in served}


def test_endpoint_slices_come_from_the_real_controller(control_plane: ControlPlane, namespace: str) -> None:
    """A Service and a ready Pod are enough: the address appears in an EndpointSlice."""
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", input=_SERVICE_AND_POD)
    control_plane.kubectl("patch", "-n", namespace, "pod", "web", "--subresource=status", "-p", _POD_STATUS)
    # The controller leaves out Pods whose Node it does not know.
    query = ("get", "endpointslices", "-n", namespace, "-o", "jsonpath={.items[*].endpoints[*].addresses[*]}")
    assert "10.1.0.5" == _eventually(lambda: control_plane.kubectl(*query), "10.1.0.5")


def test_a_service_account_is_bound_by_its_role(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """A token from TokenRequest is the ServiceAccount to RBAC and in the audit log, refusals included."""
    user = f"system:serviceaccount:{namespace}:robot"
    control_plane.kubectl("create", "serviceaccount", "robot", "-n", namespace)
    token = control_plane.service_account_token(namespace, "robot")
    config = control_plane.write_kubeconfig(tmp_path / "robot", token, namespace=namespace)
    mark = control_plane.audit_mark()
    refused = control_plane.kubectl_result("--kubeconfig", str(config), "create", "configmap", "x")
    assert "forbidden" in refused.stderr
    assert [403] == [event["responseStatus"]["code"] for event in control_plane.writes(user, since=mark)]


def test_two_clusters_do_not_disturb_each_other(control_plane: ControlPlane, tmp_path: Path) -> None:
    """What is made in one is not in the other, and stopping one leaves the other alone."""
    with ControlPlane(tmp_path / "second", controllers=False) as second:
        assert control_plane.url != second.url
        second.kubectl("create", "namespace", "only-here")
        assert "only-here" not in control_plane.kubectl("get", "namespaces")
    assert "ok" == control_plane.kubectl("get", "--raw", "/readyz")


@pytest.mark.parametrize("kill", [pytest.param(False, id="stopped-in-good-order"), pytest.param(True, id="killed")])
def test_data_outlive_the_api_server(tmp_path: Path, kill: bool) -> None:
    """After a restart, on the same address, everything is as before, and tokens still hold."""
    with ControlPlane(tmp_path / "cluster", controllers=False) as cluster:
        cluster.kubectl("create", "namespace", "kept")
        url = cluster.url
        cluster.stop_apiserver(kill=kill)
        assert cluster.kubectl_result("get", "namespace", "kept").returncode != 0
        cluster.start_apiserver()
        assert (url, "namespace/kept\n") == (cluster.url, cluster.kubectl("get", "namespace", "kept", "-o", "name"))


def test_compacted_history_is_gone(tmp_path: Path) -> None:
    """After compaction and a restart, an old watch and an old continue token get 410, as after a long outage."""
    with ControlPlane(tmp_path / "cluster", controllers=False) as cluster:
        for number in range(5):
            cluster.kubectl("create", "configmap", f"a{number}")
        page = "/api/v1/namespaces/default/configmaps?limit=2"
        metadata = json.loads(cluster.kubectl("get", "--raw", page))["metadata"]
        # Something has to be written, or the compacted revision is still the present one.
        cluster.kubectl("create", "configmap", "b")
        assert int(metadata["resourceVersion"]) < cluster.compact()
        cluster.restart_apiserver(kill=True)
        rest = cluster.kubectl_result("get", "--raw", f"{page}&continue={metadata['continue']}")
        assert "continue parameter is too old" in rest.stderr
        since = int(metadata["resourceVersion"]) - 5
        watch = f"/api/v1/configmaps?watch=true&timeoutSeconds=2&resourceVersion={since}"
        watched = cluster.kubectl_result("get", "--raw", watch)
        assert "too old resource version" in watched.stdout + watched.stderr


def test_a_stopped_cluster_leaves_no_process(tmp_path: Path) -> None:
    """`stop` returns when every part is gone, and may be called twice."""
    cluster = ControlPlane(tmp_path / "cluster")
    cluster.start()
    assert 3 == _eventually(lambda: len(_processes_naming(tmp_path, leashes=False)), 3)
    cluster.stop()
    cluster.stop()
    assert [] == _processes_naming(tmp_path)


def test_a_cluster_that_cannot_start_reports_why(tmp_path: Path) -> None:
    """The error carries the end of the log, and the parts that did start are gone."""
    cluster = ControlPlane(tmp_path / "cluster", apiserver_flags=["--no-such-flag"])
    with pytest.raises(RuntimeError, match="unknown flag: --no-such-flag"):
        cluster.start()
    assert [] == _processes_naming(tmp_path)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGTERM, id="terminated"),
        pytest.param(signal.SIGINT, id="interrupted"),
    ],
)
def test_nothing_outlives_the_test_run(tmp_path: Path, number: signal.Signals) -> None:
    """However the test run ends, the process that it started ends too, with every child."""
    log = tmp_path / "part.log"
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(log)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    leash = int(holder.stdout.readline())
    family = _all_descendants(leash, 3)
    holder.send_signal(number)
    holder.wait(10)
    holder.stdout.close()
    assert 0 == _eventually(lambda: sum(map(_alive, [leash, *family])), 0)


def test_nothing_outlives_its_leash(tmp_path: Path) -> None:
    """The leash is the process's parent. If it is killed, the process ends too."""
    part = Part(["sleep", "600"], log=tmp_path / "part.log")
    child = _all_descendants(part.pid, 1)[0]
    os.kill(part.pid, signal.SIGKILL)
    part.stop()
    assert not _eventually(lambda: _alive(child), False)


@pytest.mark.parametrize(
    "script, kill, status",
    [
        pytest.param("trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done", False, 7, id="its-own-status"),
        pytest.param("echo up; exec sleep 600", False, 128 + 15, id="terminated"),
        pytest.param("echo up; exec sleep 600", True, 128 + 9, id="killed"),
    ],
)
def test_stopping_returns_the_exit_status(tmp_path: Path, script: str, kill: bool, status: int) -> None:
    """The exit status of a process passes through its leash."""
    part = Part(["sh", "-c", script], log=tmp_path / "part.log")
    _eventually(lambda: "up" in part.last_lines(), True)
    assert status == part.stop(kill=kill)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """Stopping is bounded in time."""
    part = Part(
        ["sh", "-c", "trap '' TERM; echo ignoring; while :; do sleep 1; done"], log=tmp_path / "part.log", grace=0.5
    )
    _eventually(lambda: "ignoring" in part.last_lines(), True)
    assert 128 + 9 == part.stop()
    assert not part.is_running()


def test_a_port_is_given_once() -> None:
    """Clusters that start at the same moment never get the same port."""
    ports = [Port() for _ in range(50)]
    assert 50 == len({port.number for port in ports})
    for port in ports:
        port.release()


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [process for child in map(int, children) for process in (child, *_descendants(child))]


def _all_descendants(pid: int, count: int) -> list[int]:
    _eventually(lambda: len(_descendants(pid)), count)
    return _descendants(pid)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _processes_naming(path: Path, *, leashes: bool = True) -> list[str]:
    """Command lines with `path` in them, without this process."""
    running = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(path) in line and int(process.name) != os.getpid() and (leashes or "leash.py" not in line):
            running.append(line)
    return running


def _eventually(look: Callable[[], Value], expected: Value, seconds: float = 30.0) -> Value:
    """The value of `look` once it is the expected one; AssertionError with the last one after so many seconds."""
    deadline = time.monotonic() + seconds
    while (value := look()) != expected:
        assert time.monotonic() < deadline, f"{value!r}, not {expected!r}, after {seconds:.0f} s"
        time.sleep(0.05)
    return value


_SERVICE_AND_POD = """
apiVersion: v1
kind: Node
metadata: {name: node-1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {nodeName: node-1, containers: [{name: web, image: example.com/web}]}
"""
_POD_STATUS = (
    '{"status": {"phase": "Running", "podIP": "10.1.0.5", "podIPs": [{"ip": "10.1.0.5"}], "hostIP": "192.0.2.7",'
    ' "conditions": [{"type": "Ready", "status": "True"}]}}'
)
