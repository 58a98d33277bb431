"""What else touches the same pods: other exposed Services, and NetworkPolicies that are not ours."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations

from exposure.catalog.blind_spots import blind_spot
from exposure.model.connection_ends import pods_end
from exposure.model.exposures import BlindSpot
from exposure.model.objects import Namespace
from exposure.networkpolicy.matching import allowed_within
from exposure.networkpolicy.text import peers_text, ports_text
from exposure.networkpolicy.values import NetworkPolicy, Rule
from exposure.resolve.subjects import Subject

MANAGED_BY = ("app.kubernetes.io/managed-by", "exposure-operator")


def is_ours(policy: NetworkPolicy) -> bool:
    """Whether the operator wrote this NetworkPolicy: only then may it be changed or deleted."""
    return MANAGED_BY in policy.labels


def shared_pods(services: Mapping[str, Subject]) -> dict[str, list[BlindSpot]]:
    """For each Service, the other exposed Services that select pods of its own.

    Only Services that have a label of their selectors, or a pod, in common are compared.
    """
    by_common: dict[object, list[str]] = {}
    for name, selected in services.items():
        if selected.selector is not None:
            for label_or_pod in (*selected.selector.labels, *(pod.name for pod in selected.pods)):
                by_common.setdefault(label_or_pod, []).append(name)
    others: dict[str, set[str]] = {}
    for common, names in by_common.items():
        is_pod = isinstance(common, str)
        for name, other in permutations(names, 2):
            if is_pod or _nested(services[name], services[other]):
                others.setdefault(name, set()).add(other)
    return {
        name: [blind_spot("SharedPods", f"Also selected by: {', '.join(sorted(names))}.")]
        for name, names in others.items()
    }


def _nested(one: Subject, other: Subject) -> bool:
    left, right = one.selector, other.selector
    return left is not None and right is not None and (left.covers(right) or right.covers(left))


def additive(selected: Subject, ingress: tuple[Rule, ...], policies: Iterable[NetworkPolicy]) -> Iterator[BlindSpot]:
    """NetworkPolicies that are not ours and allow connections to the selected pods that `ingress` may not allow."""
    for policy in sorted(policies, key=lambda policy: policy.name):
        if is_ours(policy) or not policy.spec.ingress or not _selects(policy, selected):
            continue
        receiver = pods_end(selected.pods, Namespace(policy.namespace), {})
        for rule in policy.spec.ingress:
            if not allowed_within(rule, ingress, policy.namespace, receiver):
                admits = f"{peers_text(rule.peers)} to {ports_text(rule.ports)}"
                yield blind_spot("AdditivePolicy", f"NetworkPolicy {policy.namespace}/{policy.name} admits {admits}.")
                break


def _selects(policy: NetworkPolicy, selected: Subject) -> bool:
    """Whether a policy selects one of the pods, or would select a pod with the Service's labels and no others."""
    if selected.selector is None:
        return False
    label_sets = (selected.selector.labels, *(pod.labels for pod in selected.pods))
    return any(policy.spec.pod_selector.matches(dict(labels)) for labels in label_sets)
