"""Which ClusterExposurePolicies match a namespace, and with which accepted meaning."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from exposure.model.config import Config
from exposure.model.exposures import PolicyVerdict
from exposure.model.intent import ClusterExposurePolicy, ClusterSpec, InvalidSpec
from exposure.model.objects import Namespace
from exposure.model.snapshot import Snapshot

ACCEPTED = PolicyVerdict(True, "Accepted", "Every field is valid and within every limit.")
LAST_STAYS = "The last accepted spec stays in force."


@dataclass(frozen=True, slots=True)
class MatchingClusterPolicy:
    """A ClusterExposurePolicy that matches a namespace. `spec`: its accepted meaning; None: none was accepted."""

    policy: ClusterExposurePolicy
    spec: ClusterSpec | None
    verdict: PolicyVerdict


def matching_cluster_policies(snapshot: Snapshot, namespace: Namespace) -> tuple[MatchingClusterPolicy, ...]:
    """The ClusterExposurePolicies that match a namespace, by name."""
    policies = (policy for _, policy in sorted(snapshot.cluster_exposure_policies.items()))
    accepted = map(with_accepted_meaning, policies)
    return tuple(policy for policy in accepted if cluster_policy_matches(policy.spec, namespace, snapshot.config))


def with_accepted_meaning(policy: ClusterExposurePolicy) -> MatchingClusterPolicy:
    """The policy with its spec or, where that is invalid, with the last spec that was accepted."""
    if isinstance(policy.spec, InvalidSpec):
        holds = LAST_STAYS if policy.last_accepted else "No earlier spec was accepted, so the policy has no effect."
        return MatchingClusterPolicy(policy, policy.last_accepted, invalid(policy.spec, holds))
    return MatchingClusterPolicy(policy, policy.spec, ACCEPTED)


def cluster_policy_matches(spec: ClusterSpec | None, namespace: Namespace, config: Config) -> bool:
    if spec is None:
        return False
    if is_system_namespace(namespace.name, config):
        return namespace.name in spec.include_system_namespaces
    return spec.namespace_selector is None or spec.namespace_selector.matches(namespace.labels)


def is_system_namespace(name: str, config: Config) -> bool:
    """Whether a ClusterExposurePolicy applies to this namespace only if it names it."""
    patterns = ("kube-*", *config.system_namespaces)
    return name == config.operator_namespace or any(fnmatchcase(name, pattern) for pattern in patterns)


def invalid(spec: InvalidSpec, holds: str) -> PolicyVerdict:
    """`holds` is a sentence: what is in force in its place."""
    return PolicyVerdict(False, "Invalid", f"{spec.field}: {spec.message}. {holds}")
