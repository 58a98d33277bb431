"""Which policy governs a Service, what its limits leave, and how isolation adds up."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from exposure.addresses import Block, network
from exposure.labels import pairs
from exposure.model.config import Config
from exposure.model.exposures import PolicyOutcome, Resolution
from exposure.model.intent import ClusterSpec, Isolation, Limits, Policy
from exposure.model.objects import Namespace, Service
from exposure.resolve.cluster_policies import is_system_namespace, matching_cluster_policies
from exposure.resolve.effective_policies import combined_isolation, effective_policies
from exposure.resolve.governance import governing
from exposure.resolve.limits import effective_limits
from tests.unit.snapshots import (
    Json,
    admitted,
    cluster_policy,
    named,
    node,
    opened,
    policy,
    resolved,
    service,
    snapshot,
    the_exposure,
)

SHOP = Namespace("shop", (("kubernetes.io/metadata.name", "shop"), ("team", "a")))


def governs(
    *policies: Any, labels: dict[str, str] | None = None, entry_points: tuple[str, ...] = ("LoadBalancer",)
) -> str:
    """The name of the policy that governs the Service `web`; "" where none does."""
    here = snapshot(*policies)
    own = list(here.exposure_policies.get("shop", {}).values())
    matching = matching_cluster_policies(here, SHOP)
    policies = effective_policies(own, matching, effective_limits(matching), ())
    web = Service("shop", "web", labels=pairs(labels or {"tier": "edge"}))
    ranked = governing(web, policies, frozenset(entry_points))
    return ranked[0].ref.name if ranked else ""


BY_NAME = policy("by-name", services={"names": ["web"]})
BY_LABEL = policy("by-label", services={"selector": {"matchLabels": {"tier": "edge"}}})
FOR_ALL = policy("for-all")
OTHERS = policy("others", services={"names": ["api"]})
NODE_PORTS = policy("node-ports", entryPoints=["NodePort"])


@pytest.mark.parametrize(
    "policies, expected",
    [
        pytest.param([BY_NAME, BY_LABEL, FOR_ALL], "by-name", id="names-beat-selector-beats-none"),
        pytest.param([BY_LABEL, FOR_ALL], "by-label", id="a-selector-beats-none"),
        pytest.param([FOR_ALL, cluster_policy()], "for-all", id="an-exposure-policy-beats-defaults"),
        pytest.param(
            [FOR_ALL, cluster_policy(defaults={"services": {"names": ["web"]}})],
            "for-all",
            id="also-where-the-defaults-name-it",
        ),
        pytest.param([cluster_policy("b"), cluster_policy("a")], "a", id="among-defaults-the-name"),
        pytest.param(
            [policy("young", created="2026-02-01T00:00:00Z"), policy("zoe", created="2026-01-01T00:00:00Z")],
            "zoe",
            id="the-older-beats-the-newer",
        ),
        pytest.param([policy("file"), policy("zoe", created="2026-01-01T00:00:00Z")], "zoe", id="a-file-is-newest"),
        pytest.param([policy("b"), policy("a")], "a", id="then-the-name"),
        pytest.param(
            [
                policy("young", created="2026-02-01T00:00:00Z", services={"names": ["web"]}),
                policy("old", created="2026-01-01T00:00:00Z"),
            ],
            "young",
            id="precision-before-age",
        ),
        pytest.param([OTHERS], "", id="none-that-names-another"),
        pytest.param([NODE_PORTS], "", id="none-that-opens-no-such-entry-point"),
        pytest.param([], "", id="no-policy"),
    ],
)
def test_exactly_one_policy_governs_a_service(policies: list[Any], expected: str) -> None:
    """The order in which policies were read does not matter."""
    assert {expected} == {governs(*order) for order in permutations(policies)}


YES, NO = True, False


@pytest.mark.parametrize(
    "specs, ingress, egress, same",
    [
        pytest.param([], NO, NO, NO, id="no-policy-isolates-nothing"),
        pytest.param([{}], YES, NO, NO, id="the-defaults"),
        pytest.param([{}, {}], YES, NO, NO, id="two-that-omit-it"),
        pytest.param([{"ingress": NO}], NO, NO, NO, id="one-allows"),
        pytest.param([{"ingress": NO}, {}], NO, NO, NO, id="an-omission-is-no-denial"),
        pytest.param([{"ingress": NO}, {"ingress": YES}], YES, NO, NO, id="a-denial-that-is-written-wins"),
        pytest.param([{"egress": YES}, {"egress": NO}], YES, YES, NO, id="also-for-egress"),
        pytest.param([{"allow_same_namespace": YES}], YES, NO, YES, id="same-namespace-allowed"),
        pytest.param([{"allow_same_namespace": YES}, {}], YES, NO, YES, id="an-omission-removes-nothing"),
        pytest.param(
            [{"allow_same_namespace": YES}, {"allow_same_namespace": NO}], YES, NO, NO, id="same-namespace-denied"
        ),
    ],
)
def test_isolation_adds_up(specs: list[Any], ingress: bool, egress: bool, same: bool) -> None:
    """An omitted field does not count, defaults apply where no policy sets it, and a written denial has precedence."""
    for order in permutations(specs):
        assert Isolation(ingress, egress, same) == combined_isolation(Isolation(**spec) for spec in order)


def bound(*limits: Any) -> Any:
    here = snapshot(*(cluster_policy(f"c{n}", limits=limit) for n, limit in enumerate(limits)))
    return effective_limits(matching_cluster_policies(here, SHOP))


@pytest.mark.parametrize(
    "limits, clients, ports, public, modes",
    [
        pytest.param([], None, None, True, None, id="no-policy-limits-nothing"),
        pytest.param([{}], None, None, True, ("Enforce",), id="by-default-only-modes"),
        pytest.param([{"clients": {"cidrs": []}, "ports": []}], None, None, True, ("Enforce",), id="empty-is-no-limit"),
        pytest.param(
            [{"clients": {"cidrs": ["10.0.0.0/8"]}}, {"clients": {"cidrs": ["10.1.0.0/16", "192.0.2.0/24"]}}],
            ["10.1.0.0/16"],
            None,
            True,
            ("Enforce",),
            id="clients-intersect",
        ),
        pytest.param(
            [{"clients": {"cidrs": ["10.0.0.0/8"]}}, {"clients": {"cidrs": ["192.0.2.0/24"]}}],
            [],
            None,
            True,
            ("Enforce",),
            id="disjoint-lists-leave-nothing",
        ),
        pytest.param([{"ports": [80, 443]}, {"ports": [443, 22]}], None, {443}, True, ("Enforce",), id="ports"),
        pytest.param([{"ports": [80]}, {"ports": [443]}], None, set(), True, ("Enforce",), id="no-port-left"),
        pytest.param([{"allowPublic": False}, {}], None, None, False, ("Enforce",), id="one-refuses-the-public"),
        pytest.param(
            [{"allowModes": ["Enforce", "Audit"]}, {"allowModes": ["Paused", "Audit"]}],
            None,
            None,
            True,
            ("Audit",),
            id="modes-intersect",
        ),
    ],
)
def test_limits_of_several_policies_intersect(
    limits: list[Any], clients: Any, ports: Any, public: bool, modes: Any
) -> None:
    """Several ClusterExposurePolicies: what one of them forbids is forbidden."""
    for order in permutations(limits):
        combined = bound(*order)
        assert (None if clients is None else [Block(network(cidr)) for cidr in clients]) == (
            None if combined.clients is None else list(combined.clients)
        )
        assert (None if ports is None else frozenset(ports), public, modes) == (
            combined.ports,
            combined.allow_public,
            combined.modes,
        )


def test_limits_that_name_nothing_limit_nothing() -> None:
    """Also no mode, which a ClusterExposurePolicy always names."""
    platform = Policy("", "platform", ClusterSpec(limits=Limits()))
    here = replace(snapshot(), cluster_exposure_policies={"platform": platform})
    assert Limits() == effective_limits(matching_cluster_policies(here, SHOP))


def judged(spec: Any, limits: Any, *more: Any, **network: Any) -> Resolution:
    return resolved(policy(**spec), cluster_policy(limits=limits), service(), node(), *more, **network)


def outcome_of(resolution: Resolution, kind: str = "ExposurePolicy") -> PolicyOutcome:
    return next(outcome for outcome in resolution.outcomes if outcome.policy.kind == kind)


LIMITED = {"clients": {"cidrs": ["203.0.113.0/24"]}}


@pytest.mark.parametrize(
    "spec, limits, field",
    [
        pytest.param({"clients": {"cidrs": ["198.51.100.0/24"]}}, LIMITED, "spec.clients.cidrs[0]", id="clients"),
        pytest.param({"clients": {"cidrs": ["203.0.0.0/16"]}}, LIMITED, "spec.clients.cidrs[0]", id="wider"),
        pytest.param({"peers": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}, LIMITED, "spec.peers[0].ipBlock", id="a-peer"),
        pytest.param({"loadBalancer": {"cidrs": ["10.0.0.0/8"]}}, LIMITED, "spec.loadBalancer.cidrs[0]", id="balancer"),
        pytest.param(
            {"loadBalancer": {"healthCheckCIDRs": ["10.0.0.0/8"]}},
            LIMITED,
            "spec.loadBalancer.healthCheckCIDRs[0]",
            id="probes",
        ),
        pytest.param({"ports": [81]}, {"ports": [80]}, "spec.ports[0]", id="a-port"),
        pytest.param({"ports": ["http"]}, {"ports": [443]}, "spec.ports[0]", id="a-port-by-its-name"),
        pytest.param(
            {"ports": ["http"], "services": {"names": ["web"]}}, {"ports": [443]}, "spec.ports[0]", id="of-one-service"
        ),
        pytest.param(
            {
                "ports": ["http"],
                "services": {"selector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}},
            },
            {"ports": [443]},
            "spec.ports[0]",
            id="of-selected-services",
        ),
        pytest.param({"clients": {"cidrs": ["0.0.0.0/0"]}}, {"allowPublic": False}, "spec.clients.cidrs", id="public"),
        pytest.param({"mode": "Audit"}, {}, "spec.mode", id="a-mode"),
        pytest.param({"mode": "Enforce"}, {"allowModes": ["Audit"]}, "spec.mode", id="also-enforcing"),
    ],
)
def test_a_policy_outside_its_limits_is_not_accepted(spec: Any, limits: Any, field: str) -> None:
    """Its status names the field, and it admits nothing."""
    resolution = judged(spec, limits)
    verdict = outcome_of(resolution).verdict
    assert not verdict.accepted
    assert "OutsideLimits" == verdict.reason
    assert verdict.message.startswith(field)
    assert "the policy opens nothing" in verdict.message
    assert set() == admitted(resolution)


@pytest.mark.parametrize(
    "spec, limits, who, ports",
    [
        pytest.param({}, LIMITED, {"203.0.113.0/24"}, {"tcp/8080"}, id="omitted-clients-are-the-limit"),
        pytest.param({}, {"ports": [443]}, set(), set(), id="omitted-ports-outside-open-nothing"),
        pytest.param({"ports": ["nowhere"]}, {"ports": [80]}, set(), set(), id="a-name-that-no-service-has"),
        pytest.param(
            {"ports": ["http"], "services": {"names": ["api"]}},
            {"ports": [443]},
            set(),
            set(),
            id="a-name-that-only-other-services-have",
        ),
        pytest.param({"ports": ["http"]}, {"ports": [80]}, {"0.0.0.0/0"}, {"tcp/8080"}, id="inside"),
    ],
)
def test_an_omitted_field_is_narrowed_to_the_limits(spec: Any, limits: Any, who: set[str], ports: set[str]) -> None:
    """The policy stays accepted."""
    resolution = judged(spec, limits, cni="cilium-dsr")
    assert outcome_of(resolution).verdict.accepted
    assert (who, ports) == (admitted(resolution), opened(resolution))


def test_omitted_clients_are_public() -> None:
    """limits.allowPublic: false refuses a Service whose clients are everyone because they are omitted."""
    resolution = judged({}, {"allowPublic": False})
    assert set() == admitted(resolution)
    assert "allowPublic" in the_exposure(resolution, "service-web").refusal


def test_the_last_accepted_spec_stays_in_force() -> None:
    """Where a new spec is outside the limits, the old one stays in force, narrowed to the present limits."""
    before = {"lastAccepted": {"generation": 1, "spec": {"clients": {"cidrs": ["203.0.0.0/16"]}}}}
    resolution = resolved(
        policy(status=before, clients={"cidrs": ["198.51.100.0/24"]}),
        cluster_policy(limits=LIMITED),
        service(externalTrafficPolicy="Local"),
        cni="calico",
    )
    assert {"203.0.113.0/24"} == admitted(resolution)
    assert "The last accepted spec stays in force." in outcome_of(resolution).verdict.message


@pytest.mark.parametrize(
    "last, who",
    [
        pytest.param(None, set(), id="none-yet"),
        pytest.param({"spec": {"ports": ["80"]}}, set(), id="one-that-cannot-be-read"),
        pytest.param({"spec": {"clients": {"cidrs": ["203.0.113.0/24"]}}}, {"203.0.113.0/24"}, id="one-that-can"),
    ],
)
def test_an_invalid_policy_still_governs(last: Any, who: set[str]) -> None:
    """Its Services stay isolated, and admit only what was accepted last."""
    resolution = resolved(
        policy(status={"lastAccepted": last}, ports=["80"]),
        service(externalTrafficPolicy="Local"),
        cni="calico",
    )
    assert who == admitted(resolution)
    assert "Invalid" == outcome_of(resolution).verdict.reason
    assert "exposure-default-deny" in {network_policy.name for network_policy in resolution.policies}


def test_an_unknown_profile_is_invalid() -> None:
    """The reason is Invalid, not a limit."""
    resolution = judged({"loadBalancer": {"profile": "f5"}}, {})
    assert "Invalid" == outcome_of(resolution).verdict.reason
    assert set() == admitted(resolution)


def test_an_unknown_profile_in_the_last_accepted_spec_is_invalid() -> None:
    """After a downgrade, the last accepted spec may have a profile of a later version."""
    last = {"lastAccepted": {"spec": {"loadBalancer": {"profile": "f5"}}}}
    resolution = resolved(policy(status=last, ports=["80"]), service(externalTrafficPolicy="Local"), cni="calico")
    assert "Invalid" == outcome_of(resolution).verdict.reason
    assert set() == admitted(resolution)


@pytest.mark.parametrize(
    "spec, reached",
    [
        pytest.param({}, True, id="every-namespace"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "a"}}}, True, id="selected"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "b"}}}, False, id="not-selected"),
        pytest.param({"ports": ["80"]}, False, id="invalid-and-never-accepted"),
    ],
)
def test_a_cluster_policy_selects_namespaces_by_labels(spec: Any, reached: bool) -> None:
    """An invalid policy without an accepted spec selects none."""
    assert reached == bool(matching_cluster_policies(snapshot(cluster_policy(**spec)), SHOP))


@pytest.mark.parametrize(
    "name, system, included, reached",
    [
        pytest.param("kube-system", [], [], False, id="kube-namespaces-always"),
        pytest.param("monitoring", ["monitoring"], [], False, id="configured-ones"),
        pytest.param("exposure-system", [], [], False, id="the-operator-s-own"),
        pytest.param("kube-system", [], ["kube-system"], True, id="unless-it-is-named"),
        pytest.param("shop", [], [], True, id="all-others"),
    ],
)
def test_system_namespaces_have_to_be_named(name: str, system: list[str], included: list[str], reached: bool) -> None:
    """No selector selects one."""
    here = snapshot(cluster_policy(includeSystemNamespaces=included))
    configured = Config(system_namespaces=tuple(system))
    assert is_system_namespace(name, configured) == (name != "shop")
    object.__setattr__(here, "config", configured)
    assert reached == bool(matching_cluster_policies(here, Namespace(name, (("kubernetes.io/metadata.name", name),))))


def test_required_exposure_policies_disable_defaults() -> None:
    """With requireExposurePolicy, defaults expose nothing in a namespace without an ExposurePolicy."""
    required = cluster_policy(requireExposurePolicy=True)
    without = resolved(required, service(), cni="cilium")
    assert set() == admitted(without)
    assert "requires an ExposurePolicy" in the_exposure(without, "service-web").refusal
    assert {"0.0.0.0/0"} == admitted(resolved(required, policy(), service(), cni="cilium"))


def test_audit_alone_is_refused() -> None:
    """Another policy isolates the namespace: what admits would be deleted, what denies would not."""
    before: Json = {"lastAccepted": {"spec": {}}}
    other = policy("b", services={"names": ["api"]})
    resolution = resolved(policy("a", mode="Audit", status=before), other, service(), cni="cilium")
    audited = next(outcome for outcome in resolution.outcomes if outcome.policy.name == "a")
    assert ("AuditWouldCut", "Enforce") == (audited.verdict.reason, audited.mode)
    assert {"0.0.0.0/0"} == admitted(resolution)


def test_a_policy_that_does_not_govern_reports_it() -> None:
    """Its status names the policy that governs instead."""
    resolution = resolved(BY_NAME, FOR_ALL, service(), cni="cilium")
    losing = next(outcome for outcome in resolution.outcomes if outcome.policy.name == "for-all")
    assert ["Governed by ExposurePolicy by-name instead."] == [entry.message for entry in losing.services]


@pytest.mark.parametrize(
    "spec, accepted, message",
    [
        pytest.param({}, True, "", id="good"),
        pytest.param(
            {"defaults": {"ports": [80]}, "limits": {"ports": [443]}},
            False,
            "spec.defaults.ports[0]",
            id="contradiction",
        ),
        pytest.param({"defaults": {"mode": "Audit"}}, True, "", id="its-own-defaults-may-audit"),
    ],
)
def test_a_contradictory_cluster_policy_is_not_accepted(spec: Any, accepted: bool, message: str) -> None:
    """Its defaults are outside its own limits. Its status names the field as written."""
    outcome = outcome_of(resolved(cluster_policy(**spec), service(), node()), "ClusterExposurePolicy")
    assert (accepted, message in outcome.verdict.message) == (outcome.verdict.accepted, True)


@pytest.mark.parametrize(
    "written, own, allowed, mode, note",
    [
        pytest.param("Audit", {}, ["Enforce", "Audit"], "Audit", "", id="allowed"),
        pytest.param("Audit", {}, ["Enforce"], "Enforce", "does not allow it here", id="forbidden"),
        pytest.param("audit", {}, ["Enforce"], "Enforce", "is ignored", id="unknown"),
        pytest.param("Enforce", {"mode": "Audit"}, None, "Audit", "", id="enforce-lifts-no-audit"),
        pytest.param("Enforce", {"mode": "Paused"}, None, "Paused", "", id="enforce-lifts-no-pause"),
        pytest.param("Audit", {"mode": "Paused"}, None, "Audit", "", id="beats-the-mode-of-a-policy"),
    ],
)
def test_the_mode_annotation_of_a_namespace(
    written: str, own: Json, allowed: list[str] | None, mode: str, note: str
) -> None:
    """Audit and Paused hold where the limits allow them. A mode that is ignored is reported."""
    annotated = named("Namespace", "shop", annotations={"exposure.dev/mode": written})
    limits = [cluster_policy(limits={"allowModes": allowed})] if allowed else []
    resolution = resolved(annotated, policy(**own), *limits, service(), cni="cilium")
    assert mode == outcome_of(resolution).mode
    assert note in outcome_of(resolution).note
    assert (mode == "Enforce") == ("exposure-to-web" in {network_policy.name for network_policy in resolution.policies})


def test_a_first_spec_that_is_not_accepted_admits_nothing() -> None:
    """A spec that is outside limits or invalid, without an earlier one. The condition Accepted reports it."""
    limits = cluster_policy(limits={"clients": {"cidrs": ["10.0.0.0/8"]}})
    specs: list[Json] = [{"clients": {"cidrs": ["203.0.113.0/24"]}}, {"clients": {"cidrs": ["nonsense"]}}]
    for spec in specs:
        message = outcome_of(resolved(policy(**spec), limits, service(), cni="cilium")).verdict.message
        assert message.endswith("No earlier spec was accepted, so the policy opens nothing.")
