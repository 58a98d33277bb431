"""NetworkPolicies and Exposures follow changes, on a real API server, with the operator's own ServiceAccount."""

import json
import time

import pytest

from tests.cluster.api import exposure_policy, network_policy, service
from tests.cluster.operated import Operated, condition, operated
from tests.cluster.operator_process import eventually

__all__ = ["operated"]

DEFAULT_DENY = "exposure-default-deny"


@pytest.fixture
def shop(operated: Operated) -> str:
    """A namespace with one LoadBalancer Service `web` and an ExposurePolicy, settled."""
    where = operated.new_namespace()
    operated.api.create(service(where, "web"))
    operated.api.create(exposure_policy(where))
    operated.until_policies(where, DEFAULT_DENY, "exposure-to-web")
    operated.until_ready(where)
    return where


def test_a_new_service_has_its_policy_within_a_second(operated: Operated, shop: str) -> None:
    """From the answer to the create until the policy is in the cluster. Best of three: the machine may be busy."""
    expected = [DEFAULT_DENY, "exposure-to-web"]
    seconds = []
    for name in ("api", "admin", "docs"):
        expected.append(f"exposure-to-{name}")
        operated.api.create(service(shop, name, port=443))
        began = time.monotonic()
        policies = operated.until_policies(shop, *expected)
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 1.0
    assert policies["exposure-to-api"]["podSelector"] == {"matchLabels": {"app": "api"}}
    assert policies["exposure-to-api"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert policies[DEFAULT_DENY] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    status = eventually(lambda: operated.exposures(shop).get("service-api"), 10, "an Exposure")
    assert status is not None
    assert ("LoadBalancer", "443→8080", "edge") == (status["type"], status["open"], status["policy"])
    eventually(lambda: condition(operated.exposures(shop)["service-api"], "Ready")["status"] == "True", 10, "Ready")


def test_the_policy_is_owned_by_its_service(operated: Operated, shop: str) -> None:
    """Garbage collection deletes it with the Service, even while the operator is down."""
    policy = operated.api.get("NetworkPolicy", shop, "exposure-to-web")
    web = operated.api.get("Service", shop, "web")
    assert policy is not None
    assert web is not None
    owner = policy["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Service", "web", web["metadata"]["uid"])


def test_the_selector_is_followed(operated: Operated, shop: str) -> None:
    """Where a Service selects other pods, so does its policy."""
    operated.api.patch("Service", shop, "web", {"spec": {"selector": {"app": None, "tier": "edge"}}})
    selector = {"matchLabels": {"tier": "edge"}}
    eventually(
        lambda: operated.policies(shop)["exposure-to-web"]["podSelector"] == selector,
        10,
        "the selector",
        operated.more(shop),
    )


def test_the_ports_are_followed(operated: Operated, shop: str) -> None:
    """A target port by number becomes one by name; the policy has the pods' port, not the Service's."""
    ports = [{"name": "http", "port": 80, "targetPort": "web"}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    operated.api.patch("Service", shop, "web", {"spec": {"ports": ports}})

    def open_ports() -> list[tuple[str, object]]:
        rules = operated.policies(shop)["exposure-to-web"].get("ingress", [])
        return sorted({(p["protocol"], p["port"]) for rule in rules for p in rule["ports"]}, key=str)

    wanted = [("TCP", "web"), ("UDP", 53)]
    eventually(lambda: open_ports() == wanted, 10, f"ports {wanted}", operated.more(shop))


def test_the_source_ranges_are_followed(operated: Operated, shop: str) -> None:
    """Narrower ranges of the Service narrow the policy."""
    ranges = {"loadBalancerSourceRanges": ["198.51.100.0/24"], "externalTrafficPolicy": "Local"}
    operated.api.patch("Service", shop, "web", {"spec": ranges})
    wanted = [{"ipBlock": {"cidr": "198.51.100.0/24"}}]
    eventually(
        lambda: operated.policies(shop)["exposure-to-web"]["ingress"][0]["from"] == wanted,
        10,
        "ranges",
        operated.more(shop),
    )


def test_a_service_that_is_no_entry_point_any_more_loses_its_policy(operated: Operated, shop: str) -> None:
    """It has one again when its type is LoadBalancer again. The default deny stays."""
    operated.api.patch("Service", shop, "web", {"spec": {"type": "ClusterIP"}})
    operated.until_policies(shop, DEFAULT_DENY)
    eventually(lambda: operated.exposures(shop) == {}, 10, "no Exposure")
    operated.api.patch("Service", shop, "web", {"spec": {"type": "LoadBalancer"}})
    operated.until_policies(shop, DEFAULT_DENY, "exposure-to-web")


def test_a_deleted_service_leaves_nothing_behind(operated: Operated, shop: str) -> None:
    """Neither a policy nor an Exposure."""
    operated.api.delete("Service", shop, "web")
    operated.until_policies(shop, DEFAULT_DENY)
    eventually(lambda: operated.exposures(shop) == {}, 10, "no Exposure")


def test_a_deleted_policy_releases_the_namespace(operated: Operated, shop: str) -> None:
    """The operator deletes its NetworkPolicies there, and reports the entry point as Ungoverned."""
    operated.api.delete("ExposurePolicy", shop, "edge")
    operated.until_policies(shop)
    exposures = eventually(
        lambda: operated.exposures(shop)["service-web"]["policy"] == "<none>" and operated.exposures(shop),
        10,
        "Exposure",
    )
    assert "Ungoverned" in exposures["service-web"]["blindSpotReasons"]


@pytest.mark.parametrize(
    "name", [pytest.param(DEFAULT_DENY, id="default-deny"), pytest.param("exposure-to-web", id="policy-of-a-service")]
)
@pytest.mark.parametrize("change", ["changed", "deleted", "opened-to-everyone"])
def test_drift_is_put_back(operated: Operated, shop: str, name: str, change: str) -> None:
    """Whatever others change in a policy of the operator, it is soon as planned again."""
    planned = operated.policies(shop)
    match change:
        case "changed":
            selector = {"spec": {"podSelector": {"matchLabels": {"another": "selector"}}}}
            operated.api.patch("NetworkPolicy", shop, name, selector)
        case "deleted":
            operated.api.delete("NetworkPolicy", shop, name)
        case "opened-to-everyone":
            operated.api.patch("NetworkPolicy", shop, name, {"spec": {"ingress": [{}]}})
    eventually(lambda: operated.policies(shop) == planned, 10, "as planned", operated.more(shop))


def test_an_exposure_that_others_edit_is_put_back(operated: Operated, shop: str) -> None:
    """Only the operator writes Exposures."""
    operated.settle(quiet=0.5)
    before = operated.exposures(shop)["service-web"]
    operated.api.patch("Exposure", shop, "service-web", {"status": {"policy": "changed-by-hand"}})
    eventually(lambda: operated.exposures(shop)["service-web"]["policy"] == before["policy"], 10, "put back")


def test_a_foreign_policy_of_the_same_name_is_never_overwritten(operated: Operated) -> None:
    """It is a name conflict: the ExposurePolicy is not Ready, and its message names the NetworkPolicy."""
    where = operated.new_namespace()
    foreign = operated.api.create(network_policy(where, "exposure-to-web"))
    operated.api.create(service(where, "web"))
    operated.api.create(exposure_policy(where))
    ready = operated.until_condition(where, "edge", "Ready", "False")
    assert "exposure-to-web" in ready["message"]
    live = operated.api.get("NetworkPolicy", where, "exposure-to-web")
    assert live is not None
    assert live["metadata"]["resourceVersion"] == foreign["metadata"]["resourceVersion"]
    operated.api.delete("NetworkPolicy", where, "exposure-to-web")
    operated.until_ready(where)


def test_a_foreign_policy_of_another_name_is_left_alone(operated: Operated, shop: str) -> None:
    """It is neither changed nor deleted, even when the namespace is released."""
    made = operated.api.create(network_policy(shop, "their-own"))
    operated.api.delete("ExposurePolicy", shop, "edge")
    operated.until_policies(shop)
    live = operated.api.get("NetworkPolicy", shop, "their-own")
    assert live is not None
    assert live["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_the_annotation_audit_releases_a_namespace_within_a_second(operated: Operated, shop: str) -> None:
    """Reports go on, and without the annotation everything is written again. Best of three: the machine may be busy."""
    released: list[float] = []
    isolated: list[float] = []
    for mode in ("Audit", None, "Audit", None, "Audit"):
        operated.api.patch("Namespace", "", shop, {"metadata": {"annotations": {"exposure.dev/mode": mode}}})
        began = time.monotonic()
        operated.until_policies(shop, *(() if mode else (DEFAULT_DENY, "exposure-to-web")))
        (released if mode else isolated).append(time.monotonic() - began)
    assert min(released) < 1.0
    assert min(isolated) < 1.0
    ready = operated.until_condition(shop, "edge", "Ready", "False")
    assert ready["reason"] == "Audit"
    planned = eventually(
        lambda: (operated.api.get("ExposurePolicy", shop, "edge") or {})["status"].get("planned"),
        10,
        "a plan in status",
    )
    assert any("exposure-to-web" in line for line in planned)
    operated.api.patch("Namespace", "", shop, {"metadata": {"annotations": {"exposure.dev/mode": None}}})
    operated.until_policies(shop, DEFAULT_DENY, "exposure-to-web")
    operated.until_ready(shop)


def test_the_annotation_paused_keeps_every_policy_as_it_is(operated: Operated, shop: str) -> None:
    """No NetworkPolicy is written while it is there. Afterwards the missed changes are."""
    operated.settle(quiet=0.5)
    before = operated.policies(shop)
    operated.api.patch("Namespace", "", shop, {"metadata": {"annotations": {"exposure.dev/mode": "Paused"}}})
    operated.until_condition(shop, "edge", "Ready", "False")
    operated.api.create(service(shop, "late"))
    operated.api.delete("Service", shop, "late")
    operated.api.patch("Service", shop, "web", {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 9}]}})
    operated.settle(quiet=0.5)
    assert before == operated.policies(shop)
    operated.api.patch("Namespace", "", shop, {"metadata": {"annotations": {"exposure.dev/mode": None}}})
    eventually(
        lambda: operated.policies(shop)["exposure-to-web"]["ingress"][0]["ports"][0]["port"] == 9,
        10,
        "the missed change",
    )


def test_an_audit_policy_plans_and_writes_nothing(operated: Operated) -> None:
    """Once it enforces, its NetworkPolicies are written."""
    where = operated.new_namespace()
    operated.api.create(service(where, "web"))
    operated.api.create(exposure_policy(where, mode="Audit"))
    ready = operated.until_condition(where, "edge", "Ready", "False")
    assert ready["reason"] == "Audit"
    assert operated.policies(where) == {}
    operated.api.patch("ExposurePolicy", where, "edge", {"spec": {"mode": "Enforce"}})
    operated.until_policies(where, DEFAULT_DENY, "exposure-to-web")


def test_a_namespace_can_be_deleted(operated: Operated, shop: str) -> None:
    """No object of the operator delays it, and no error is logged."""
    operated.api.delete("Namespace", "", shop)
    eventually(lambda: operated.api.get("Namespace", "", shop) is None, 60, "the namespace is gone")
    errors = [line for line in operated.operator.log.read_text().splitlines() if shop in line and '"error"' in line]
    assert errors == []


def test_transitions_become_events(operated: Operated, shop: str) -> None:
    """Accepted and Programmed on the ExposurePolicy, DriftPutBack on the NetworkPolicy that was put back."""
    operated.api.delete("NetworkPolicy", shop, DEFAULT_DENY)

    def reasons() -> set[str]:
        return {event["reason"] for event in operated.api.items("Event", shop)}

    eventually(lambda: {"Accepted", "Programmed", "DriftPutBack"} <= reasons(), 10, "Events", lambda: str(reasons()))


def test_what_is_written_after_a_pause_is_not_drift(operated: Operated, shop: str) -> None:
    """The operator itself has left the namespace as it was, and no other client has changed anything."""
    drift = operated.operator.metric("exposure_drift_total")
    operated.api.patch("Namespace", "", shop, {"metadata": {"annotations": {"exposure.dev/mode": "Paused"}}})
    operated.until_condition(shop, "edge", "Programmed", "False")
    operated.api.patch("ExposurePolicy", shop, "edge", {"spec": {"clients": {"cidrs": ["198.51.100.0/24"]}}})
    operated.settle(quiet=0.5)
    operated.api.patch("Namespace", "", shop, {"metadata": {"annotations": {"exposure.dev/mode": None}}})

    def admits() -> bool:
        return "198.51.100.0/24" in json.dumps(operated.policies(shop)["exposure-to-web"])

    eventually(admits, 10, "the new clients", operated.more(shop))
    operated.settle(quiet=0.5)
    assert drift == operated.operator.metric("exposure_drift_total")
    assert "DriftPutBack" not in {event["reason"] for event in operated.api.items("Event", shop)}


def test_a_deleted_namespace_is_not_counted_in_metrics(operated: Operated) -> None:
    """Its blind spots count while it exists, and no longer."""

    def ungoverned() -> float:
        return operated.operator.metric("exposure_blind_spots", reason="Ungoverned")

    operated.settle(quiet=0.5)
    before = ungoverned()
    where = operated.new_namespace()
    operated.api.create(service(where, "web"))
    eventually(lambda: ungoverned() == before + 1, 10, "it is counted", lambda: str(ungoverned()))
    operated.api.delete("Namespace", "", where)
    eventually(lambda: ungoverned() == before, 60, "it is counted no longer", lambda: str(ungoverned()))


def test_a_cluster_policy_isolates_the_namespaces_that_it_selects(operated: Operated) -> None:
    """They need no ExposurePolicy. The status lists them."""
    label = {"metadata": {"labels": {"exposed": "yes"}}}
    where = operated.new_namespace()
    operated.api.create(service(where, "web"))
    operated.api.patch("Namespace", "", where, label)
    operated.api.create(
        {
            "apiVersion": "exposure.dev/v1alpha1",
            "kind": "ClusterExposurePolicy",
            "metadata": {"name": "platform"},
            "spec": {"namespaceSelector": {"matchLabels": {"exposed": "yes"}}},
        }
    )
    try:
        operated.until_policies(where, DEFAULT_DENY, "exposure-to-web")

        def status() -> dict[str, object]:
            live = operated.api.get("ClusterExposurePolicy", "", "platform") or {}
            return dict(live.get("status", {}))

        eventually(lambda: condition(status(), "Ready")["status"] == "True", 10, "Ready", lambda: str(status()))
        eventually(lambda: status().get("namespaces") == [where], 10, "its namespaces", lambda: str(status()))
    finally:
        operated.api.delete("ClusterExposurePolicy", "", "platform")
    operated.until_policies(where)
