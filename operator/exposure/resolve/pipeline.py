"""Resolving one namespace, stage after stage: what should exist there, and what is reported about it."""

from exposure.model.exposures import Resolution
from exposure.model.snapshot import Snapshot
from exposure.resolve.cache import ResolveCache
from exposure.resolve.exposures import ingress_point_exposure, service_exposures
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.governed import governed_services
from exposure.resolve.inputs import gather_inputs, unselected_host_ports
from exposure.resolve.network_policies import planned_policies
from exposure.resolve.outcomes import policy_outcomes
from exposure.resolve.view import NamespaceView
from exposure.resolve.webhooks import NO_ENTRY_POINT, webhook_blind_spots


def resolve(snapshot: Snapshot, facts: ClusterFacts, namespace: str, cache: ResolveCache | None = None) -> Resolution:
    """Everything that follows for one namespace. Pure: equal inputs give equal results, in a stable order.

    A caller that resolves again and again passes the same `cache`: one changed Service then costs one Service.
    """
    cache = cache or ResolveCache()
    # Inputs, each gathered once; also those of the namespaces to which an Ingress or a Gateway of this one leads.
    points = facts.ingress_points.get(namespace, ())
    backends = {route.backend.service.namespace for point in points for route in point.routes}
    inputs = {name: gather_inputs(snapshot, facts, name) for name in sorted({namespace, *backends})}
    # For each Service that a policy governs: its deliveries, then the rules, then the sources that are admitted.
    governed = {name: governed_services(own, facts, cache) for name, own in inputs.items()}
    # The NetworkPolicies that should exist, by the modes of the policies and of the namespace.
    planned = {name: planned_policies(own, governed[name], cache) for name, own in inputs.items()}
    # What is reported: an Exposure for each entry point, and what became of each policy.
    views = {name: NamespaceView(own, governed[name], planned[name]) for name, own in inputs.items()}
    view, here = views[namespace], inputs[namespace]
    if_enforced = view.in_force_after(view.planned.audited or view.planned.enforced)
    webhooks = webhook_blind_spots(here, facts, view.governed, if_enforced.values())
    of_namespace = (webhook.message for webhook in webhooks.get(NO_ENTRY_POINT, ()))
    notes = (here.mode_note, unselected_host_ports(here), *of_namespace)
    cache.keep(namespace, here.entry_points)
    return Resolution(
        namespace=namespace,
        policies=view.planned.enforced,
        exposures=(
            *service_exposures(view, facts, webhooks, cache),
            *(ingress_point_exposure(point, views, facts) for point in points),
        ),
        outcomes=policy_outcomes(here, view.governed, " ".join(filter(None, notes))),
        audited=view.planned.audited,
        frozen=view.planned.frozen,
        paused=here.paused,
    )
