"""A snapshot and what follows from it: each namespace resolved once, and what Audit and Paused hold back."""

from dataclasses import replace

import pytest

from exposure.model.intent import ClusterSpec, ExposureSpec, InvalidSpec, Policy
from exposure.model.objects import Namespace, Ref, Service, ServicePort
from exposure.model.snapshot import Snapshot
from exposure.plan.resolved import ResolvedSnapshot, as_enforced

AUDIT, ENFORCE = ExposureSpec(mode="Audit"), ExposureSpec()
INVALID = InvalidSpec("spec", "is not valid")
WEB = Service("shop", "web", "LoadBalancer", (("app", "web"),), (ServicePort("http", "TCP", 80, 8080),))


def snapshot(spec: ExposureSpec | InvalidSpec = ENFORCE, mode: str | None = None) -> Snapshot:
    """A shop with one load balancer, one ExposurePolicy, and what the namespace's annotation says."""
    return Snapshot(
        namespaces={"shop": Namespace("shop", mode=mode), "other": Namespace("other")},
        services={"shop": {"web": WEB}},
        exposure_policies={"shop": {"edge": Policy("shop", "edge", spec)}},
    )


def test_a_namespace_is_resolved_once() -> None:
    """When it is first asked about, and no other."""
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
def test_what_is_written_and_what_is_only_planned(
    mode: str | None, spec: ExposureSpec, written: list[str], planned: list[str]
) -> None:
    """Audit plans and does not write; Paused does neither."""
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
    """The default deny of a backend's namespace carries the backend's own entry points."""
    resolved = ResolvedSnapshot(snapshot(AUDIT))
    [exposure] = resolved.exposures(["shop"])
    ingress = replace(exposure, owner=replace(exposure.owner, kind="Ingress"))
    assert ["exposure-to-web"] == [policy.name for policy in resolved.planned(ingress)]


def test_the_policy_of_a_name() -> None:
    """Written, only planned, or as a pause leaves it; None where there is none."""
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


def test_a_name_conflict_is_not_written() -> None:
    """A NetworkPolicy that the operator did not write stays as it is."""
    policy = ResolvedSnapshot(snapshot()).policy(Ref("shop", "exposure-to-web"))
    assert policy is not None
    foreign = replace(policy, labels=())
    resolved = ResolvedSnapshot(replace(snapshot(), network_policies={"shop": {foreign.name: foreign}}))
    assert ["exposure-default-deny"] == [policy.name for policy in resolved.policies(["shop"])]
    assert ("exposure-to-web",) == resolved.plan("shop").name_conflicts


def test_as_enforced() -> None:
    """No mode is left: of a namespace, of a policy, of a cluster policy's defaults, of what was accepted last."""
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
