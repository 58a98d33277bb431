"""How kubectl shows the three kinds, and what the three CRDs have in common."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.control_plane import ControlPlane
from tests.crds import reference
from tests.crds.api import Json, crd, schema

PLURALS = ("exposurepolicies", "clusterexposurepolicies", "exposures")
NOW = "2026-01-01T00:00:00Z"

STATUS_BY_KIND: dict[str, Json] = {
    "ExposurePolicy": {
        "observedGeneration": 1,
        "mode": "Enforce",
        "serviceCount": 2,
        "services": [{"name": "web", "governed": True, "message": "open to 203.0.113.0/24"}],
        "lastAccepted": {"generation": 1, "spec": {"mode": "Enforce", "unknown": [1]}},
        "planned": ["create shop/exposure-to-web"],
    },
    "ClusterExposurePolicy": {
        "observedGeneration": 1,
        "namespaceCount": 3,
        "namespaces": ["shop", "blog", "desk"],
        "lastAccepted": {"generation": 1, "spec": {"limits": {"ports": [443]}}},
    },
}

EXPOSURE_STATUS: Json = {
    "observedGeneration": 4,
    "entryPoints": ["LoadBalancer"],
    "type": "LoadBalancer",
    "addresses": ["203.0.113.10"],
    "address": "203.0.113.10",
    "ports": [
        {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "entryPoint": "LoadBalancer"},
        {"name": "https", "port": 443, "targetPort": 8443, "protocol": "TCP"},
    ],
    "open": "80→http, 443→8443",
    "sources": [
        {
            "kind": "Clients",
            "cidrs": ["198.51.100.0/24"],
            "except": ["198.51.100.7/32"],
            "ports": ["TCP/http", "TCP/8443"],
            "entryPoint": "LoadBalancer",
            "explanation": "clients, whose address the load balancer keeps",
            "row": "node-kept-local",
            "source": "https://kubernetes.io/docs/tutorials/services/source-ip/",
        },
        {"kind": "ProxyPods", "peer": "pods app=proxy of namespace edge", "ports": ["TCP/8443"]},
    ],
    "from": "198.51.100.0/24",
    "backends": [{"namespace": "shop", "service": "web", "selector": "app=web", "ready": 2, "total": 3}],
    "policy": "edge",
    "policyRef": {"kind": "ExposurePolicy", "namespace": "shop", "name": "edge"},
    "networkPolicies": [{"namespace": "shop", "name": "exposure-to-web"}],
    "profile": "metallb",
    "cni": "calico",
    "delivery": "node",
    "position": "pre",
    "blindSpots": [
        {
            "reason": "SourceFilterLost",
            "effect": "Opens",
            "message": "nodes hide the client's address",
            "cure": "externalTrafficPolicy: Local",
        }
    ],
    "blindSpotReasons": "SourceFilterLost",
}


def condition(kind: str, status: str = "True", reason: str = "AsPlanned") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": NOW}


@pytest.fixture(scope="module")
def shop(cluster: ControlPlane) -> Iterator[ControlPlane]:
    """One object of each kind, with the status that the operator writes."""
    cluster.kubectl("create", "namespace", "shop")
    conditions = [condition("Accepted"), condition("Programmed"), condition("Ready")]
    for kind, status in STATUS_BY_KIND.items():
        head = {"apiVersion": "exposure.dev/v1alpha1", "kind": kind, "metadata": {"name": "edge", "namespace": "shop"}}
        spec = {"mode": "Enforce"} if kind == "ExposurePolicy" else {}
        cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump({**head, "spec": spec}))
        put = {**head, "status": {**status, "conditions": conditions}}
        apply = ("apply", "--server-side", "--validate=strict", "-f", "-")
        cluster.kubectl(*apply, "--subresource=status", input=yaml.safe_dump(put))
    exposure = {
        "apiVersion": "exposure.dev/v1alpha1",
        "kind": "Exposure",
        "metadata": {"name": "service-web", "namespace": "shop"},
        "status": {
            **EXPOSURE_STATUS,
            "conditions": [condition("Ready"), condition("Programmed"), condition("Verified")],
        },
    }
    cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=yaml.safe_dump(exposure))
    yield cluster
    cluster.kubectl("delete", "namespace", "shop", "--wait=false")


@pytest.mark.parametrize(
    "arguments, heading, row",
    [
        pytest.param(
            ("exposurepolicies", "-n", "shop"),
            ["NAME", "MODE", "SERVICES", "ACCEPTED", "READY", "AGE"],
            ["edge", "Enforce", "2", "True", "True"],
            id="exposure-policies",
        ),
        pytest.param(
            ("xp", "-n", "shop", "-o", "wide"),
            ["NAME", "MODE", "SERVICES", "ACCEPTED", "PROGRAMMED", "READY", "REASON", "AGE"],
            ["edge", "Enforce", "2", "True", "True", "True", "AsPlanned"],
            id="exposure-policies-wide",
        ),
        pytest.param(
            ("cxp",),
            ["NAME", "NAMESPACES", "ACCEPTED", "READY", "AGE"],
            ["edge", "3", "True", "True"],
            id="cluster-exposure-policies",
        ),
        pytest.param(
            ("exp", "-A"),
            ["NAMESPACE", "NAME", "TYPE", "ADDRESS", "OPEN", "FROM", "POLICY", "READY", "BLIND SPOTS"],
            ["shop", "service-web", "LoadBalancer", "203.0.113.10", "80→http, 443→8443", "198.51.100.0/24", "edge",
             "True", "SourceFilterLost"],
            id="exposures-of-all-namespaces",
        ),
        pytest.param(
            ("exposure", "service-web", "-n", "shop", "-o", "wide"),
            ["NAME", "TYPE", "ADDRESS", "OPEN", "FROM", "POLICY", "READY", "BLIND SPOTS", "AGE"],
            ["service-web", "LoadBalancer"],
            id="one-exposure-by-its-singular-name",
        ),
    ],
)  # fmt: skip
def test_kubectl_get_shows_the_columns(
    shop: ControlPlane, arguments: tuple[str, ...], heading: list[str], row: list[str]
) -> None:
    """All of them, in this order."""
    lines = shop.kubectl("get", *arguments).splitlines()
    cells = [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in lines]
    assert heading == cells[0]
    assert row == cells[1][: len(row)]


def test_the_category_has_all_three_kinds(shop: ControlPlane) -> None:
    """Its name is not `exposure`, because `kubectl get exposure NAME` would then read all three."""
    shown = shop.kubectl("get", "exposure-operator", "-n", "shop", "-o", "name").split()
    assert [
        "clusterexposurepolicy.exposure.dev/edge",
        "exposure.exposure.dev/service-web",
        "exposurepolicy.exposure.dev/edge",
    ] == sorted(shown)


@pytest.mark.parametrize(
    "path, words",
    [
        pytest.param("xp.spec", "Every field may be omitted", id="what-omission-means"),
        pytest.param("xp.spec.clients", "Example: clients: {cidrs: [203.0.113.0/24]", id="clients-with-an-example"),
        pytest.param("xp.spec.clients.unenforceable", "externalTrafficPolicy: Local", id="the-cure"),
        pytest.param("xp.spec.mode", "Enforce (if omitted)", id="a-default-in-words"),
        pytest.param("xp.spec.isolation.allowSameNamespace", "If no policy sets it: false", id="isolation"),
        pytest.param("xp.spec.egress.to.to.ipBlock", "except", id="nested-peers"),
        pytest.param("cxp.spec.limits", "Limits of several ClusterExposurePolicies intersect", id="limits"),
        pytest.param("cxp.spec.defaults.clients", "203.0.113.0/24", id="defaults-teach-as-well"),
        pytest.param("exp.status.blindSpots", "no NetworkPolicy can hold", id="blind-spots"),
        pytest.param("exp", "lists every entry point of the cluster", id="the-kind-itself"),
    ],
)
def test_kubectl_explain_documents_a_field(cluster: ControlPlane, path: str, words: str) -> None:
    """What it means, what its omission means, and an example."""
    assert words in " ".join(cluster.kubectl("explain", path).split())


def properties(of: Json, at: str = "") -> Iterator[tuple[str, Json]]:
    for name, value in of.get("properties", {}).items():
        yield f"{at}.{name}", value
        yield from properties(value, f"{at}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(of.get(key), dict):
            yield from properties(of[key], f"{at}[]")


def everything_in(of: Any) -> Iterator[Json]:
    if isinstance(of, dict):
        yield of
        for value in of.values():
            yield from everything_in(value)
    if isinstance(of, list):
        for value in of:
            yield from everything_in(value)


@pytest.mark.parametrize("plural", PLURALS)
def test_every_field_has_a_description(plural: str) -> None:
    """Except those of metav1.Condition, which Kubernetes documents."""
    known = {".apiVersion", ".kind", ".metadata", ".metadata.name"}
    bare = [
        at
        for at, of in properties(schema(plural))
        if "description" not in of and at not in known and "conditions" not in at
    ]
    assert [] == bare


@pytest.mark.parametrize("plural", PLURALS)
def test_no_default_is_filled_in(plural: str) -> None:
    """An omitted field says nothing. With a default from the API server it would not be omitted."""
    assert [] == [part for part in everything_in(schema(plural)) if "default" in part]


@pytest.mark.parametrize("plural", PLURALS)
def test_every_list_is_bounded(plural: str) -> None:
    """Without bounds, the API server could not limit the cost of the rules."""
    assert [] == [
        part for part in everything_in(schema(plural)) if part.get("type") == "array" and "maxItems" not in part
    ]


@pytest.mark.parametrize("plural", PLURALS)
def test_lists_of_a_spec_are_atomic(plural: str) -> None:
    """In a list of type set, an entry that one applier removes stays if another applier has written it too."""
    spec = schema(plural)["properties"].get("spec", {})
    lists = [part for part in everything_in(spec) if part.get("type") == "array"]
    assert {"atomic"} >= {part.get("x-kubernetes-list-type") for part in lists}


def test_defaults_are_the_spec_of_an_exposure_policy() -> None:
    """A ClusterExposurePolicy's defaults differ from an ExposurePolicy's spec only in the description."""
    spec = schema("exposurepolicies")["properties"]["spec"]
    defaults = schema("clusterexposurepolicies")["properties"]["spec"]["properties"]["defaults"]
    assert {**spec, "description": ""} == {**defaults, "description": ""}


def test_the_reference_page_is_up_to_date() -> None:
    """`python -m tests.crds.reference` writes docs/reference/resources.md from the CRDs."""
    assert reference.page() == reference.PAGE.read_text()


def test_isolation_is_the_same_in_both_policies() -> None:
    """With the same fields, rules and descriptions."""
    exposure_policy = schema("exposurepolicies")["properties"]["spec"]["properties"]
    cluster_policy = schema("clusterexposurepolicies")["properties"]["spec"]["properties"]
    assert exposure_policy["isolation"] == cluster_policy["isolation"]


@pytest.mark.parametrize(
    "plural, short, scope, has_status",
    [
        pytest.param("exposurepolicies", "xp", "Namespaced", True, id="exposure-policies"),
        pytest.param("clusterexposurepolicies", "cxp", "Cluster", True, id="cluster-exposure-policies"),
        # One server-side apply writes an Exposure whole.
        pytest.param("exposures", "exp", "Namespaced", False, id="exposures"),
    ],
)
def test_the_names_and_scope_of_a_kind(plural: str, short: str, scope: str, has_status: bool) -> None:
    """Short name, scope, and whether it has a status subresource."""
    spec = crd(plural)["spec"]
    version = spec["versions"][0]
    assert ([short], scope, has_status) == (spec["names"]["shortNames"], spec["scope"], "subresources" in version)
