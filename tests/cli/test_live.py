"""Against a real API server: the same answers as from the files, with the rights that a role of ours gives."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import REPOSITORY, Run
from tests.cluster.control_plane import ControlPlane

# One worker, and so one cluster, for all of them.
pytestmark = pytest.mark.xdist_group("cli-live")


@pytest.fixture
def live(cluster: ControlPlane) -> list[str]:
    return ["--kubeconfig", str(cluster.kubeconfig)]


def test_a_cluster_gives_what_its_manifests_give(run: Run, live: list[str]) -> None:
    """The plan of a cluster that holds the examples is the plan of the examples."""
    from_files = run("plan", "-f", str(REPOSITORY / "examples"))
    from_cluster = run("plan", *live)
    names = [line.split()[:2] for line in from_files.out.splitlines()]
    assert (0, 0) == (from_files.status, from_cluster.status)
    assert names == [line.split()[:2] for line in from_cluster.out.splitlines()]


def test_the_map_of_a_cluster(run: Run, live: list[str]) -> None:
    """Every entry point, with -n those of one namespace."""
    everywhere = json.loads(run("map", "-o", "json", *live).out)
    here = json.loads(run("map", "-o", "json", "-n", "shop", *live).out)
    assert {"shop", "payments", "telemetry", "team-orange"} <= {exposure["namespace"] for exposure in everywhere}
    assert [("shop", "service-web")] == [(exposure["namespace"], exposure["name"]) for exposure in here]


def test_explain_on_a_cluster(run: Run, live: list[str]) -> None:
    """A name is looked up in the namespace that is given."""
    result = run("explain", "web", "-n", "shop", *live)
    assert (0, True) == (result.status, "shop/service-web" in result.out)


def test_a_namespace_that_is_not_there(run: Run, live: list[str]) -> None:
    """A misspelt namespace is no empty map."""
    result = run("map", "-n", "shpo", *live)
    assert (2, True) == (
        result.status,
        "Namespace shpo is not in the cluster. Namespaces: " in result.err,
    )


@pytest.fixture(scope="module")
def reader(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A ServiceAccount with the role exposure-operator-map and nothing else."""
    cluster.kubectl("create", "serviceaccount", "reader", "-n", "default")
    cluster.kubectl(
        "create",
        "clusterrolebinding",
        "reader",
        "--clusterrole=exposure-operator-map",
        "--serviceaccount=default:reader",
    )
    path = tmp_path_factory.mktemp("reader") / "kubeconfig"
    cluster.write_kubeconfig(path, cluster.service_account_token("default", "reader"))
    return ["--kubeconfig", str(path)]


def test_the_map_role_is_enough_and_nothing_is_written(cluster: ControlPlane, run: Run, reader: list[str]) -> None:
    """map, plan and explain with the role that is installed for them; the audit log shows reads alone, none refused."""
    mark = cluster.audit_mark()
    results = [run("map", *reader), run("plan", *reader), run("explain", "shop/web", *reader)]
    requests = [event for event in cluster.audit_events(mark) if event["user"]["username"].endswith(":reader")]
    assert [(0, "")] * 3 == [(result.status, result.err) for result in results]
    assert {"list", "get"} == {request["verb"] for request in requests}
    assert [] == [request["requestURI"] for request in requests if request["responseStatus"]["code"] == 403]


def test_a_missing_right_is_named(cluster: ControlPlane, run: Run, tmp_path: Path) -> None:
    """Verb and resource, so that the person who grants rights knows what to grant."""
    cluster.kubectl("create", "serviceaccount", "rightless", "-n", "default")
    config = cluster.write_kubeconfig(tmp_path / "rightless", cluster.service_account_token("default", "rightless"))
    result = run("map", "--kubeconfig", str(config))
    assert (2, "") == (result.status, result.out)
    assert "You may not list namespaces in all namespaces (" in result.err
    assert "Ask for the verb list on namespaces. ClusterRole exposure-operator-map grants it." in result.err


@pytest.mark.parametrize(
    "change, words",
    [
        pytest.param({"token": "wrong"}, "does not accept these credentials", id="a-wrong-token"),
        pytest.param({"server": "https://127.0.0.1:1"}, "does not answer", id="no-server-there"),
    ],
)
def test_a_cluster_that_cannot_be_asked(
    cluster: ControlPlane, run: Run, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    """Exit status 2 and a message, never a traceback."""
    token = change.get("token", cluster.admin_token)
    config = cluster.write_kubeconfig(tmp_path / "config", token, server=change.get("server"))
    result = run("map", "--kubeconfig", str(config))
    assert (2, True) == (result.status, words in result.err)


def test_the_clusters_own_configuration_counts(cluster: ControlPlane, run: Run, live: list[str]) -> None:
    """Without --config, what the operator runs with is read from its ConfigMap."""
    patch = json.dumps({"data": {"config.yaml": "network: {cni: antrea}\n"}})
    cluster.kubectl("patch", "configmap", "exposure-operator", "-n", "exposure-system", "--type=merge", "-p", patch)
    [entry_point] = json.loads(run("map", "-o", "json", "-n", "shop", *live).out)
    assert "antrea" == entry_point["cni"]


def test_the_namespace_of_the_context_is_where_a_bare_name_is_looked_up(
    cluster: ControlPlane, run: Run, tmp_path: Path
) -> None:
    """As with kubectl."""
    cluster.kubectl("create", "service", "clusterip", "web", "--tcp=80", "-n", "default")
    config = cluster.write_kubeconfig(tmp_path / "config", cluster.admin_token, namespace="shop")
    assert "shop/service-web" in run("explain", "web", "--kubeconfig", str(config)).out
    cluster.kubectl("delete", "service", "web", "-n", "default")


@pytest.mark.cluster
def test_a_cluster_without_our_crds_has_a_map_as_well(run: Run, tmp_path: Path) -> None:
    """Before anything is installed: every entry point, without a policy."""
    with ControlPlane(tmp_path / "bare", controllers=False) as bare:
        bare.kubectl("create", "service", "loadbalancer", "web", "--tcp=80:8080")
        [entry_point] = json.loads(run("map", "-o", "json", "--kubeconfig", str(bare.kubeconfig)).out)
    assert ("service-web", None) == (entry_point["name"], entry_point["policy"])
