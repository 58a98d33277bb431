"""What else applies to the same pods: other exposed Services, and NetworkPolicies that are not ours."""

from collections.abc import Iterable, Iterator
from itertools import permutations

from exposure.catalog.blind_spots import blind_spot
from exposure.grouping import grouped
from exposure.model.connection_ends import pods_end
from exposure.model.exposures import BlindSpot
from exposure.model.objects import Namespace
from exposure.networkpolicy.matching import allowed_within
from exposure.networkpolicy.text import peers_text, ports_text
from exposure.networkpolicy.values import NetworkPolicy
from exposure.resolve.governed import GovernedService


def shared_pods(services: Iterable[GovernedService]) -> dict[str, list[BlindSpot]]:
    """For each Service, the other exposed Services that select pods of its own.

    Only Services that have a label of their selectors, or a pod, in common are compared.
    """
    by_common = grouped(
        (label_or_pod, governed)
        for governed in services
        if governed.pod_selector is not None
        for label_or_pod in (*governed.pod_selector.labels, *(pod.name for pod in governed.pods))
    )
    others = grouped(
        (governed.service.name, other.service.name)
        for common, sharing in by_common.items()
        for governed, other in permutations(sharing, 2)
        if isinstance(common, str) or _nested(governed, other)  # A pod, or a label.
    )
    return {
        name: [blind_spot("SharedPods", f"Also selected by: {', '.join(sorted(set(names)))}.")]
        for name, names in others.items()
    }


def _nested(governed: GovernedService, other: GovernedService) -> bool:
    left, right = governed.pod_selector, other.pod_selector
    return left is not None and right is not None and (left.covers(right) or right.covers(left))


def additive(governed: GovernedService, policies: Iterable[NetworkPolicy]) -> Iterator[BlindSpot]:
    """NetworkPolicies that are not ours and allow connections to the Service's pods that our own may not allow."""
    for policy in sorted(policies, key=lambda policy: policy.name):
        if policy.is_ours or not policy.spec.ingress or not _selects(policy, governed):
            continue
        receiver = pods_end(governed.pods, Namespace(policy.namespace), ())
        for rule in policy.spec.ingress:
            if not allowed_within(rule, governed.ingress, policy.namespace, receiver):
                admits = f"{peers_text(rule.peers)} to {ports_text(rule.ports)}"
                yield blind_spot("AdditivePolicy", f"NetworkPolicy {policy.namespace}/{policy.name} admits {admits}.")
                break


def _selects(policy: NetworkPolicy, governed: GovernedService) -> bool:
    """Whether a policy selects one of the pods, or would select a pod with the Service's labels and no others."""
    if governed.pod_selector is None:
        return False
    label_sets = (governed.pod_selector.labels, *(pod.labels for pod in governed.pods))
    return any(policy.spec.pod_selector.matches(labels) for labels in label_sets)
