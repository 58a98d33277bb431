"""ExposurePolicy and ClusterExposurePolicy into values: what slipped past the API server becomes `Unreadable`."""

from collections.abc import Callable
from typing import Any, TypeVar

from exposure.fields import BadField, Raw, integer, mapping, meta, text
from exposure.model.intent import (
    ENTRY_POINTS,
    MODES,
    Clients,
    ClusterExposurePolicy,
    ClusterLastAccepted,
    ClusterSpec,
    Egress,
    ExposurePolicy,
    ExposureSpec,
    Isolation,
    LastAccepted,
    Limits,
    LoadBalancerOverrides,
    Unreadable,
)
from exposure.parse.intent_fields import Fields, cidr, fields_of, name, one_of, port_number, service_port
from exposure.parse.intent_rules import blocks_without, egress_rule, peer

S = TypeVar("S")

FIELDS = ("mode", "entryPoints", "services", "isolation", "clients", "ports", "peers", "egress", "loadBalancer")
CLUSTER_FIELDS = (
    "namespaceSelector",
    "includeSystemNamespaces",
    "isolation",
    "defaults",
    "requireExposurePolicy",
    "limits",
)


def exposure_policy(raw: Raw) -> ExposurePolicy:
    head, remembered = meta(raw), mapping(mapping(raw, "status"), "lastAccepted")
    return ExposurePolicy(
        namespace=text(head, "namespace", "default"),
        name=text(head, "name"),
        spec=_readable(exposure_spec, raw.get("spec")),
        created=text(head, "creationTimestamp"),
        generation=integer(head, "generation", 1),
        uid=text(head, "uid"),
        last_accepted=(
            LastAccepted(integer(remembered, "generation"), _readable(exposure_spec, remembered.get("spec")))
            if remembered
            else None
        ),
        deleting="deletionTimestamp" in head,
    )


def cluster_exposure_policy(raw: Raw) -> ClusterExposurePolicy:
    head, remembered = meta(raw), mapping(mapping(raw, "status"), "lastAccepted")
    return ClusterExposurePolicy(
        name=text(head, "name"),
        spec=_readable(cluster_spec, raw.get("spec")),
        created=text(head, "creationTimestamp"),
        generation=integer(head, "generation", 1),
        uid=text(head, "uid"),
        last_accepted=(
            ClusterLastAccepted(integer(remembered, "generation"), _readable(cluster_spec, remembered.get("spec")))
            if remembered
            else None
        ),
        deleting="deletionTimestamp" in head,
    )


def _readable(read: Callable[[Fields], S], raw: Any) -> S | Unreadable:
    """No spec at all is a slip of indentation, not the wish to expose everything: that is `spec: {}`."""
    try:
        if raw is None:
            raise BadField("spec", "is missing; write spec: {} where the defaults are meant")
        return read(fields_of(raw, "spec"))
    except BadField as error:
        return Unreadable(error.field, error.message)


def exposure_spec(spec: Fields) -> ExposureSpec:
    """The spec of an ExposurePolicy (or a ClusterExposurePolicy's defaults); BadField names what cannot be meant."""
    spec.only(*FIELDS)
    services = spec.fields("services").only("selector", "names")
    selector = services.selector("selector")
    if spec.says("services") and services.says("selector") == services.says("names"):
        both = "has both selector and names; keep one of them"
        none = "is empty; leave it out to cover every Service, or give selector or names"
        raise BadField(services.path, both if services.says("names") else none)
    if selector is not None and selector.empty:
        raise BadField(services.at("selector"), "is empty; leave services out to cover every Service, or name labels")
    return ExposureSpec(
        mode=spec.choice("mode", MODES),
        entry_points=_in_order(
            spec.some("entryPoints", one_of(ENTRY_POINTS), "for LoadBalancer, Ingress and Gateway"), ENTRY_POINTS
        ),
        selector=selector,
        names=services.some("names", name, "with services to cover every Service"),
        isolation=_isolation(spec.fields("isolation")),
        clients=_clients(spec.fields("clients")),
        ports=spec.some("ports", service_port, "to expose every port"),
        peers=spec.each("peers", peer),
        egress=_egress(spec.fields("egress")) if spec.says("egress") else None,
        load_balancer=_load_balancer(spec.fields("loadBalancer")),
    )


def cluster_spec(spec: Fields) -> ClusterSpec:
    """The spec of a ClusterExposurePolicy; BadField names what cannot be meant."""
    spec.only(*CLUSTER_FIELDS)
    return ClusterSpec(
        namespace_selector=spec.selector("namespaceSelector"),
        include_system_namespaces=spec.distinct("includeSystemNamespaces", name),
        isolation=_isolation(spec.fields("isolation")),
        defaults=exposure_spec(spec.fields("defaults")),
        require_exposure_policy=spec.flag("requireExposurePolicy") or False,
        limits=_limits(spec.fields("limits")),
    )


def _limits(limits: Fields) -> Limits:
    limits.only("clients", "ports", "allowPublic", "allowModes")
    modes = limits.some("allowModes", one_of(MODES), "for [Enforce]")
    return Limits(
        cidrs=limits.fields("clients").only("cidrs").each("cidrs", cidr),
        ports=limits.distinct("ports", port_number),
        allow_public=limits.flag("allowPublic") is not False,
        modes=_in_order(modes, MODES),
    )


def _in_order(found: tuple[str, ...] | None, order: tuple[str, ...]) -> tuple[str, ...] | None:
    """Sets that people write as lists: their order means nothing, so equal sets are equal values."""
    return None if found is None else tuple(each for each in order if each in found)


def _isolation(raw: Fields) -> Isolation:
    raw.only("ingress", "egress", "allowSameNamespace")
    return Isolation(raw.flag("ingress"), raw.flag("egress"), raw.flag("allowSameNamespace"))


def _clients(raw: Fields) -> Clients:
    raw.only("cidrs", "except", "unenforceable")
    unenforceable = raw.choice("unenforceable", ("Allow", "Deny"))
    cidrs, cuts = raw.each("cidrs", cidr), raw.each("except", cidr)
    if not raw.says("cidrs"):
        if raw.says("except"):
            raise BadField(raw.at("except"), "needs cidrs that it is cut out of (0.0.0.0/0 and ::/0 for anyone)")
        return Clients(unenforceable=unenforceable)
    if not cidrs:
        raise BadField(raw.at("cidrs"), "is empty; leave it out for the Service's own ranges, or name one")
    return Clients(blocks_without(cidrs, cuts, raw.at("except")), cidrs, unenforceable)


def _egress(raw: Fields) -> Egress:
    raw.only("dns", "apiServer", "to")
    return Egress(raw.flag("dns") is not False, raw.flag("apiServer") is True, raw.each("to", egress_rule))


def _load_balancer(raw: Fields) -> LoadBalancerOverrides:
    raw.only("profile", "cidrs", "healthCheckCIDRs")
    # Which slugs there are is known to the provider rows alone; resolve refuses the others.
    profile = raw.text("profile")
    return LoadBalancerOverrides(
        profile=None if profile == "auto" else profile,
        cidrs=raw.each("cidrs", cidr),
        health_check_cidrs=raw.each("healthCheckCIDRs", cidr),
    )
