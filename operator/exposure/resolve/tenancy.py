"""Tenancy: the limits that hold in a namespace, which policies are accepted under them, and what isolation results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from exposure.addresses import Block, Network, collapsed, covered, intersection, union, whole_families
from exposure.catalog.providers import SLUGS
from exposure.model.exposures import PolicyRef, Verdict
from exposure.model.intent import (
    ClusterExposurePolicy,
    ClusterSpec,
    ExposurePolicy,
    ExposureSpec,
    Isolation,
    Unreadable,
)
from exposure.model.objects import Namespace, Service
from exposure.model.snapshot import Snapshot
from exposure.resolve.facts import is_system
from exposure.resolve.governance import Voice

ACCEPTED = Verdict(True, "Accepted", "Every field is understood and inside every limit.")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of every ClusterExposurePolicy that covers a namespace, intersected. None and `()` limit nothing.

    `clients` may be an empty tuple where limits are disjoint: then nothing is left. `modes` None: no limit at all.
    """

    clients: tuple[Block, ...] | None = None
    ports: frozenset[int] | None = None
    allow_public: bool = True
    modes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Covering:
    """A ClusterExposurePolicy that covers a namespace, with the meaning that is accepted (None: none ever was)."""

    policy: ClusterExposurePolicy
    spec: ClusterSpec | None
    verdict: Verdict


def covering(snapshot: Snapshot, namespace: Namespace) -> tuple[Covering, ...]:
    """The ClusterExposurePolicies that cover a namespace, by name."""
    found = (
        cluster_meaning(snapshot.cluster_exposure_policies[name]) for name in sorted(snapshot.cluster_exposure_policies)
    )
    return tuple(each for each in found if covers(each.spec, namespace, snapshot))


def cluster_meaning(policy: ClusterExposurePolicy) -> Covering:
    if isinstance(policy.spec, ClusterSpec):
        return Covering(policy, policy.spec, ACCEPTED)
    verdict = _invalid(policy.spec)
    last = policy.last_accepted.spec if policy.last_accepted else None
    return Covering(policy, last if isinstance(last, ClusterSpec) else None, verdict)


def covers(spec: ClusterSpec | None, namespace: Namespace, snapshot: Snapshot) -> bool:
    if spec is None:
        return False
    if is_system(namespace.name, snapshot.config):
        return namespace.name in spec.include_system_namespaces
    return spec.namespace_selector is None or spec.namespace_selector.matches(dict(namespace.labels))


def bounds(coverings: Iterable[Covering]) -> Bounds:
    result = Bounds()
    for spec in (each.spec for each in coverings if each.spec is not None):
        limits = spec.limits
        modes = limits.modes or ("Enforce",)
        clients, ports = result.clients, result.ports
        if limits.cidrs:
            here = tuple(Block(cidr) for cidr in collapsed(limits.cidrs))
            clients = here if clients is None else union(intersection(clients, here))
        if limits.ports:
            ports = frozenset(limits.ports) if ports is None else ports & frozenset(limits.ports)
        result = Bounds(
            clients,
            ports,
            result.allow_public and limits.allow_public,
            modes if result.modes is None else tuple(mode for mode in result.modes if mode in modes),
        )
    return result


def exceeds(spec: ExposureSpec, limit: Bounds, services: Iterable[Service]) -> tuple[str, str] | None:
    """The first field that names something outside the limits, and what to do about it; None where none does."""
    if spec.load_balancer.profile is not None and spec.load_balancer.profile not in SLUGS:
        return "spec.loadBalancer.profile", f"{spec.load_balancer.profile!r} is unknown; known: {', '.join(SLUGS)}"
    if limit.modes is not None and spec.mode is not None and spec.mode not in limit.modes:
        allowed = ", ".join(limit.modes) or "none"
        return "spec.mode", f"{spec.mode} is not allowed here; allowed by limits.allowModes: {allowed}"
    outside = _first_outside(spec, limit)
    if outside is not None:
        return outside
    return _public(spec, limit) or _port_outside(spec, limit, services)


def _named(spec: ExposureSpec) -> dict[str, tuple[Network, ...]]:
    """Every CIDR that a policy names, by field; `[i]` stands for the place in the list."""
    return {
        "spec.clients.cidrs[i]": spec.clients.cidrs,
        "spec.peers[i].ipBlock": tuple(peer.block.cidr for peer in spec.peers if peer.block is not None),
        "spec.loadBalancer.cidrs[i]": spec.load_balancer.cidrs,
        "spec.loadBalancer.healthCheckCIDRs[i]": spec.load_balancer.health_check_cidrs,
    }


def _first_outside(spec: ExposureSpec, limit: Bounds) -> tuple[str, str] | None:
    if limit.clients is None:
        return None
    allowed = tuple(each.cidr for each in limit.clients)
    for field, cidrs in _named(spec).items():
        for index, cidr in enumerate(cidrs):
            if not covered(cidr, allowed):
                shown = ", ".join(map(str, allowed)) or "nothing"
                where = field.replace("[i]", f"[{index}]")
                return where, f"{cidr} lies outside limits.clients.cidrs; allowed: {shown}"
    return None


def _public(spec: ExposureSpec, limit: Bounds) -> tuple[str, str] | None:
    """A whole family is public under whatever name it is let in."""
    if limit.allow_public:
        return None
    for field, cidrs in _named(spec).items():
        families = " and ".join(sorted(whole_families(cidrs)))
        if families:
            return field.replace("[i]", ""), f"holds all of {families}, and limits.allowPublic is false"
    return None


def within(spec: ExposureSpec, limit: Bounds) -> ExposureSpec:
    """A meaning that was accepted under other limits, without what these do not allow."""

    def allowed(cidr: Network) -> bool:
        inside = limit.clients is None or covered(cidr, (each.cidr for each in limit.clients))
        return inside and (limit.allow_public or cidr.prefixlen > 0)

    balancer = spec.load_balancer
    return replace(
        spec,
        mode=spec.mode if limit.modes is None or spec.mode in limit.modes else None,
        peers=tuple(peer for peer in spec.peers if peer.block is None or allowed(peer.block.cidr)),
        load_balancer=replace(
            balancer,
            cidrs=tuple(filter(allowed, balancer.cidrs)),
            health_check_cidrs=tuple(filter(allowed, balancer.health_check_cidrs)),
        ),
    )


def _port_outside(spec: ExposureSpec, limit: Bounds, services: Iterable[Service]) -> tuple[str, str] | None:
    if limit.ports is None or spec.ports is None:
        return None
    shown = ", ".join(map(str, sorted(limit.ports))) or "none"
    numbers: dict[int | str, set[int]] = {}
    for service in services:
        if (spec.names is None or service.name in spec.names) and (
            spec.selector is None or spec.selector.matches(dict(service.labels))
        ):
            for each in service.ports:
                numbers.setdefault(each.name, set()).add(each.port)
    for index, port in enumerate(spec.ports):
        found = {port} if isinstance(port, int) else numbers.get(port, set())
        # One name may be several numbers; those outside are never opened, and one inside is enough to be meant.
        if found and not found & limit.ports:
            said = ", ".join(map(str, sorted(found)))
            return f"spec.ports[{index}]", f"{port} (Service port {said}) lies outside limits.ports; allowed: {shown}"
    return None


def voices(
    policies: Iterable[ExposurePolicy], coverings: Sequence[Covering], limit: Bounds, services: Sequence[Service]
) -> tuple[Voice, ...]:
    """Every policy that speaks in a namespace, each with the meaning that is accepted, in a stable order."""
    heard = [_voice(policy, limit, services) for policy in sorted(policies, key=lambda each: each.name)]
    heard += [_cluster_voice(each, limit, services) for each in coverings]
    return tuple(_audit_alone(voice, heard, limit) for voice in heard)


def _voice(policy: ExposurePolicy, limit: Bounds, services: Sequence[Service]) -> Voice:
    ref = PolicyRef("ExposurePolicy", policy.name, policy.namespace)
    last = policy.last_accepted.spec if policy.last_accepted else None
    accepted = last if isinstance(last, ExposureSpec) else None
    return _meaning(ref, policy.spec, accepted, limit, services, policy.created, policy.generation, policy.uid)


def _cluster_voice(each: Covering, limit: Bounds, services: Sequence[Service]) -> Voice:
    ref = PolicyRef("ClusterExposurePolicy", each.policy.name)
    spec = each.spec or ClusterSpec()
    # The isolation of a ClusterExposurePolicy is its own; its defaults are a spec for Services, and may not add to it.
    defaults = replace(spec.defaults, isolation=spec.isolation)
    policy = each.policy
    last = policy.last_accepted.spec if policy.last_accepted else None
    accepted = replace(last.defaults, isolation=last.isolation) if isinstance(last, ClusterSpec) else None
    # What a tenant may suspend is limited; the platform team's own defaults may say Audit.
    own = replace(limit, modes=None)
    voice = _meaning(ref, defaults, accepted, own, services, policy.created, policy.generation, policy.uid)
    verdict = voice.verdict if each.verdict.accepted else each.verdict
    return replace(voice, cluster=True, verdict=verdict)


def _meaning(
    ref: PolicyRef,
    written: ExposureSpec | Unreadable,
    accepted: ExposureSpec | None,
    limit: Bounds,
    services: Sequence[Service],
    created: str,
    generation: int,
    uid: str,
) -> Voice:
    heard = Voice(ref, ExposureSpec(), ExposureSpec(), ACCEPTED, created, generation, uid, last=accepted)
    if isinstance(written, Unreadable):
        return _not_accepted(replace(heard, verdict=_invalid(written)), limit)
    heard = replace(heard, spec=written, written=written)
    wrong = exceeds(written, limit, services)
    if wrong is None:
        return heard if written.mode == "Audit" else replace(heard, last=None)
    reason = "Invalid" if wrong[0] == "spec.loadBalancer.profile" else "OutsideLimits"
    verdict = Verdict(False, reason, f"{wrong[0]}: {wrong[1]}. {_kept(accepted)}")
    return _not_accepted(replace(heard, verdict=verdict), limit)


def _not_accepted(voice: Voice, limit: Bounds) -> Voice:
    """The policy with its last accepted meaning, inside the limits of today; without one, it grants nothing.

    Where all that was ever accepted is an Audit, nothing was granted either, and enforcing it would open entry points.
    """
    if voice.last is None:
        return replace(voice, spec=replace(voice.spec, mode=None), refused=True)
    if voice.last.mode == "Audit":
        return replace(voice, spec=replace(voice.last, mode=None), refused=True)
    return replace(voice, spec=within(voice.last, limit))


def _invalid(written: Unreadable) -> Verdict:
    return Verdict(False, "Invalid", f"{written.field}: {written.message}. The last accepted meaning holds.")


def _kept(accepted: ExposureSpec | None) -> str:
    if accepted is None or accepted.mode == "Audit":
        return "Nothing was accepted before, so nothing is granted."
    return "The last accepted meaning holds."


def _audit_alone(voice: Voice, heard: Sequence[Voice], limit: Bounds) -> Voice:
    """Audit for one policy's part is refused while another isolates the namespace: grants would go, the denial stay."""
    if voice.mode != "Audit" or voice.refused:
        return voice
    others = [each for each in heard if each is not voice and each.mode == "Enforce" and isolates(each.spec.isolation)]
    if not others:
        return voice
    message = (
        f"spec.mode: Audit for this policy alone would take its grants away, while {others[0].ref} goes on isolating "
        "the namespace. Annotate the namespace with exposure.dev/mode: Audit, or audit both policies."
    )
    verdict = Verdict(False, "AuditWouldCut", f"{message} {_kept(voice.last)}")
    return _not_accepted(replace(voice, verdict=verdict), limit)


def isolates(isolation: Isolation) -> bool:
    return isolation.ingress is not False or isolation.egress is True


def merged(isolations: Iterable[Isolation]) -> Isolation:
    """What several policies say together: a denial that is written beats an allowance; silence leaves the default."""
    said = list(isolations)
    if not said:
        return Isolation(False, False, False)
    ingress = [each.ingress for each in said if each.ingress is not None]
    egress = [each.egress for each in said if each.egress is not None]
    same = [each.allow_same_namespace for each in said if each.allow_same_namespace is not None]
    return Isolation(
        ingress=any(ingress) if ingress else True,
        egress=any(egress),
        allow_same_namespace=all(same) if same else False,
    )
