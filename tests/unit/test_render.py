"""What people read: Exposures, conditions with their times, the status of policies, the cells of tables."""

from pathlib import Path
from typing import Any

import pytest

from exposure.addresses import Block, network
from exposure.catalog.decision_table import ROWS
from exposure.labels import EVERYTHING, selecting
from exposure.model.exposures import (
    BackendSummary,
    BlindSpot,
    Exposure,
    PolicyOutcome,
    PolicyRef,
    PolicyVerdict,
    ServiceOutcome,
    Source,
    SourceKind,
)
from exposure.model.objects import Ref, ServicePort
from exposure.networkpolicy.values import Owner, Peer, PolicyPort
from exposure.render.exposures import exposure_manifest, exposure_status, from_text, open_text
from exposure.render.status import LISTED, MESSAGE_LENGTH, condition, conditions, policy_status

CRDS = Path(__file__).parents[2] / "crds"
NOW, BEFORE = "2026-02-03T04:05:06Z", "2026-01-01T00:00:00Z"
EDGE = PolicyRef("ExposurePolicy", "edge", "shop")
OWNER = Owner("v1", "Service", "web", "uid-web")


def source(kind: str = "Clients", *cidrs: str, cuts: tuple[str, ...] = (), **more: Any) -> Source:
    blocks = tuple(Block(network(each), tuple(map(network, cuts))) for each in cidrs)
    ports = (PolicyPort("TCP", 8080),)
    return Source(SourceKind(kind), blocks, ports, ROWS[2], "Clients.", "https://example.com/", **more)


def exposure(**more: Any) -> Exposure:
    whole: dict[str, Any] = {
        "namespace": "shop",
        "name": "service-web",
        "owner": OWNER,
        "entry_points": ("LoadBalancer",),
        "addresses": ("203.0.113.10",),
        "ports": (ServicePort("http", "TCP", 80, "web"), ServicePort("", "TCP", 443, 8443)),
        "sources": (source("Clients", "198.51.100.0/24"),),
        "backends": (BackendSummary(Ref("shop", "web"), "app=web", 2, 3),),
        "policy": EDGE,
        "network_policies": (Ref("shop", "exposure-to-web"),),
        "blind_spots": (),
    }
    return Exposure(**(whole | more))


PODS = Peer(pods=selecting({"app": "proxy"}))


@pytest.mark.parametrize(
    "sources, text",
    [
        pytest.param([source("Clients", "198.51.100.0/24")], "198.51.100.0/24", id="one"),
        pytest.param([], "<none>", id="none"),
        pytest.param([source("HealthChecks", "10.0.0.0/8")], "<none>", id="health-checks-are-no-clients"),
        pytest.param([source("Clients", "10.0.0.0/8"), source("Nodes", "10.0.0.0/8")], "10.0.0.0/8", id="each-once"),
        pytest.param([source("ProxyPods", peers=(PODS,))], "./app=proxy", id="pods-of-the-entry-point-s-namespace"),
        pytest.param(
            [source("ProxyPods", peers=(Peer(namespaces=selecting({"kubernetes.io/metadata.name": "shop"})),))],
            "shop/*",
            id="a-namespace-by-its-name",
        ),
        pytest.param(
            [source("ProxyPods", peers=(Peer(namespaces=EVERYTHING, pods=selecting({"app": "proxy"})),))],
            "*/app=proxy",
            id="pods-of-every-namespace",
        ),
        pytest.param(
            [source("ProxyPods", peers=(Peer(namespaces=selecting({"team": "bank"}), pods=EVERYTHING),))],
            "team=bank/*",
            id="namespaces-by-label",
        ),
        pytest.param(
            [source("ProxyPods", peers=(Peer(Block(network("10.1.0.0/16"))),))], "10.1.0.0/16", id="a-peer-s-block"
        ),
        pytest.param(
            [source("Nodes", "10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "10.0.0.4/32", "10.0.0.5/32")],
            "10.0.0.1/32,10.0.0.2/32,10.0.0.3/32 +2",
            id="as-many-as-a-cell-holds",
        ),
    ],
)
def test_from_cells(sources: list[Source], text: str) -> None:
    """Who is let in, as short as a table's cell must be."""
    assert text == from_text(exposure(sources=tuple(sources)))


@pytest.mark.parametrize(
    "ports, text",
    [
        pytest.param(
            (ServicePort("http", "TCP", 80, "web"), ServicePort("", "TCP", 443, 8443)), "80→web, 443→8443", id="two"
        ),
        pytest.param((), "nothing", id="none"),
    ],
)
def test_open_cells(ports: tuple[ServicePort, ...], text: str) -> None:
    """Service port to target port."""
    assert text == open_text(exposure(ports=ports))


@pytest.mark.parametrize(
    "addresses, text",
    [
        pytest.param((), "", id="none"),
        pytest.param(("203.0.113.10", "2001:db8::1"), "203.0.113.10,2001:db8::1", id="two"),
        pytest.param(("a.example", "b.example", "c.example"), "a.example,b.example,…", id="more-than-fit"),
    ],
)
def test_address_cells(addresses: tuple[str, ...], text: str) -> None:
    """The first two; the list beside the cell is whole."""
    status = exposure_status(exposure(addresses=addresses))
    assert (text, list(addresses)) == (status["address"], status["addresses"])


def test_everything_about_an_entry_point() -> None:
    """The object that `kubectl get exposures` shows."""
    spot = BlindSpot("NotIsolated", "Opens", "Stands open.", "Isolate it.")
    bare = BlindSpot("NotIsolated", "Opens", "Stands open still.")
    cut = source("Clients", "10.0.0.0/8", cuts=("10.244.0.0/16",))
    found = exposure_manifest(
        exposure(
            sources=(cut, source("ProxyPods", peers=(PODS,))),
            blind_spots=(spot, bare),
            profile="metallb",
            delivery="node",
            cni="calico",
        ),
        "",
        NOW,
    )
    assert ("exposure.dev/v1alpha1", "Exposure") == (found["apiVersion"], found["kind"])
    assert [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "uid-web"}] == (
        found["metadata"]["ownerReferences"]
    )
    status = found["status"]
    assert [
        {"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"},
        {"port": 443, "targetPort": 8443, "protocol": "TCP"},
    ] == status["ports"]
    assert (["10.0.0.0/8"], ["10.244.0.0/16"]) == (status["sources"][0]["cidrs"], status["sources"][0]["except"])
    assert "pods app=proxy of this namespace" == status["sources"][1]["peer"]
    assert [{"reason": "NotIsolated", "effect": "Opens", "message": "Stands open.", "cure": "Isolate it."}] == (
        status["blindSpots"][:1]
    )
    assert "cure" not in status["blindSpots"][1]
    assert "NotIsolated" == status["blindSpotReasons"]
    assert ("metallb", "node", "calico", "pre") == tuple(
        status[key] for key in ("profile", "delivery", "cni", "position")
    )
    assert {"kind": "ExposurePolicy", "name": "edge", "namespace": "shop"} == status["policyRef"]
    assert [{"namespace": "shop", "name": "exposure-to-web"}] == status["networkPolicies"]


def test_an_entry_point_without_an_owner_or_a_policy() -> None:
    """A file's objects have no uid, so nothing can own; no policy shows as <none>."""
    cluster = PolicyRef("ClusterExposurePolicy", "platform")
    found = exposure_manifest(exposure(owner=Owner("v1", "Service", "web", ""), policy=None), "", NOW)
    assert "ownerReferences" not in found["metadata"]
    assert ("<none>", "") == (found["status"]["policy"], found["status"]["position"])
    assert "policyRef" not in found["status"]
    assert {"kind": "ClusterExposurePolicy", "name": "platform"} == (
        exposure_status(exposure(policy=cluster))["policyRef"]
    )
    assert ("edge", "platform (cluster)") == (str(EDGE), str(cluster))


@pytest.mark.parametrize(
    "more, message, expected",
    [
        pytest.param({}, "", {"Programmed": "Programmed", "Ready": "Ready"}, id="ready"),
        pytest.param({}, "403.", {"Programmed": "NotProgrammed", "Ready": "NotProgrammed"}, id="failed"),
        pytest.param({"mode": "Audit"}, "", {"Programmed": "Audit", "Ready": "Audit"}, id="audit"),
        pytest.param({"mode": "Paused"}, "", {"Programmed": "Paused", "Ready": "Paused"}, id="paused"),
        pytest.param({"refusal": "No."}, "", {"Programmed": "Programmed", "Ready": "Refused"}, id="refused"),
        pytest.param({"policy": None}, "", {"Ready": "Ungoverned"}, id="ungoverned"),
        pytest.param({"policy": None, "default_deny": True}, "", {"Ready": "Denied"}, id="denied"),
    ],
)
def test_conditions_of_an_entry_point(more: Any, message: str, expected: dict[str, str]) -> None:
    """Ready is true where what is open is what was asked for, or where nothing is open."""
    manifest = exposure_manifest(exposure(**more), message, NOW)
    found = {each["type"]: each for each in manifest["status"]["conditions"]}
    assert expected == {kind: each["reason"] for kind, each in found.items()}
    assert ("True" if expected["Ready"] in ("Ready", "Denied") else "False") == found["Ready"]["status"]
    assert message in found["Ready"]["message"]


@pytest.mark.parametrize(
    "previous, time",
    [
        pytest.param([], NOW, id="a-new-one"),
        pytest.param([{"type": "Ready", "status": "True", "lastTransitionTime": BEFORE}], BEFORE, id="unchanged"),
        pytest.param([{"type": "Ready", "status": "False", "lastTransitionTime": BEFORE}], NOW, id="changed"),
        pytest.param([{"type": "Other", "status": "True", "lastTransitionTime": BEFORE}], NOW, id="of-another-type"),
        pytest.param([{"type": "Ready", "status": "True"}], NOW, id="without-a-time"),
    ],
)
def test_transition_times(previous: list[Any], time: str) -> None:
    """The time is that of the last change of status, not of the last write."""
    (found,) = conditions([condition("Ready", True, "Ready", "Good.")], previous, NOW)
    assert time == found["lastTransitionTime"]


def test_a_condition() -> None:
    """Unknown where nothing is known, its message as long as the API lets it be."""
    found = condition("Programmed", None, "NotProgrammed", "x" * 5000, 7)
    assert ("Unknown", MESSAGE_LENGTH, 7) == (found["status"], len(found["message"]), found["observedGeneration"])


ACCEPTED = PolicyVerdict(True, "Accepted", "Good.")
REFUSED = PolicyVerdict(False, "OutsideLimits", "spec.ports[0]: outside.")


@pytest.mark.parametrize(
    "verdict, mode, message, expected",
    [
        pytest.param(ACCEPTED, "Enforce", "", ["Accepted", "Programmed", "Ready"], id="done"),
        pytest.param(ACCEPTED, "Enforce", "403.", ["Accepted", "NotProgrammed", "NotProgrammed"], id="failed"),
        pytest.param(ACCEPTED, "Audit", "", ["Accepted", "Audit", "Audit"], id="audit"),
        pytest.param(ACCEPTED, "Paused", "", ["Accepted", "Paused", "Paused"], id="paused"),
        pytest.param(REFUSED, "Enforce", "", ["OutsideLimits", "NotAccepted", "OutsideLimits"], id="refused"),
    ],
)
def test_conditions_of_a_policy(verdict: PolicyVerdict, mode: str, message: str, expected: list[str]) -> None:
    """Ready only where the live policies equal the plan of this generation."""
    outcome = PolicyOutcome(EDGE, 3, verdict, mode, note="Take care.")
    status = policy_status(outcome, message, NOW)
    assert expected == [each["reason"] for each in status["conditions"]]
    assert {3} == {each["observedGeneration"] for each in status["conditions"]} | {status["observedGeneration"]}
    states = [each["status"] for each in status["conditions"]]
    assert ("True" if verdict.accepted else "False") == states[0]
    if verdict.accepted and mode == "Enforce":
        assert [str(not message)] * 2 == states[1:]
    else:
        assert ["False", "False"] == states[1:]


def test_lists_of_a_status_are_bounded() -> None:
    """As many as the CRD takes; the count beside them is whole."""
    services = tuple(ServiceOutcome(f"s{n}", "Opens.", governed=n > 0) for n in range(LISTED + 5))
    status = policy_status(PolicyOutcome(EDGE, 1, ACCEPTED, "Enforce", services), "", NOW)
    assert (LISTED, LISTED + 4) == (len(status["services"]), status["serviceCount"])
    platform = PolicyRef("ClusterExposurePolicy", "platform")
    namespaces = tuple(f"n{n}" for n in range(LISTED + 5))
    whole = PolicyOutcome(platform, 1, ACCEPTED, "Enforce", namespaces=namespaces)
    above = policy_status(whole, "", NOW)
    assert (LISTED, LISTED + 5) == (len(above["namespaces"]), above["namespaceCount"])
    assert "services" not in above
