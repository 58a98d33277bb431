"""A snapshot and what follows from it: each namespace is resolved once, and Audit and Paused write nothing."""

from dataclasses import replace

import pytest

from exposure.model.intent import ClusterSpec, ExposureSpec, InvalidSpec, Isolation, Policy
from exposure.model.objects import Namespace, Ref, Service, ServicePort
from exposure.model.snapshot import Snapshot
from exposure.plan.resolved import ResolvedSnapshot, as_enforced

AUDIT, ENFORCE = ExposureSpec(mode="Audit"), ExposureSpec()
INVALID = InvalidSpec("spec", "is not valid")
WEB = Service("shop", "web", "LoadBalancer", (("app", "web"),), (ServicePort("http", "TCP", 80, 8080),))


def snapshot(spec: ExposureSpec | InvalidSpec = ENFORCE, mode: str | None = None) -> Snapshot:
    """A shop with one load balancer, one ExposurePolicy, and an annotation of the namespace."""
    return Snapshot(
        namespaces={"shop": Namespace("shop", mode=mode), "other": Namespace("other")},
        services={"shop": {"web": WEB}},
        exposure_policies={"shop": {"edge": Policy("shop", "edge", spec)}},
    )


def test_a_namespace_is_resolved_once() -> None:
    """When it is first needed."""
    resolved = ResolvedSnapshot(snapshot())
    assert resolved.resolution("shop") is resolved.resolution("shop")
    assert ["service-web"] == [exposure.name for exposure in resolved.exposures(["shop"])]


@pytest.mark.parametrize(
    "mode, spec, written, planned",
    [
        pytest.param(None, ENFORCE, ["exposure-default-deny", "exposure-to-web"], [], id="enforce"),
        pytest.param(None, AUDIT, [], ["exposure-default-deny", "exposure-to-web"], id="audit-in-the-policy"),
        pytest.param("Audit", ENFORCE, [], ["exposure-default-deny", "exposure-to-web"], id="audit-on-the-namespace"),
        pytest.param("Paused", ENFORCE, [], [], id="paused"),
    ],
)
def test_what_a_mode_writes_and_plans(
    mode: str | None, spec: ExposureSpec, written: list[str], planned: list[str]
) -> None:
    """Enforce writes, Audit plans, Paused does neither."""
    resolved = ResolvedSnapshot(snapshot(spec, mode))
    [exposure] = resolved.exposures(["shop"])
    assert written == [policy.name for policy in resolved.policies(["shop"])]
    assert planned == [policy.name for policy in resolved.planned(exposure)]
    assert written == sorted(ref.name for ref in exposure.network_policies)


def test_an_entry_point_without_a_policy_has_nothing_planned() -> None:
    """Audit of another Service of the namespace plans nothing for it but the namespace's default deny."""
    spec = ExposureSpec(mode="Audit", names=("api",))
    resolved = ResolvedSnapshot(snapshot(spec))
    [exposure] = resolved.exposures(["shop"])
    assert [] == resolved.planned(exposure)


def test_an_ingress_point_has_the_policies_of_its_backends() -> None:
    """The default deny of a backend's namespace belongs to the entry points of the backend itself."""
    resolved = ResolvedSnapshot(snapshot(AUDIT))
    [exposure] = resolved.exposures(["shop"])
    ingress = replace(exposure, owner=replace(exposure.owner, kind="Ingress"))
    assert ["exposure-to-web"] == [policy.name for policy in resolved.planned(ingress)]


def test_a_policy_is_found_by_its_name() -> None:
    """Written, planned, or live in a paused namespace. None where there is none."""
    ref = Ref("shop", "exposure-to-web")
    enforced, audited = ResolvedSnapshot(snapshot()), ResolvedSnapshot(snapshot(AUDIT))
    policy = enforced.policy(ref)
    assert policy is not None
    assert policy == audited.policy(ref)
    assert enforced.policy(Ref("shop", "exposure-to-api")) is None
    paused = snapshot(mode="Paused")
    assert ResolvedSnapshot(paused).policy(ref) is None
    live = replace(policy, annotations=())
    assert live == ResolvedSnapshot(replace(paused, network_policies={"shop": {live.name: live}})).policy(ref)


@pytest.mark.parametrize(
    "spec, later_service",
    [
        pytest.param(ExposureSpec(isolation=Isolation(ingress=False)), WEB, id="isolation-is-no-longer-asked-for"),
        pytest.param(ExposureSpec(), replace(WEB, selector=()), id="the-service-has-lost-its-selector"),
        pytest.param(ExposureSpec(), replace(WEB, type="ClusterIP"), id="the-service-is-no-longer-an-entry-point"),
        pytest.param(ExposureSpec(ports=(443,)), WEB, id="the-policy-has-changed"),
    ],
)
def test_a_paused_policy_deletes_and_changes_nothing(spec: ExposureSpec, later_service: Service) -> None:
    """What was written for it stays, whatever has become of its spec and of its Services since."""
    before = ResolvedSnapshot(snapshot())
    live = {written.name: written for written in before.policies(["shop"])}
    assert {"exposure-default-deny", "exposure-to-web"} == set(live)
    later = replace(
        snapshot(replace(spec, mode="Paused")),
        services={"shop": {"web": later_service}},
        network_policies={"shop": live},
    )
    assert ["keep", "keep"] == [change.verb for change in ResolvedSnapshot(later).plan("shop").changes]


def test_a_service_that_another_policy_governs_is_not_paused() -> None:
    """The paused policy once governed it. An enforced one does now, so the NetworkPolicy follows that."""
    before = ResolvedSnapshot(snapshot())
    live = {written.name: written for written in before.policies(["shop"])}
    policies = {
        "edge": Policy("shop", "edge", ExposureSpec(mode="Paused")),
        "named": Policy("shop", "named", ExposureSpec(names=("web",), ports=())),
    }
    later = replace(snapshot(), exposure_policies={"shop": policies}, network_policies={"shop": live})
    updated = [change.name for change in ResolvedSnapshot(later).plan("shop").changes if change.verb == "update"]
    assert ["exposure-to-web"] == updated


def test_a_name_conflict_is_not_written() -> None:
    """A NetworkPolicy that the operator did not write stays as it is."""
    policy = ResolvedSnapshot(snapshot()).policy(Ref("shop", "exposure-to-web"))
    assert policy is not None
    foreign = replace(policy, labels=())
    resolved = ResolvedSnapshot(replace(snapshot(), network_policies={"shop": {foreign.name: foreign}}))
    assert ["exposure-default-deny"] == [policy.name for policy in resolved.policies(["shop"])]
    assert ("exposure-to-web",) == resolved.plan("shop").name_conflicts


def test_as_enforced_removes_every_mode() -> None:
    """Of namespaces, policies, defaults of cluster policies, and what was accepted last."""
    audited = replace(
        snapshot(AUDIT, "Audit"),
        exposure_policies={
            "shop": {
                "edge": Policy("shop", "edge", AUDIT, last_accepted=AUDIT),
                "bad": Policy("shop", "bad", INVALID),
            }
        },
        cluster_exposure_policies={
            "platform": Policy(
                "",
                "platform",
                ClusterSpec(defaults=AUDIT),
                last_accepted=ClusterSpec(defaults=AUDIT),
            )
        },
    )
    enforced = as_enforced(audited)
    assert Namespace("shop") == enforced.namespaces["shop"]
    assert {
        "edge": Policy("shop", "edge", ENFORCE, last_accepted=ENFORCE),
        "bad": Policy("shop", "bad", INVALID),
    } == enforced.exposure_policies["shop"]
    assert {
        "platform": Policy("", "platform", ClusterSpec(), last_accepted=ClusterSpec())
    } == enforced.cluster_exposure_policies
