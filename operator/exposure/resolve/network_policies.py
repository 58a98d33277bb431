"""The NetworkPolicies of a namespace: default deny, same namespace, and one for each governed Service."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from exposure.labels import EVERYTHING, Pairs
from exposure.model.exposures import Source
from exposure.model.intent import Isolation
from exposure.networkpolicy.values import MANAGED_BY, NetworkPolicy, Owner, Peer, PolicySpec, Rule
from exposure.resolve.cache import ResolveCache
from exposure.resolve.governed import GovernedService
from exposure.resolve.inputs import NamespaceInputs

DEFAULT_DENY = "exposure-default-deny"
SAME_NAMESPACE = "exposure-same-namespace"
TO_SERVICE = "exposure-to-"
EXPLANATION = "exposure.dev/explanation"
SERVICE_LABEL = "exposure.dev/service"
POLICY_LABEL = "exposure.dev/policy"
#: Addresses and pods of one source that an explanation lists.
LISTED = 4


@dataclass(frozen=True, slots=True)
class PlannedPolicies:
    """`enforced` should exist. `audited` would, if Audit were Enforce; empty where nothing is in mode Audit.

    `frozen`: the names that a policy in mode Paused leaves as they are. `isolation_names`: the names of those by which
    policies in mode Enforce or Paused isolate the namespace, live or not.
    """

    enforced: tuple[NetworkPolicy, ...] = ()
    audited: tuple[NetworkPolicy, ...] = ()
    frozen: frozenset[str] = frozenset()
    isolation_names: tuple[str, ...] = ()


def planned_policies(
    inputs: NamespaceInputs, governed: Mapping[str, GovernedService], cache: ResolveCache
) -> PlannedPolicies:
    """What should exist in a namespace, by the modes of its policies and of the namespace itself."""
    if not inputs.policies:
        return PlannedPolicies()
    by_mode: dict[str, list[NetworkPolicy]] = {"Enforce": [], "Audit": [], "Paused": []}
    for service in governed.values():
        policy = cache.get(service_policy, service.service.ref, service)
        if policy is not None:
            by_mode[service.policy.mode].append(policy)
    modes = {policy.mode for policy in inputs.policies}
    isolating = isolation_policies(inputs.name, inputs.isolation("Enforce"))
    with_paused = isolation_policies(inputs.name, inputs.isolation("Enforce", "Paused"))
    names = tuple(policy.name for policy in with_paused)
    frozen = {policy.name for policy in by_mode["Paused"]} | _written_for_paused(inputs)
    frozen -= {policy.name for policy in by_mode["Enforce"]}
    if "Paused" in modes and (with_paused != isolating or not isolating):
        # What isolates the namespace depends on a paused policy, as it is or as it was, so it stays.
        frozen |= {DEFAULT_DENY, SAME_NAMESPACE}
        isolating = []
    audited: tuple[NetworkPolicy, ...] = ()
    if "Audit" in (inputs.mode, *modes):
        # Everything as it would be if all that is audited were enforced: what admits, and what denies.
        if_enforced = isolation_policies(inputs.name, inputs.isolation("Enforce", "Audit"))
        audited = _sorted([*if_enforced, *by_mode["Enforce"], *by_mode["Audit"]])
    if inputs.mode == "Audit":
        return PlannedPolicies(audited=audited, isolation_names=names)
    return PlannedPolicies(_sorted([*isolating, *by_mode["Enforce"]]), audited, frozenset(frozen), names)


def _written_for_paused(inputs: NamespaceInputs) -> set[str]:
    """Live NetworkPolicies of Services that a paused policy governed, also where it no longer does."""
    paused = {(POLICY_LABEL, label_value(policy.ref.name)) for policy in inputs.policies if policy.mode == "Paused"}
    return {
        name for name, live in inputs.network_policies.items() if live.is_ours and not paused.isdisjoint(live.labels)
    }


def _sorted(policies: Iterable[NetworkPolicy]) -> tuple[NetworkPolicy, ...]:
    return tuple(sorted(policies, key=lambda policy: policy.name))


def isolation_policies(namespace: str, isolation: Isolation) -> list[NetworkPolicy]:
    """The default deny and, where it is asked for, the same-namespace policy, in the directions that are isolated."""
    directions = [name for name, on in (("ingress", isolation.ingress), ("egress", isolation.egress)) if on]
    if not directions:
        return []
    deny = PolicySpec(EVERYTHING, () if isolation.ingress else None, () if isolation.egress else None)
    explanation = f"Denies all {' and '.join(directions)} of every pod, except what other policies allow."
    policies = [_policy(namespace, DEFAULT_DENY, deny, explanation)]
    if isolation.allow_same_namespace:
        rules = (Rule((Peer(pods=EVERYTHING),), None),)
        spec = PolicySpec(EVERYTHING, rules if isolation.ingress else None, rules if isolation.egress else None)
        policies.append(_policy(namespace, SAME_NAMESPACE, spec, "Lets pods of this namespace connect to each other."))
    return policies


def service_policy(governed: GovernedService) -> NetworkPolicy | None:
    """The policy of one governed Service; None where no NetworkPolicy can select its pods."""
    if governed.pod_selector is None:
        return None
    service = governed.service
    labels = ((SERVICE_LABEL, service.name), (POLICY_LABEL, label_value(governed.policy.ref.name)))
    owners = (Owner("v1", "Service", service.name, service.uid),) if service.uid else ()
    spec = PolicySpec(governed.pod_selector, governed.ingress, governed.egress)
    return _policy(service.namespace, TO_SERVICE + service.name, spec, explanation_of(governed), labels, owners)


def label_value(name: str) -> str:
    """The name of an object as a label's value: it may have 253 characters, a value has at most 63."""
    return shortened(name, 63)


def shortened(name: str, longest: int) -> str:
    """A name that is too long is cut, and ends in a hash that keeps it apart from others."""
    if len(name) <= longest:
        return name
    digest = sha256(name.encode()).hexdigest()[:8]
    return f"{name[: longest - len(digest) - 1].rstrip('-.')}-{digest}"


def _policy(
    namespace: str, name: str, spec: PolicySpec, explanation: str, labels: Pairs = (), owners: tuple[Owner, ...] = ()
) -> NetworkPolicy:
    return NetworkPolicy(
        namespace, name, spec, tuple(sorted((MANAGED_BY, *labels))), ((EXPLANATION, explanation),), owners
    )


def explanation_of(governed: GovernedService) -> str:
    """One sentence: who may reach which ports of the Service's pods, and by which policy."""
    service = f"Service {governed.service.name}"
    if not governed.ingress:
        return f"Admits no connection to {service}: {governed.refusals() or 'the policy opens nothing.'}"
    who = "; ".join(dict.fromkeys(map(_listed, governed.sources))) or "the same namespace"
    ports = (str(port) for rule in governed.ingress for port in rule.ports or ())
    return f"Admits {who} to {', '.join(dict.fromkeys(ports)) or 'every port'} of {service}, by {governed.policy.ref}."


def _listed(source: Source) -> str:
    names = [str(name) for name in (*source.blocks, *source.peers)]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{source.kind} {', '.join(names[:LISTED])}{more}"
