"""Who speaks for a Service, what limits leave of it, and what isolation results."""

from itertools import permutations
from typing import Any

import pytest

from exposure.addresses import Block, network
from exposure.labels import pairs
from exposure.model.config import Config
from exposure.model.exposures import PolicyOutcome, Resolution
from exposure.model.intent import Isolation
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
        pytest.param([], "", id="nobody"),
    ],
)
def test_exactly_one_governs(policies: list[Any], expected: str) -> None:
    """By rules that never depend on the order in which things were read."""
    assert {expected} == {governs(*each) for each in permutations(policies)}


YES, NO = True, False


@pytest.mark.parametrize(
    "said, ingress, egress, same",
    [
        pytest.param([], NO, NO, NO, id="nobody-speaks-nothing-is-isolated"),
        pytest.param([{}], YES, NO, NO, id="the-defaults"),
        pytest.param([{}, {}], YES, NO, NO, id="two-that-say-nothing"),
        pytest.param([{"ingress": NO}], NO, NO, NO, id="one-lets-in"),
        pytest.param([{"ingress": NO}, {}], NO, NO, NO, id="silence-is-no-denial"),
        pytest.param([{"ingress": NO}, {"ingress": YES}], YES, NO, NO, id="a-denial-that-is-written-wins"),
        pytest.param([{"egress": YES}, {"egress": NO}], YES, YES, NO, id="also-for-egress"),
        pytest.param([{"allow_same_namespace": YES}], YES, NO, YES, id="neighbours-let-in"),
        pytest.param([{"allow_same_namespace": YES}, {}], YES, NO, YES, id="silence-takes-nothing-away"),
        pytest.param(
            [{"allow_same_namespace": YES}, {"allow_same_namespace": NO}], YES, NO, NO, id="neighbours-kept-out"
        ),
    ],
)
def test_isolation_adds_up(said: list[Any], ingress: bool, egress: bool, same: bool) -> None:
    """An omitted field says nothing; defaults apply when nobody says anything; a written denial beats an allowance."""
    for order in permutations(said):
        assert Isolation(ingress, egress, same) == combined_isolation(Isolation(**each) for each in order)


def bound(*limits: Any) -> Any:
    here = snapshot(*(cluster_policy(f"c{n}", limits=each) for n, each in enumerate(limits)))
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
def test_limits_intersect(limits: list[Any], clients: Any, ports: Any, public: bool, modes: Any) -> None:
    """Several ClusterExposurePolicies: what one of them forbids is forbidden."""
    for order in permutations(limits):
        found = bound(*order)
        assert (None if clients is None else [Block(network(each)) for each in clients]) == (
            None if found.clients is None else list(found.clients)
        )
        assert (None if ports is None else frozenset(ports), public, modes) == (
            found.ports,
            found.allow_public,
            found.modes,
        )


def judged(spec: Any, limits: Any, *more: Any, **network: Any) -> Resolution:
    return resolved(policy(**spec), cluster_policy(limits=limits), service(), node(), *more, **network)


def outcome_of(found: Resolution, kind: str = "ExposurePolicy") -> PolicyOutcome:
    return next(each for each in found.outcomes if each.policy.kind == kind)


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
def test_what_a_policy_names_outside_its_limits(spec: Any, limits: Any, field: str) -> None:
    """It is not accepted, its status says which field, and nothing is granted."""
    found = judged(spec, limits)
    verdict = outcome_of(found).verdict
    assert not verdict.accepted
    assert "OutsideLimits" == verdict.reason
    assert verdict.message.startswith(field)
    assert "the policy opens nothing" in verdict.message
    assert set() == admitted(found)


@pytest.mark.parametrize(
    "spec, limits, who, ports",
    [
        pytest.param({}, LIMITED, {"203.0.113.0/24"}, {"tcp/8080"}, id="omitted-clients-are-the-limit"),
        pytest.param({}, {"ports": [443]}, set(), set(), id="omitted-ports-outside-open-nothing"),
        pytest.param({"ports": ["nowhere"]}, {"ports": [80]}, set(), set(), id="a-name-that-nobody-has"),
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
def test_what_a_policy_omits(spec: Any, limits: Any, who: set[str], ports: set[str]) -> None:
    """It is intersected with the limits."""
    found = judged(spec, limits, cni="cilium-dsr")
    assert outcome_of(found).verdict.accepted
    assert (who, ports) == (admitted(found), opened(found))


def test_public_by_omission() -> None:
    """limits.allowPublic refuses a Service whose clients are everyone because nobody said anything."""
    found = judged({}, {"allowPublic": False})
    assert set() == admitted(found)
    assert "allowPublic" in the_exposure(found, "service-web").refusal


def test_the_last_accepted_meaning_is_kept() -> None:
    """A policy that leaves its limits goes on as it was, inside the limits as they are now."""
    before = {"lastAccepted": {"generation": 1, "spec": {"clients": {"cidrs": ["203.0.0.0/16"]}}}}
    found = resolved(
        policy(status=before, clients={"cidrs": ["198.51.100.0/24"]}),
        cluster_policy(limits=LIMITED),
        service(externalTrafficPolicy="Local"),
        cni="calico",
    )
    assert {"203.0.113.0/24"} == admitted(found)
    assert "The last accepted spec stays in force." in outcome_of(found).verdict.message


@pytest.mark.parametrize(
    "last, who",
    [
        pytest.param(None, set(), id="none-yet"),
        pytest.param({"spec": {"ports": ["80"]}}, set(), id="one-that-cannot-be-read"),
        pytest.param({"spec": {"clients": {"cidrs": ["203.0.113.0/24"]}}}, {"203.0.113.0/24"}, id="one-that-can"),
    ],
)
def test_an_unreadable_policy_still_governs(last: Any, who: set[str]) -> None:
    """Its Services stay behind a wall: nothing opens because nobody understands."""
    found = resolved(
        policy(status={"lastAccepted": last}, ports=["80"]),
        service(externalTrafficPolicy="Local"),
        cni="calico",
    )
    assert who == admitted(found)
    assert "Invalid" == outcome_of(found).verdict.reason
    assert "exposure-default-deny" in {each.name for each in found.policies}


def test_unknown_profiles_are_invalid() -> None:
    """Not outside a limit: unknown."""
    found = judged({"loadBalancer": {"profile": "f5"}}, {})
    assert "Invalid" == outcome_of(found).verdict.reason
    assert set() == admitted(found)


def test_a_remembered_profile_that_is_gone() -> None:
    """After a downgrade, what was accepted may name a profile of a later version. It is as invalid as in a spec."""
    last = {"lastAccepted": {"spec": {"loadBalancer": {"profile": "f5"}}}}
    found = resolved(policy(status=last, ports=["80"]), service(externalTrafficPolicy="Local"), cni="calico")
    assert "Invalid" == outcome_of(found).verdict.reason
    assert set() == admitted(found)


@pytest.mark.parametrize(
    "spec, reached",
    [
        pytest.param({}, True, id="every-namespace"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "a"}}}, True, id="selected"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "b"}}}, False, id="not-selected"),
        pytest.param({"ports": ["80"]}, False, id="one-that-never-was-understood"),
    ],
)
def test_namespaces_that_are_covered(spec: Any, reached: bool) -> None:
    """By labels; a policy that was never understood reaches nobody."""
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
def test_system_namespaces(name: str, system: list[str], included: list[str], reached: bool) -> None:
    """No selector reaches a system namespace."""
    here = snapshot(cluster_policy(includeSystemNamespaces=included))
    configured = Config(system_namespaces=tuple(system))
    assert is_system_namespace(name, configured) == (name != "shop")
    object.__setattr__(here, "config", configured)
    assert reached == bool(matching_cluster_policies(here, Namespace(name, (("kubernetes.io/metadata.name", name),))))


def test_required_exposure_policies() -> None:
    """Where the platform team wants a policy of the tenant's own, its defaults open nothing."""
    required = cluster_policy(requireExposurePolicy=True)
    without = resolved(required, service(), cni="cilium")
    assert set() == admitted(without)
    assert "requires an ExposurePolicy" in the_exposure(without, "service-web").refusal
    assert {"0.0.0.0/0"} == admitted(resolved(required, policy(), service(), cni="cilium"))


def test_audit_alone_is_refused() -> None:
    """While another policy isolates the namespace: grants would go and the denial stay. What was accepted goes on."""
    before: Json = {"lastAccepted": {"spec": {}}}
    other = policy("b", services={"names": ["api"]})
    found = resolved(policy("a", mode="Audit", status=before), other, service(), cni="cilium")
    audited = next(each for each in found.outcomes if each.policy.name == "a")
    assert ("AuditWouldCut", "Enforce") == (audited.verdict.reason, audited.mode)
    assert {"0.0.0.0/0"} == admitted(found)


def test_the_loser_says_so() -> None:
    """In the status of the policy that does not govern."""
    found = resolved(BY_NAME, FOR_ALL, service(), cni="cilium")
    losing = next(each for each in found.outcomes if each.policy.name == "for-all")
    assert ["Governed by ExposurePolicy by-name instead."] == [each.message for each in losing.services]


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
def test_what_becomes_of_cluster_policies(spec: Any, accepted: bool, message: str) -> None:
    """A ClusterExposurePolicy that contradicts itself is not accepted, and its status names the field as written."""
    outcome = outcome_of(resolved(cluster_policy(**spec), service(), node()), "ClusterExposurePolicy")
    assert (accepted, message in outcome.verdict.message) == (outcome.verdict.accepted, True)


@pytest.mark.parametrize(
    "asked, own, allowed, mode, note",
    [
        pytest.param("Audit", {}, ["Enforce", "Audit"], "Audit", "", id="allowed"),
        pytest.param("Audit", {}, ["Enforce"], "Enforce", "does not allow it here", id="forbidden"),
        pytest.param("audit", {}, ["Enforce"], "Enforce", "is ignored", id="unknown"),
        pytest.param("Enforce", {"mode": "Audit"}, None, "Audit", "", id="enforce-lifts-no-audit"),
        pytest.param("Enforce", {"mode": "Paused"}, None, "Paused", "", id="enforce-lifts-no-pause"),
        pytest.param("Audit", {"mode": "Paused"}, None, "Audit", "", id="beats-the-mode-of-a-policy"),
    ],
)
def test_the_annotation_of_a_namespace(asked: str, own: Json, allowed: list[str] | None, mode: str, note: str) -> None:
    """Audit and Paused hold as far as the limits allow them. What is ignored is reported."""
    annotated = named("Namespace", "shop", annotations={"exposure.dev/mode": asked})
    limits = [cluster_policy(limits={"allowModes": allowed})] if allowed else []
    resolution = resolved(annotated, policy(**own), *limits, service(), cni="cilium")
    assert mode == outcome_of(resolution).mode
    assert note in outcome_of(resolution).note
    assert (mode == "Enforce") == ("exposure-to-web" in {written.name for written in resolution.policies})


def test_nothing_is_promised_to_stay_in_force_where_nothing_was_accepted() -> None:
    """A spec that is outside limits or invalid, with and without an earlier one: Accepted says what holds."""
    limits = cluster_policy(limits={"clients": {"cidrs": ["10.0.0.0/8"]}})
    specs: list[Json] = [{"clients": {"cidrs": ["203.0.113.0/24"]}}, {"clients": {"cidrs": ["nonsense"]}}]
    for spec in specs:
        message = outcome_of(resolved(policy(**spec), limits, service(), cni="cilium")).verdict.message
        assert message.endswith("No earlier spec was accepted, so the policy opens nothing.")
