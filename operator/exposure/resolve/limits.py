"""The limits of the matching ClusterExposurePolicies, and the fields of a policy that exceed them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce

from exposure.addresses import Network, intersection, union, whole_families
from exposure.grouping import grouped
from exposure.model.intent import ExposureSpec, Limits
from exposure.model.objects import Service
from exposure.resolve.cluster_policies import MatchingClusterPolicy
from exposure.validation import Problem


def effective_limits(matching: Iterable[MatchingClusterPolicy]) -> Limits:
    """The limits of all matching ClusterExposurePolicies, intersected."""
    specs = (cluster_policy.spec for cluster_policy in matching)
    return reduce(_intersected, (spec.limits for spec in specs if spec is not None), Limits())


def _intersected(left: Limits, right: Limits) -> Limits:
    clients, ports, modes = left.clients, left.ports, left.modes
    if right.clients is not None:
        clients = right.clients if clients is None else union(intersection(clients, right.clients))
    if right.ports is not None:
        ports = right.ports if ports is None else ports & right.ports
    if right.modes is not None:
        modes = right.modes if modes is None else tuple(mode for mode in modes if mode in right.modes)
    return Limits(clients, ports, left.allow_public and right.allow_public, modes)


def violations(spec: ExposureSpec, limits: Limits, services: Iterable[Service]) -> Iterator[Problem]:
    """Each field that names something outside the limits."""
    if limits.modes is not None and spec.mode is not None and spec.mode not in limits.modes:
        allowed = ", ".join(limits.modes) or "none"
        yield Problem("spec.mode", f"{spec.mode} is not allowed here. Allowed by limits.allowModes: {allowed}")
    if limits.clients is not None:
        allowed = ", ".join(str(block.cidr) for block in limits.clients) or "none"
        for field, cidr in _named_cidrs(spec):
            if not limits.allows(cidr):
                yield Problem(field, f"{cidr} is outside limits.clients.cidrs. Allowed: {allowed}")
    if not limits.allow_public:
        yield from _public(spec)
    if limits.ports is not None:
        yield from _ports_outside(spec, limits.ports, services)


def _named_cidrs(spec: ExposureSpec) -> Iterator[tuple[str, Network]]:
    """Every CIDR that a policy names, each with its field."""
    for index, cidr in enumerate(spec.clients.cidrs):
        yield f"spec.clients.cidrs[{index}]", cidr
    for index, peer in enumerate(spec.peers):
        if peer.block is not None:
            yield f"spec.peers[{index}].ipBlock", peer.block.cidr
    for index, cidr in enumerate(spec.load_balancer.cidrs):
        yield f"spec.loadBalancer.cidrs[{index}]", cidr
    for index, cidr in enumerate(spec.load_balancer.health_check_cidrs):
        yield f"spec.loadBalancer.healthCheckCIDRs[{index}]", cidr


def _public(spec: ExposureSpec) -> Iterator[Problem]:
    """A field that contains a whole address family is public, also if several ranges add up to it."""
    for field, cidrs in grouped((field.partition("[")[0], cidr) for field, cidr in _named_cidrs(spec)).items():
        families = " and ".join(sorted(whole_families(cidrs)))
        if families:
            yield Problem(field, f"contains every {families} address, but limits.allowPublic is false")


def _ports_outside(spec: ExposureSpec, allowed: frozenset[int], services: Iterable[Service]) -> Iterator[Problem]:
    selected = (port for service in services if spec.selects(service) for port in service.ports)
    numbers = grouped((port.name, port.port) for port in selected)
    shown = ", ".join(map(str, sorted(allowed))) or "none"
    for index, port in enumerate(spec.ports or ()):
        named = {port} if isinstance(port, int) else set(numbers.get(port, ()))
        # One name may stand for several numbers. One within the limits is enough; the others are never opened.
        if named and not named & allowed:
            listed = ", ".join(map(str, sorted(named)))
            message = f"{port} (Service port {listed}) is outside limits.ports. Allowed: {shown}"
            yield Problem(f"spec.ports[{index}]", message)


def within_limits(spec: ExposureSpec, limits: Limits) -> ExposureSpec:
    """A spec that was accepted under other limits, without what these limits do not allow."""

    def allowed(cidr: Network) -> bool:
        return limits.allows(cidr) and (limits.allow_public or cidr.prefixlen > 0)

    overrides = spec.load_balancer
    return replace(
        spec,
        mode=spec.mode if limits.modes is None or spec.mode in limits.modes else None,
        peers=tuple(peer for peer in spec.peers if peer.block is None or allowed(peer.block.cidr)),
        load_balancer=replace(
            overrides,
            cidrs=tuple(filter(allowed, overrides.cidrs)),
            health_check_cidrs=tuple(filter(allowed, overrides.health_check_cidrs)),
        ),
    )
