"""Which policy governs a Service: exactly one, whatever the order in which policies were read.

`names` beats `selector` beats neither; an ExposurePolicy beats a ClusterExposurePolicy's defaults; the older beats the
newer (an object in a file has no age and counts as newest); then the name, ascending.
"""

from collections.abc import Iterable
from dataclasses import replace

from exposure.model.objects import Service
from exposure.resolve.effective_policies import EffectivePolicy

#: Sorts after every timestamp.
NEWEST = "~"


def governing(
    service: Service,
    policies: Iterable[EffectivePolicy],
    entry_points: frozenset[str],
    *,
    requires_exposure_policy: bool = False,
) -> tuple[EffectivePolicy, ...]:
    """The policies that select a Service, best first: the first one governs it, and overrules the others.

    `entry_points`: the kinds by which the Service can be reached. A policy selects it only by one of them.
    """
    selecting = (
        policy
        for policy in policies
        if policy.spec.selects(service) and not entry_points.isdisjoint(policy.spec.selected_entry_points)
    )
    ranked = sorted(selecting, key=_rank)
    if requires_exposure_policy and ranked and ranked[0].cluster:
        ranked[0] = replace(ranked[0], refused=True)
    return tuple(ranked)


def _rank(policy: EffectivePolicy) -> tuple[bool, int, str, str]:
    """What sorts first governs."""
    specificity = 0 if policy.spec.names is not None else 1 if policy.spec.selector is not None else 2
    return policy.cluster, specificity, policy.created or NEWEST, policy.ref.name
