"""Limits: what the matching ClusterExposurePolicies let a policy ask for, and where one asks for more."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from exposure.addresses import Block, Network, collapsed, covered, intersection, union, whole_families
from exposure.grouping import grouped
from exposure.model.intent import ExposureSpec, Limits
from exposure.model.objects import Service
from exposure.resolve.cluster_policies import MatchingClusterPolicy


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """The limits of all matching ClusterExposurePolicies, intersected. None limits nothing.

    `clients` and `ports` may be empty where the limits are disjoint: then nothing is left to open.
    """

    clients: tuple[Block, ...] | None = None
    ports: frozenset[int] | None = None
    allow_public: bool = True
    modes: tuple[str, ...] | None = None

    def allows(self, cidr: Network) -> bool:
        return self.clients is None or covered(cidr, (block.cidr for block in self.clients))


NO_LIMITS = EffectiveLimits()


@dataclass(frozen=True, slots=True)
class Violation:
    """The field of a policy that asks for more than the limits allow, and what they allow."""

    field: str
    message: str


def effective_limits(matching: Iterable[MatchingClusterPolicy]) -> EffectiveLimits:
    limits = NO_LIMITS
    for cluster_policy in matching:
        if cluster_policy.spec is not None:
            limits = _narrowed(limits, _own_limits(cluster_policy.spec.limits))
    return limits


def _own_limits(written: Limits) -> EffectiveLimits:
    return EffectiveLimits(
        clients=tuple(map(Block, collapsed(written.cidrs))) or None,
        ports=frozenset(written.ports) or None,
        allow_public=written.allow_public,
        modes=written.modes or ("Enforce",),
    )


def _narrowed(one: EffectiveLimits, other: EffectiveLimits) -> EffectiveLimits:
    """The intersection of both."""
    clients, ports, modes = one.clients, one.ports, one.modes
    if other.clients is not None:
        clients = other.clients if clients is None else union(intersection(clients, other.clients))
    if other.ports is not None:
        ports = other.ports if ports is None else ports & other.ports
    if other.modes is not None:
        modes = other.modes if modes is None else tuple(mode for mode in modes if mode in other.modes)
    return EffectiveLimits(clients, ports, one.allow_public and other.allow_public, modes)


def first_violation(spec: ExposureSpec, limits: EffectiveLimits, services: Iterable[Service]) -> Violation | None:
    """The first field that names something outside the limits; None where none does."""
    return next(_violations(spec, limits, services), None)


def _violations(spec: ExposureSpec, limits: EffectiveLimits, services: Iterable[Service]) -> Iterator[Violation]:
    if limits.modes is not None and spec.mode is not None and spec.mode not in limits.modes:
        allowed = ", ".join(limits.modes) or "none"
        yield Violation("spec.mode", f"{spec.mode} is not allowed here. Allowed by limits.allowModes: {allowed}")
    if limits.clients is not None:
        allowed = ", ".join(str(block.cidr) for block in limits.clients) or "none"
        for field, cidr in _named_cidrs(spec):
            if not limits.allows(cidr):
                yield Violation(field, f"{cidr} is outside limits.clients.cidrs. Allowed: {allowed}")
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


def _public(spec: ExposureSpec) -> Iterator[Violation]:
    """A field that holds a whole address family is public, also where several ranges add up to one."""
    for field, cidrs in grouped((field.partition("[")[0], cidr) for field, cidr in _named_cidrs(spec)).items():
        families = " and ".join(sorted(whole_families(cidrs)))
        if families:
            yield Violation(field, f"holds all of {families}, and limits.allowPublic is false")


def _ports_outside(spec: ExposureSpec, allowed: frozenset[int], services: Iterable[Service]) -> Iterator[Violation]:
    numbers: dict[str, set[int]] = {}
    for service in services:
        if spec.selects(service.name, dict(service.labels)):
            for service_port in service.ports:
                numbers.setdefault(service_port.name, set()).add(service_port.port)
    shown = ", ".join(map(str, sorted(allowed))) or "none"
    for index, port in enumerate(spec.ports or ()):
        named = {port} if isinstance(port, int) else numbers.get(port, set())
        # One name may be several numbers. One inside the limits is enough to be meant; the others are never opened.
        if named and not named & allowed:
            listed = ", ".join(map(str, sorted(named)))
            message = f"{port} (Service port {listed}) is outside limits.ports. Allowed: {shown}"
            yield Violation(f"spec.ports[{index}]", message)


def within_limits(spec: ExposureSpec, limits: EffectiveLimits) -> ExposureSpec:
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
