"""Resolving one namespace, stage after stage: what should exist there, and what is reported about it."""

from exposure.model.exposures import Resolution
from exposure.model.snapshot import Snapshot
from exposure.resolve.cache import ResolveCache
from exposure.resolve.exposures import ingress_point_exposure, service_exposures
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.inputs import gather_inputs, unselected_host_ports
from exposure.resolve.outcomes import policy_outcomes
from exposure.resolve.view import view_of
from exposure.resolve.webhooks import webhook_blind_spots


def resolve(snapshot: Snapshot, facts: ClusterFacts, namespace: str, cache: ResolveCache | None = None) -> Resolution:
    """Everything that follows for one namespace. Pure: equal inputs give equal results, in a stable order.

    A caller that resolves again and again passes the same `cache`: one changed Service then costs one Service.
    """
    cache = cache or ResolveCache()
    # Inputs, each gathered once; also those of the namespaces to which an Ingress or a Gateway of this one leads.
    points = facts.ingress_points.get(namespace, ())
    backends = {route.backend.service.namespace for point in points for route in point.routes}
    inputs = {name: gather_inputs(snapshot, facts, name) for name in sorted({namespace, *backends})}
    # Which policy governs, what each entry point delivers, the rules, the limits, the NetworkPolicies.
    views = {name: view_of(of_namespace, facts, cache) for name, of_namespace in inputs.items()}
    # What is reported: an Exposure for each entry point, and what became of each policy.
    view = views[namespace]
    here, planned = view.inputs, view.planned
    webhooks = webhook_blind_spots(here, facts, view.governed, planned.standing(here.network_policies))
    notes = (here.mode_note, unselected_host_ports(here), *(webhook.message for webhook in webhooks.get("", ())))
    return Resolution(
        namespace=namespace,
        policies=planned.enforced,
        exposures=(
            *service_exposures(view, facts, webhooks, cache),
            *(ingress_point_exposure(point, views, facts) for point in points),
        ),
        outcomes=policy_outcomes(here, view.governed, " ".join(filter(None, notes))),
        audited=planned.audited,
        frozen=planned.frozen,
        paused=here.mode == "Paused" or here.namespace.deleting,
    )
