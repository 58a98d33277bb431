"""Exposures: one for each entry point, with what follows for it from policies, modes and names."""

from itertools import permutations
from typing import Any

import pytest

from exposure.model.exposures import Exposure
from exposure.networkpolicy.values import Owner
from exposure.resolve import ResolveCache, cluster_facts, resolve
from exposure.resolve.exposures import exposure_name
from tests.unit.snapshots import (
    Json,
    cluster_policy,
    named,
    node,
    policy,
    resolved,
    service,
    snapshot,
    the_exposure,
    the_policy,
)

PUBLISHED = {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}


def ingress(name: str = "shop", **spec: Any) -> Json:
    """An Ingress that leads to the Service `web`, on port 80."""
    rules = [{"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]
    return named("Ingress", name, {"rules": rules, **spec}, status=PUBLISHED)


def namespace(mode: str | None) -> Json:
    return named("Namespace", "shop", annotations={"exposure.dev/mode": mode} if mode else {})


def live(name: str) -> Json:
    """A NetworkPolicy that the operator wrote earlier."""
    labels = {"app.kubernetes.io/managed-by": "exposure-operator"}
    return named("NetworkPolicy", name, {"podSelector": {}, "policyTypes": ["Ingress"]}, labels=labels)


def policies_of(exposure: Exposure) -> set[str]:
    return {ref.name for ref in exposure.network_policies}


@pytest.mark.parametrize("exposure", ["service-web", "ingress-shop"])
@pytest.mark.parametrize(
    "annotation, spec, live_policies, mode, network_policies",
    [
        pytest.param(None, {}, [], "Enforce", {"exposure-to-web"}, id="enforced"),
        pytest.param("Audit", {}, [], "Audit", set(), id="the-namespace-is-audited"),
        pytest.param(None, {"mode": "Audit"}, [], "Audit", set(), id="the-policy-is-audited"),
        pytest.param("Enforce", {"mode": "Audit"}, [], "Audit", set(), id="the-annotation-does-not-lift-an-audit"),
        pytest.param("Paused", {}, [], "Paused", set(), id="paused-before-anything-was-written"),
        pytest.param("Paused", {}, ["exposure-to-web"], "Paused", {"exposure-to-web"}, id="paused-afterwards"),
        pytest.param(None, {"mode": "Paused"}, [], "Paused", set(), id="the-policy-is-paused-before-anything"),
        pytest.param(
            None, {"mode": "Paused"}, ["exposure-to-web"], "Paused", {"exposure-to-web"}, id="the-policy-afterwards"
        ),
    ],
)
def test_the_mode_and_the_policies_of_an_entry_point(
    exposure: str, annotation: Any, spec: Any, live_policies: list[str], mode: str, network_policies: set[str]
) -> None:
    """At a Service as at an Ingress: the mode in force, and only NetworkPolicies that exist or are planned."""
    resolution = resolved(
        namespace(annotation),
        policy(**spec),
        cluster_policy(limits={"allowModes": ["Enforce", "Audit", "Paused"]}, isolation={"ingress": False}),
        service(ip="203.0.113.20"),
        service("proxy", ip="203.0.113.10"),
        ingress(),
        node(),
        *map(live, live_policies),
        cni="calico",
    )
    shown = the_exposure(resolution, exposure)
    assert (mode, network_policies) == (shown.mode, policies_of(shown) - {"exposure-default-deny"})


@pytest.mark.parametrize(
    "annotation, spec, cure",
    [
        pytest.param(
            "Audit", {"isolation": {"ingress": True}}, "Remove the annotation exposure.dev/mode", id="by-the-annotation"
        ),
        pytest.param(None, {"mode": "Audit", "isolation": {"ingress": True}}, "Set mode: Enforce", id="by-the-policy"),
        pytest.param(None, {"isolation": {"ingress": False}}, "Set isolation.ingress: true", id="isolation-not-set"),
    ],
)
def test_the_cure_for_a_namespace_that_is_not_isolated(annotation: Any, spec: Any, cure: str) -> None:
    """It names what keeps the default deny from being written."""
    allowed = cluster_policy(limits={"allowModes": ["Enforce", "Audit"]}, isolation={"ingress": False})
    resolution = resolved(namespace(annotation), policy(**spec), allowed, service(), node(), cni="calico")
    cures = [
        blind_spot.cure
        for blind_spot in the_exposure(resolution, "service-web").blind_spots
        if blind_spot.reason == "NotIsolated"
    ]
    assert len(cures) == 1
    assert cures[0].startswith(cure)


@pytest.mark.parametrize(
    "classes, used",
    [
        pytest.param([("a", ""), ("b", "")], "a", id="by-name-where-none-is-older"),
        pytest.param([("a", "2026-01-01T00:00:00Z"), ("b", "2026-02-01T00:00:00Z")], "b", id="the-newest"),
        pytest.param([("a", "2026-01-01T00:00:00Z"), ("b", "2026-01-01T00:00:00Z")], "a", id="then-by-name"),
    ],
)
def test_one_of_several_default_ingress_classes_is_used(classes: list[tuple[str, str]], used: str) -> None:
    """As the API server chooses (its admission plugin DefaultIngressClass), whatever order they were read in."""
    made = [
        named(
            "IngressClass",
            name,
            {"controller": f"example.org/{name}"},
            annotations={"ingressclass.kubernetes.io/is-default-class": "true"},
            creationTimestamp=created,
        )
        for name, created in classes
    ]
    shared = [service(name, ip="203.0.113.10", selector={"app.kubernetes.io/name": name}) for name, _ in classes]
    for order in permutations(made):
        here = snapshot(*order, *shared, ingress(), node(), cni="calico")
        (point,) = cluster_facts(here).ingress_points["shop"]
        assert point.proxy.service is not None
        assert used == point.proxy.service.name


@pytest.mark.parametrize(
    "kind, name, expected",
    [
        pytest.param("Service", "web", "service-web", id="kind-and-name"),
        pytest.param("Ingress", "a" * 245, f"ingress-{'a' * 245}", id="as-long-as-a-name-may-be"),
    ],
)
def test_the_name_of_an_exposure(kind: str, name: str, expected: str) -> None:
    assert expected == exposure_name(Owner("v1", kind, name, ""))


def test_names_that_are_too_long_are_cut_and_stay_apart() -> None:
    """An object's name has at most 253 characters; an Ingress may use all of them."""
    names = {exposure_name(Owner("networking.k8s.io/v1", "Ingress", f"{'a' * 240}.{n:08}", "")) for n in range(50)}
    assert 50 == len(names)
    assert {True} == {len(name) <= 253 and name[0].isalnum() and ".-" not in name for name in names}


def test_a_label_names_a_policy_whose_name_is_longer_than_a_label_may_be() -> None:
    """A label's value has at most 63 characters, a policy's name 253: the API server would refuse the NetworkPolicy."""
    labels = {
        dict(the_policy(resolved(policy(f"{'a' * 70}.{n:03}"), service(), node()), "exposure-to-web").labels)[
            "exposure.dev/policy"
        ]
        for n in range(20)
    }
    assert 20 == len(labels)
    assert {True} == {len(label) <= 63 and label[0].isalnum() and label[-1].isalnum() for label in labels}


def test_a_violation_names_the_entry_of_the_list() -> None:
    """Of several peers, the one that is outside the limits."""
    inside: Json = {"podSelector": {}}
    outside = {"ipBlock": {"cidr": "198.51.100.0/24"}}
    resolution = resolved(
        policy(peers=[inside, outside]), cluster_policy(limits={"clients": {"cidrs": ["203.0.113.0/24"]}}), service()
    )
    verdict = next(outcome.verdict for outcome in resolution.outcomes if outcome.policy.kind == "ExposurePolicy")
    assert verdict.message.startswith("spec.peers[1].ipBlock: ")


def test_ports_with_one_target_are_shown_once() -> None:
    """Several ports of a Service may lead to one port of its pods."""
    two = [{"name": name, "port": port, "targetPort": 8080} for name, port in (("http", 80), ("https", 443))]
    (source,) = the_exposure(resolved(policy(), service(ports=two), cni="calico"), "service-web").sources[:1]
    assert ["tcp/8080"] == [*map(str, source.ports)]


def test_a_missing_backend_is_reported() -> None:
    """The Exposure of an Ingress names it."""
    here = snapshot(ingress(), node(), cni="calico")
    (exposure,) = resolve(here, cluster_facts(here), "shop").exposures
    assert "leads to shop/web, which does not exist" in " ".join(
        blind_spot.message for blind_spot in exposure.blind_spots
    )


def test_the_cache_forgets_services_that_are_gone() -> None:
    """A namespace whose Services come and go keeps nothing of those that are gone."""
    cache = ResolveCache()
    for services in ([service(), service("api")], [service()]):
        here = snapshot(policy(), *services, node())
        resolve(here, cluster_facts(here), "shop", cache)
        assert {raw["metadata"]["name"] for raw in services} == {name for _, name in cache.entries["shop"]}
