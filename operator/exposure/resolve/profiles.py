"""Which load balancer serves an entry point: a row of the catalog, with the variant that applies."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from exposure.catalog.profile import Condition, LoadBalancerProfile, Variant
from exposure.catalog.providers import DEFAULTS, LOAD_BALANCERS, ROWS, UNKNOWN, WITHOUT_CLOUD
from exposure.labels import Pairs
from exposure.model.intent import LoadBalancerOverrides
from exposure.model.objects import Service
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.ingress_points import BackendRoute


@dataclass(frozen=True, slots=True)
class Traits:
    """What conditions ask about. `class_name`: the loadBalancerClass, or the controller of an Ingress or Gateway."""

    kind: str
    class_name: str
    annotations: Mapping[str, str]
    kubernetes: tuple[int, int]

    def satisfy(self, condition: Condition) -> bool:
        return (
            (not condition.classes or self.class_name in condition.classes)
            and condition.kind in ("", self.kind)
            and condition.since <= self.kubernetes
            and not any(key in self.annotations for key in condition.absent_annotations)
            and all(_has(self.annotations, key, values) for key, values in condition.annotations.items())
        )


def _has(annotations: Mapping[str, str], key: str, values: tuple[str, ...]) -> bool:
    if key.endswith("*"):
        return any(name.startswith(key[:-1]) for name in annotations)
    if key not in annotations:
        return False
    written = [part.strip().lower() for part in annotations[key].split(",")]
    return not values or any(_is(part, value) for part in written for value in values)


def _is(written: str, value: str) -> bool:
    return written.startswith(value[:-1]) if value.endswith("*") else written == value


def profile_of(service: Service, overrides: LoadBalancerOverrides, facts: ClusterFacts) -> LoadBalancerProfile:
    """The first of: the policy's profile, the loadBalancerClass, annotations, the default of the cluster's provider.

    A class that no row has means an unknown load balancer, for which the least is opened.
    """
    class_name = service.load_balancer_class or ""
    return _profile(overrides.profile, class_name, service.annotations, facts.provider, facts.kubelet_minor)


# Services mostly have the same annotations, of those that rows name.
@lru_cache(maxsize=4096)
def _profile(
    written: str | None, class_name: str, annotations: Pairs, provider: str | None, kubernetes: tuple[int, int]
) -> LoadBalancerProfile:
    traits = Traits("Service", class_name, dict(annotations), kubernetes)
    if written is not None:
        return _in_variant(LOAD_BALANCERS[written], traits)
    chosen = _chosen_by(traits)
    if chosen is None and class_name:
        return UNKNOWN
    default = WITHOUT_CLOUD if provider is None else DEFAULTS.get(provider, UNKNOWN)
    return _in_variant(chosen or default, traits)


def _chosen_by(traits: Traits) -> LoadBalancerProfile | None:
    has_class = bool(traits.class_name)
    for row in ROWS:
        for condition in row.chosen_by:
            if bool(condition.classes) == has_class and traits.satisfy(condition):
                return row
    return None


def ingress_profile(route: BackendRoute, service: Service, facts: ClusterFacts) -> LoadBalancerProfile:
    """The row of an Ingress's or Gateway's load balancer that has no pods, for one backend Service.

    The annotations of the Service come before those of the Ingress or Gateway.
    """
    annotations = {**dict(route.ingress_point.annotations), **dict(service.annotations)}
    traits = Traits(route.ingress_point.kind, route.proxy.controller, annotations, facts.kubelet_minor)
    return _in_variant(LOAD_BALANCERS[route.proxy.profile], traits)


def _in_variant(row: LoadBalancerProfile, traits: Traits) -> LoadBalancerProfile:
    holding = tuple(variant for variant in row.variants if any(map(traits.satisfy, variant.when)))
    return _varied(row, holding) if holding else row


# Rows are compared by identity: one variant is one object.
@lru_cache(maxsize=1024)
def _varied(row: LoadBalancerProfile, variants: tuple[Variant, ...]) -> LoadBalancerProfile:
    for variant in variants:
        row = LOAD_BALANCERS[variant.becomes] if variant.becomes else replace(row, **variant.changes)
    return row
