"""The installation: a real API server accepts it, its rights are exact, and kustomize and Helm install the same."""

import json
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from exposure.model.config import Config
from exposure.parse.config import config
from exposure.parse.kinds import API_GROUP, KINDS
from tests.cluster.control_plane import ControlPlane
from tests.manifests.reading import (
    CHART,
    MANIFESTS,
    REPOSITORY,
    Object,
    documents,
    kustomized,
    only,
    rendered,
    templated,
)

DRY_RUN = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
# One worker, and so one cluster, for all who use it.
pytestmark = pytest.mark.xdist_group("installed")
OPERATOR = "system:serviceaccount:exposure-system:exposure-operator"


@pytest.mark.parametrize("overlay", ["base", "overlays/single-replica", "overlays/monitoring", "overlays/canary"])
def test_every_variant_is_accepted_by_the_api_server(installed: ControlPlane, overlay: str) -> None:
    """What `kubectl kustomize` builds is accepted, and the server knows every field."""
    path = str(MANIFESTS / overlay)
    ran = installed.kubectl_result(*DRY_RUN, "--field-manager=overlay", "-k", path)
    assert (0, "") == (ran.returncode, ran.stderr)


def _pod(overrides: Object | None = None) -> Object:
    template = deepcopy(only(kustomized("base"), "Deployment")["spec"]["template"])
    template["spec"]["containers"][0]["securityContext"].update(overrides or {})
    metadata = {**template["metadata"], "name": "operator", "namespace": "exposure-system"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_the_pod_is_admitted_under_pod_security_restricted(installed: ControlPlane) -> None:
    """The namespace enforces `restricted`, and the operator's pod is accepted without a warning."""
    ran = installed.kubectl_result("create", "--dry-run=server", "-f", "-", input=json.dumps(_pod()))
    assert (0, "") == (ran.returncode, ran.stderr)


def test_the_namespace_enforces_pod_security_restricted(installed: ControlPlane) -> None:
    """The same pod with one right more is refused. Without this, the test above would prove nothing."""
    looser = json.dumps(_pod({"allowPrivilegeEscalation": True}))
    ran = installed.kubectl_result("create", "--dry-run=server", "-f", "-", input=looser)
    assert (1, True) == (ran.returncode, 'violates PodSecurity "restricted:latest"' in ran.stderr)


def test_the_root_file_system_is_read_only() -> None:
    """Nothing can be written in the container but below /tmp."""
    container = only(kustomized("base"), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert (True, ["/tmp"]) == (container["securityContext"]["readOnlyRootFilesystem"], writable)


def _verbs(role: Object) -> dict[str, set[str]]:
    verbs: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                verbs.setdefault(f"{resource}.{group}".rstrip("."), set()).update(rule["verbs"])
    return verbs


def test_the_operator_reads_each_kind_it_knows_and_writes_only_its_own() -> None:
    """The ClusterRole has the table of kinds, the verbs of what is written, and no other verb."""
    expected = {f"{kind.plural}.{kind.group}".rstrip("."): {"list", "watch"} for kind in KINDS}
    expected["networkpolicies.networking.k8s.io"] |= {"create", "patch", "delete"}
    expected[f"exposures.{API_GROUP}"] = {"list", "watch", "create", "patch", "delete"}
    for policies in ("exposurepolicies", "clusterexposurepolicies"):
        expected[f"{policies}/status.{API_GROUP}"] = {"patch"}
    expected["events.events.k8s.io"] = {"create"}
    assert expected == _verbs(only(kustomized("base"), "ClusterRole"))


def test_the_map_role_reads_each_kind_and_writes_nothing() -> None:
    """A binding of this role allows `kubectl exposure map`, and nothing else."""
    expected = {f"{kind.plural}.{kind.group}".rstrip("."): {"list"} for kind in KINDS}
    assert {**expected, "configmaps": {"get"}} == _verbs(
        only(kustomized("base"), "ClusterRole", "exposure-operator-map")
    )


@pytest.mark.parametrize(
    "verb, resource, namespace, allowed",
    [
        pytest.param("list", "services", "shop", True, id="reads-services"),
        pytest.param("patch", "services", "shop", False, id="never-writes-a-service"),
        pytest.param("patch", "services/status", "shop", False, id="nor-its-status"),
        pytest.param("patch", "namespaces", "", False, id="never-writes-a-namespace"),
        pytest.param("patch", "networkpolicies.networking.k8s.io", "shop", True, id="applies-network-policies"),
        pytest.param("update", "networkpolicies.networking.k8s.io", "shop", False, id="replaces-none"),
        pytest.param("patch", "exposurepolicies.exposure.dev", "shop", False, id="never-writes-intent"),
        pytest.param("patch", "exposurepolicies.exposure.dev/status", "shop", True, id="writes-its-status"),
        pytest.param("get", "secrets", "exposure-system", False, id="reads-no-secret"),
        pytest.param("list", "configmaps", "exposure-system", False, id="reads-no-config-map"),
        pytest.param("create", "leases.coordination.k8s.io", "exposure-system", True, id="has-a-lease-at-home"),
        pytest.param("create", "leases.coordination.k8s.io", "shop", False, id="has-none-elsewhere"),
    ],
)
def test_what_the_operator_may_do(
    installed: ControlPlane, verb: str, resource: str, namespace: str, allowed: bool
) -> None:
    """RBAC as the API server reads it, for the operator's own ServiceAccount."""
    assert allowed == _may(installed, OPERATOR, verb, resource, namespace)


def _may(cluster: ControlPlane, user: str, verb: str, resource: str, namespace: str) -> bool:
    name, _, subresource = resource.partition("/")
    below = [f"--subresource={subresource}"] if subresource else []
    where = ["--namespace", namespace] if namespace else ["--all-namespaces"]
    groups = [] if user.startswith("system:") else ["--as-group=tenants"]
    answer = cluster.kubectl_result("auth", "can-i", verb, name, *below, *where, f"--as={user}", *groups)
    verdict = answer.stdout.strip().partition(" ")[0]
    assert verdict in ("yes", "no"), answer.stderr
    return verdict == "yes"


@pytest.fixture(scope="module")
def tenants(installed: ControlPlane) -> ControlPlane:
    """A namespace in which anna has the cluster's own role `view`, otto `edit`, and ada `admin`."""
    installed.kubectl("create", "namespace", "team")
    for person, role in (("anna", "view"), ("otto", "edit"), ("ada", "admin")):
        installed.kubectl("create", "rolebinding", person, f"--clusterrole={role}", f"--user={person}", "-n", "team")
    # A controller aggregates the operator's roles into the cluster's, some time after the installation.
    deadline = time.monotonic() + 60
    while not _may(installed, "ada", "create", "exposurepolicies.exposure.dev", "team"):
        assert time.monotonic() < deadline, "the roles were never aggregated"
        time.sleep(0.2)
    return installed


@pytest.mark.parametrize(
    "person, verb, resource, allowed",
    [
        pytest.param("anna", "get", "exposures.exposure.dev", True, id="view-sees-the-entry-points"),
        pytest.param("anna", "list", "exposurepolicies.exposure.dev", True, id="view-sees-the-policies"),
        pytest.param("anna", "create", "exposurepolicies.exposure.dev", False, id="view-writes-none"),
        pytest.param("otto", "create", "exposurepolicies.exposure.dev", True, id="edit-writes-policies"),
        pytest.param("otto", "delete", "exposurepolicies.exposure.dev", True, id="edit-deletes-policies"),
        pytest.param("otto", "patch", "exposurepolicies.exposure.dev/status", False, id="edit-writes-no-status"),
        pytest.param("otto", "patch", "exposures.exposure.dev", False, id="edit-writes-no-exposure"),
        pytest.param("otto", "patch", "clusterexposurepolicies.exposure.dev", False, id="edit-lifts-no-limit"),
        pytest.param("ada", "update", "exposurepolicies.exposure.dev", True, id="admin-writes-policies"),
        pytest.param("ada", "create", "clusterexposurepolicies.exposure.dev", False, id="admin-sets-no-limit"),
        pytest.param("ada", "delete", "exposures.exposure.dev", False, id="admin-deletes-no-exposure"),
    ],
)
def test_what_tenants_may_do(tenants: ControlPlane, person: str, verb: str, resource: str, allowed: bool) -> None:
    """The cluster's own roles aggregate the operator's: a tenant writes what is exposed, and never the limits."""
    where = "" if resource.startswith("cluster") else "team"
    assert allowed == _may(tenants, person, verb, resource, where)


def test_the_installed_configuration_is_the_default() -> None:
    """The ConfigMap shows every setting, and changes none."""
    written = only(kustomized("base"), "ConfigMap")["data"]["config.yaml"]
    assert Config() == config(yaml.safe_load(written))


@pytest.mark.parametrize("overlay", ["base", "overlays/canary"])
def test_every_resource_is_in_one_rule_of_a_role(overlay: str) -> None:
    """A reader finds all verbs of a resource in one place. (Verbs on named objects only are a rule of their own.)"""
    for role in kustomized(overlay):
        if role["kind"] in ("ClusterRole", "Role"):
            resources = [
                (group, resource)
                for rule in role["rules"]
                if "resourceNames" not in rule
                for group in rule["apiGroups"]
                for resource in rule["resources"]
            ]
            assert sorted(set(resources)) == sorted(resources), role["metadata"]["name"]


def _comparable(objects: list[Object]) -> dict[tuple[str, str], Any]:
    """By kind and name, without what only one of the two can have: Helm's labels, the namespace, a checksum."""
    comparable = {}
    for raw in deepcopy(objects):
        if raw["kind"] == "Namespace":
            continue
        for label in ("app.kubernetes.io/managed-by", "helm.sh/chart", "app.kubernetes.io/name"):
            raw["metadata"].get("labels", {}).pop(label, None)
        if raw["kind"] == "Deployment":
            raw["spec"]["template"]["metadata"]["annotations"].pop("checksum/config", None)
        if raw["kind"] == "ConfigMap":
            raw["data"] = {key: yaml.safe_load(value) for key, value in raw["data"].items()}
        comparable[raw["kind"], raw["metadata"]["name"]] = raw
    return comparable


def test_the_chart_installs_what_kustomize_does(tmp_path: Path) -> None:
    """Helm with its default values and `kubectl apply -k manifests/base` give the same objects, the CRDs included."""
    assert _comparable(kustomized("base")) == _comparable(templated({}, tmp_path))


def test_helm_installs_the_crds_from_the_folder_that_it_never_upgrades(tmp_path: Path) -> None:
    """Helm finds the three CRDs in crds/ and nothing else there. Among the templates there is none: Helm would upgrade
    it and, with `helm uninstall`, delete it together with every object of its kind.

    https://helm.sh/docs/chart_best_practices/custom_resource_definitions/
    """
    chart = rendered({}, tmp_path)
    names = [f"{plural}.{API_GROUP}" for plural in ("clusterexposurepolicies", "exposurepolicies", "exposures")]
    assert names == sorted(crd["metadata"]["name"] for crd in documents(chart.crds))
    assert [] == [name for name, text in chart.templates.items() if "CustomResourceDefinition" in text]


UPGRADE = "kubectl apply --server-side --force-conflicts -k crds"


@pytest.mark.parametrize("page", ["README.md", "manifests/chart/exposure-operator/README.md"])
def test_the_upgrade_of_the_crds_is_documented(page: str, tmp_path: Path) -> None:
    """On the pages from which the chart is installed, and in the notes that Helm prints."""
    assert UPGRADE in (REPOSITORY / page).read_text()
    assert UPGRADE in rendered({}, tmp_path).templates["NOTES.txt"]


def test_crds_that_helm_installed_are_upgraded_as_documented(tmp_path: Path) -> None:
    """Helm creates with its own field manager, so that another client's apply has to be forced."""
    old = tmp_path / "old"
    old.mkdir()
    for path in (REPOSITORY / "crds").glob("*.yaml"):
        (old / path.name).write_text(path.read_text().replace("[Enforce, Audit, Paused]", "[Enforce, Audit]"))
    with ControlPlane(tmp_path / "cluster", controllers=False) as cluster:
        cluster.kubectl("create", "--field-manager=helm", "-f", str(old))
        upgrade = [*UPGRADE.split()[1:-1], str(REPOSITORY / "crds")]
        unforced = cluster.kubectl_result(*(flag for flag in upgrade if flag != "--force-conflicts"))
        forced = cluster.kubectl_result(*upgrade)
        crd = json.loads(cluster.kubectl("get", "crd", f"exposurepolicies.{API_GROUP}", "-o", "json"))
    assert (1, True) == (unforced.returncode, 'conflict with "helm"' in unforced.stderr)
    assert (0, True) == (forced.returncode, '"Paused"' in json.dumps(crd["spec"]))


def test_the_chart_requires_the_version_of_kubernetes_that_the_crds_need() -> None:
    """Their CEL rules use the IP and CIDR libraries, which came with 1.31.

    https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-ip-address-library
    """
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert ">=1.31.0-0" == chart["kubeVersion"]
    assert "cidr(" in (REPOSITORY / "crds" / f"{API_GROUP}_exposurepolicies.yaml").read_text().lower()


def test_the_chart_is_accepted_with_every_value_set(installed: ControlPlane, tmp_path: Path) -> None:
    """No value leads to a manifest that the API server refuses."""
    values = {
        "image": {"repository": "example.com/exposure-operator", "tag": "1.2.3", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "replicas": 3,
        "priorityClassName": "",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
        "podAnnotations": {"example.com/team": "platform"},
        "rbac": {"aggregate": False},
        "metrics": {"scrape": True},
        "config": {"network": {"cni": "calico"}},
    }
    objects = templated(values, tmp_path)
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    ran = installed.kubectl_result(*DRY_RUN, "--field-manager=helm", "-f", "-", input=items)
    roles = sorted(raw["metadata"]["name"] for raw in objects if raw["kind"] == "ClusterRole")
    assert (0, "") == (ran.returncode, ran.stderr)
    assert ["exposure-operator", "exposure-operator-map", "exposure-operator-platform"] == roles


def test_the_overlays_change_what_their_names_say() -> None:
    """One replica; annotations for a scraper."""
    single = only(kustomized("overlays/single-replica"), "Deployment")["spec"]["replicas"]
    template = only(kustomized("overlays/monitoring"), "Deployment")["spec"]["template"]
    assert (1, "true") == (single, template["metadata"]["annotations"]["prometheus.io/scrape"])
