"""Which policies apply to a namespace, and with which spec: the one that is written, or the one accepted last."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from exposure.model.exposures import PolicyRef, PolicyVerdict
from exposure.model.intent import (
    ClusterSpec,
    ExposurePolicy,
    ExposureSpec,
    InvalidSpec,
    Isolation,
    Limits,
)
from exposure.model.objects import Service
from exposure.resolve.cluster_policies import ACCEPTED, LAST_STAYS, MatchingClusterPolicy, invalid
from exposure.resolve.limits import violations, within_limits


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """A policy as it holds in one namespace: `spec` is its accepted meaning, `verdict` judges what is written.

    `refused`: no spec was ever accepted, or an ExposurePolicy is required. It still governs, and opens nothing.
    `last_accepted`: the spec that status remembers, where it may be needed.
    """

    ref: PolicyRef
    created: str
    generation: int
    uid: str
    last_accepted: ExposureSpec | None
    spec: ExposureSpec = field(default_factory=ExposureSpec)
    verdict: PolicyVerdict = ACCEPTED
    refused: bool = False

    @property
    def cluster(self) -> bool:
        """Whether it is a ClusterExposurePolicy."""
        return self.ref.kind == "ClusterExposurePolicy"

    @property
    def mode(self) -> str:
        return self.spec.mode or "Enforce"


def effective_policies(
    policies: Iterable[ExposurePolicy],
    matching: Sequence[MatchingClusterPolicy],
    limits: Limits,
    services: Sequence[Service],
) -> tuple[EffectivePolicy, ...]:
    """Every policy that holds in a namespace: ExposurePolicies by name, then ClusterExposurePolicies by name."""
    effective = [
        *(_exposure_policy(policy, limits, services) for policy in sorted(policies, key=lambda policy: policy.name)),
        *(_cluster_policy(policy, limits, services) for policy in matching),
    ]
    return tuple(_refused_if_audit_would_cut(policy, effective, limits) for policy in effective)


def combined_isolation(isolations: Iterable[Isolation]) -> Isolation:
    """A denial that is written beats an allowance. Where no policy writes a field, its default applies.

    The defaults of a policy are: ingress isolated, egress not, the same namespace not allowed. No policy: not isolated.
    """
    written = list(isolations)
    if not written:
        return Isolation(ingress=False, egress=False, allow_same_namespace=False)
    ingress = [isolation.ingress for isolation in written if isolation.ingress is not None]
    same_namespace = [
        isolation.allow_same_namespace for isolation in written if isolation.allow_same_namespace is not None
    ]
    return Isolation(
        ingress=any(ingress) or not ingress,
        egress=any(isolation.egress for isolation in written),
        allow_same_namespace=bool(same_namespace) and all(same_namespace),
    )


def _exposure_policy(policy: ExposurePolicy, limits: Limits, services: Sequence[Service]) -> EffectivePolicy:
    ref = PolicyRef("ExposurePolicy", policy.name, policy.namespace)
    effective = EffectivePolicy(ref, policy.created, policy.generation, policy.uid, policy.last_accepted)
    return _judged(effective, policy.spec, limits, services)


def _cluster_policy(matching: MatchingClusterPolicy, limits: Limits, services: Sequence[Service]) -> EffectivePolicy:
    """The defaults of a ClusterExposurePolicy, with the isolation that it asks for itself."""
    policy, ref = matching.policy, PolicyRef("ClusterExposurePolicy", matching.policy.name)
    last = None if policy.last_accepted is None else _defaults(policy.last_accepted)
    effective = EffectivePolicy(ref, policy.created, policy.generation, policy.uid, last)
    # limits.allowModes binds tenants. The platform team's own defaults may ask for Audit.
    own_limits = replace(limits, modes=None)
    effective = _judged(effective, _defaults(matching.spec or ClusterSpec()), own_limits, services)
    return effective if matching.verdict.accepted else replace(effective, verdict=matching.verdict)


def _defaults(spec: ClusterSpec) -> ExposureSpec:
    return replace(spec.defaults, isolation=spec.isolation)


def _judged(
    policy: EffectivePolicy, written: ExposureSpec | InvalidSpec, limits: Limits, services: Sequence[Service]
) -> EffectivePolicy:
    """The policy with what is written, or with what was accepted last and the reason for that."""
    if isinstance(written, InvalidSpec):
        return _with_last_accepted(replace(policy, verdict=invalid(written, _what_holds(policy))), limits)
    policy = replace(policy, spec=written)
    violation = next(violations(written, limits, services), None)
    if violation is None:
        # Only an Audit may still be refused, by what other policies say.
        return policy if written.mode == "Audit" else replace(policy, last_accepted=None)
    message = f"{_field(policy, violation.field)}: {violation.message}. {_what_holds(policy)}"
    return _with_last_accepted(replace(policy, verdict=PolicyVerdict(False, "OutsideLimits", message)), limits)


def _with_last_accepted(policy: EffectivePolicy, limits: Limits) -> EffectivePolicy:
    """The policy with its last accepted spec, within the limits of today. Without one, it opens nothing.

    If only an Audit was accepted, nothing was open either: to enforce that spec would open entry points.
    """
    last = policy.last_accepted
    if last is None:
        return replace(policy, spec=replace(policy.spec, mode=None), refused=True)
    if last.mode == "Audit":
        return replace(policy, spec=replace(last, mode=None), refused=True)
    return replace(policy, spec=within_limits(last, limits))


def _field(policy: EffectivePolicy, field: str) -> str:
    """The path of a field as it is written: in a ClusterExposurePolicy, fields about Services are in `defaults`."""
    return field.replace("spec.", "spec.defaults.", 1) if policy.cluster else field


def _what_holds(policy: EffectivePolicy) -> str:
    if policy.last_accepted is None or policy.last_accepted.mode == "Audit":
        return "No earlier spec was accepted, so the policy opens nothing."
    return LAST_STAYS


def _refused_if_audit_would_cut(
    policy: EffectivePolicy, policies: Sequence[EffectivePolicy], limits: Limits
) -> EffectivePolicy:
    """Refuses Audit for one policy while another isolates the namespace: only the denial would stay."""
    if policy.mode != "Audit" or policy.refused:
        return policy
    others = (other for other in policies if other is not policy and other.mode == "Enforce")
    isolating = next((other for other in others if other.spec.isolation.isolates), None)
    if isolating is None:
        return policy
    message = (
        f"{_field(policy, 'spec.mode')}: Audit would delete what this policy admits, while {isolating.ref} still "
        f"isolates the namespace. Annotate the namespace with exposure.dev/mode: Audit, or set mode: Audit in both "
        f"policies. {_what_holds(policy)}"
    )
    return _with_last_accepted(replace(policy, verdict=PolicyVerdict(False, "AuditWouldCut", message)), limits)
