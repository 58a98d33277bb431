"""ExposurePolicy and ClusterExposurePolicy into values: what slipped past the API server's validation becomes `Unreadable`."""

from collections.abc import Callable
from typing import Any, TypeVar

from exposure.parse.fields import BadField, Raw, integer, mapping, objects, port, text
from exposure.parse.network_policies import label_selector, peer, rule
from exposure.parse.objects import meta
from exposure.values.addresses import Block, Network, block, family, inside, strict_network
from exposure.values.network_policy import Peer, Rule
from exposure.values.policies import (
    DOORS,
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

S = TypeVar("S")


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


def _readable(read: Callable[[Raw, str], S], raw: object) -> S | Unreadable:
    try:
        return read(object_at({"spec": {} if raw is None else raw}, "spec", ""), "spec")
    except BadField as error:
        return Unreadable(error.field, error.message)


def exposure_spec(raw: Raw, at: str = "spec") -> ExposureSpec:
    """The spec of an ExposurePolicy (or a ClusterExposurePolicy's defaults); BadField names what cannot be meant."""
    services = object_at(raw, "services", at)
    if "selector" in services and "names" in services:
        raise BadField(f"{at}.services", "has both selector and names; keep one of them")
    selector = label_selector(object_at(services, "selector", f"{at}.services")) if "selector" in services else None
    if selector is not None and selector.empty:
        raise BadField(f"{at}.services.selector", "is empty; omit services to cover every Service, or name labels")
    return ExposureSpec(
        mode=choice_at(raw, "mode", MODES, at),
        doors=choices_at(raw, "doors", DOORS, at),
        selector=selector,
        names=texts_at(services, "names", f"{at}.services") if "names" in services else None,
        isolation=isolation(object_at(raw, "isolation", at), f"{at}.isolation"),
        clients=clients(object_at(raw, "clients", at), f"{at}.clients"),
        ports=_ports(raw, at) if "ports" in raw else None,
        peers=_peers(raw, at),
        egress=egress(object_at(raw, "egress", at), f"{at}.egress") if "egress" in raw else None,
        load_balancer=load_balancer(object_at(raw, "loadBalancer", at), f"{at}.loadBalancer"),
    )


def cluster_spec(raw: Raw, at: str = "spec") -> ClusterSpec:
    limits = object_at(raw, "limits", at)
    return ClusterSpec(
        namespace_selector=(
            label_selector(object_at(raw, "namespaceSelector", at)) if "namespaceSelector" in raw else None
        ),
        include_system_namespaces=texts_at(raw, "includeSystemNamespaces", at),
        isolation=isolation(object_at(raw, "isolation", at), f"{at}.isolation"),
        defaults=exposure_spec(object_at(raw, "defaults", at), f"{at}.defaults"),
        require_exposure_policy=flag_at(raw, "requireExposurePolicy", at) or False,
        limits=Limits(
            cidrs=networks_at(object_at(limits, "clients", f"{at}.limits"), "cidrs", f"{at}.limits.clients"),
            ports=tuple(each for each in _ports(limits, f"{at}.limits") if isinstance(each, int)),
            allow_public=flag_at(limits, "allowPublic", f"{at}.limits") is not False,
            modes=choices_at(limits, "allowModes", MODES, f"{at}.limits"),
        ),
    )


def isolation(raw: Raw, at: str) -> Isolation:
    return Isolation(flag_at(raw, "ingress", at), flag_at(raw, "egress", at), flag_at(raw, "allowSameNamespace", at))


def clients(raw: Raw, at: str) -> Clients:
    cidrs, cuts = networks_at(raw, "cidrs", at), networks_at(raw, "except", at)
    for index, cut in enumerate(cuts):
        if not any(inside(cut, cidr) and cut != cidr for cidr in cidrs):
            raise BadField(f"{at}.except[{index}]", f"{cut} lies inside none of cidrs; write a narrower part of one")
    unenforceable = choice_at(raw, "unenforceable", ("Allow", "Deny"), at)
    if "cidrs" not in raw:
        return Clients(unenforceable=unenforceable)
    found = tuple(each for cidr in cidrs if (each := _cut(cidr, cuts)) is not None)
    return Clients(found, cidrs, unenforceable) if cidrs else Clients(unenforceable=unenforceable)


def _cut(cidr: Network, cuts: tuple[Network, ...]) -> Block | None:
    return block(cidr, [cut for cut in cuts if family(cut) == family(cidr)])


def egress(raw: Raw, at: str) -> Egress:
    dns, api_server = flag_at(raw, "dns", at), flag_at(raw, "apiServer", at)
    to: list[Rule] = []
    for index, written in enumerate(objects(raw, "to")):
        to.append(_under(f"{at}.to[{index}]", lambda written=written: rule(written, "to")))  # type: ignore[misc]
    return Egress(dns is not False, api_server is True, tuple(to))


def load_balancer(raw: Raw, at: str) -> LoadBalancerOverrides:
    profile = text(raw, "profile") or None
    return LoadBalancerOverrides(
        profile=None if profile == "auto" else profile,
        cidrs=networks_at(raw, "cidrs", at),
        health_check_cidrs=networks_at(raw, "healthCheckCIDRs", at),
    )


def _peers(raw: Raw, at: str) -> tuple[Peer, ...]:
    found: list[Peer] = []
    for index, written in enumerate(objects(raw, "peers")):
        parsed = _under(f"{at}.peers[{index}]", lambda written=written: peer(written))  # type: ignore[misc]
        if parsed == Peer():
            raise BadField(f"{at}.peers[{index}]", "is empty; name ipBlock, podSelector or namespaceSelector")
        found.append(parsed)
    return tuple(found)


def _under(at: str, read: Callable[[], S]) -> S:
    try:
        return read()
    except BadField as error:
        raise BadField(f"{at}.{error.field}", error.message) from error


def object_at(raw: Raw, key: str, at: str) -> Raw:
    found: Any = raw.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadField(f"{at}.{key}" if at else key, "is not an object; write fields under it")
    return found


def choice_at(raw: Raw, key: str, allowed: tuple[str, ...], at: str) -> str | None:
    found = raw.get(key)
    if found is None or found in allowed:
        return found
    raise BadField(f"{at}.{key}", f"{found!r} is none of {', '.join(allowed)}")


def choices_at(raw: Raw, key: str, allowed: tuple[str, ...], at: str) -> tuple[str, ...] | None:
    if raw.get(key) is None:
        return None
    found = texts_at(raw, key, at)
    for each in found:
        if each not in allowed:
            raise BadField(f"{at}.{key}", f"{each!r} is none of {', '.join(allowed)}")
    return tuple(each for each in allowed if each in found)


def flag_at(raw: Raw, key: str, at: str) -> bool | None:
    found = raw.get(key)
    if found is None or isinstance(found, bool):
        return found
    raise BadField(f"{at}.{key}", f"{found!r} is not true or false")


def texts_at(raw: Raw, key: str, at: str) -> tuple[str, ...]:
    found = raw.get(key)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadField(f"{at}.{key}", "is not a list of strings")
    return tuple(found)


def networks_at(raw: Raw, key: str, at: str) -> tuple[Network, ...]:
    found: list[Network] = []
    for index, written in enumerate(texts_at(raw, key, at)):
        try:
            if "/" not in written:
                raise ValueError(f"{written!r} has no prefix length")
            found.append(strict_network(written))
        except ValueError as error:
            raise BadField(f"{at}.{key}[{index}]", f"{error}; write a CIDR such as 203.0.113.0/24") from error
    return tuple(found)


def _ports(raw: Raw, at: str) -> tuple[int | str, ...]:
    found: list[int | str] = []
    written = raw.get("ports")
    for index, value in enumerate(written if isinstance(written, list) else []):
        parsed = port(value)
        if parsed is None or (isinstance(parsed, int) and not 1 <= parsed <= 65535):
            raise BadField(f"{at}.ports[{index}]", f"{value!r} is neither a port from 1 to 65535 nor a port name")
        found.append(parsed)
    return tuple(found)
