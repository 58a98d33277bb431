"""Rules that refuse: the whole Service, or one of its entry points."""

from exposure.addresses import whole_families
from exposure.catalog.blind_spots import blind_spot
from exposure.model.exposures import BlindSpot
from exposure.resolve.delivery import Case
from exposure.resolve.rules.access import Access


def refuse_external_name(case: Case, access: Access) -> None:
    """An ExternalName Service is a DNS alias without pods, so no NetworkPolicy is written."""
    if case.service.type == "ExternalName":
        _refuse_pods(access, blind_spot("ExternalName", f"Service {case.service.ref}."))


def refuse_without_selector(case: Case, access: Access) -> None:
    """A Service without a selector gets no NetworkPolicy: an empty podSelector would open the whole namespace."""
    if case.selected.selector is None:
        _refuse_pods(access, blind_spot("SelectorMissing", f"Service {case.service.ref}."))


def refuse_host_network_pods(case: Case, access: Access) -> None:
    """No NetworkPolicy selects pods that use hostNetwork. If all pods do, none is written.

    If only some pods use hostNetwork, the others are opened, and the blind spot is reported.
    """
    selected = case.selected
    if selected.only_host_network:
        detail = f"All pods of Service {case.service.ref}: {selected.listed_host_network}."
        _refuse_pods(access, blind_spot("HostNetworkBackends", detail))
    elif selected.host_network:
        detail = f"Some pods of Service {case.service.ref}: {selected.listed_host_network}."
        access.report(blind_spot("HostNetworkBackends", detail))


def refuse_unaccepted_policy(case: Case, access: Access) -> None:
    """A policy that was never accepted still governs: nothing is opened, and the egress that it restricts stays closed.

    The same holds if a ClusterExposurePolicy requires an ExposurePolicy and none selects the Service.
    """
    policy = case.policy
    if policy.refused:
        required = "A ClusterExposurePolicy requires an ExposurePolicy here, but none selects this Service."
        access.refuse(required if policy.verdict.accepted else policy.verdict.message)
        access.egress = None if access.egress is None else ()


def refuse_public_entry_points(case: Case, access: Access) -> None:
    """If limits.allowPublic is false, an entry point of the Service stays closed if its clients are a whole family.

    Behind an Ingress or a Gateway, the proxy's own Service is asked in its namespace.
    """
    if case.limits.allow_public:
        return
    for delivery in case.deliveries:
        if delivery.route is None and whole_families(block.cidr for block in delivery.clients.blocks):
            refusal = f"limits.allowPublic is false, but the {delivery.entry_point} admits everyone."
            access.close(delivery.entry_point, refusal)


def refuse_disjoint_client_ranges(case: Case, access: Access) -> None:
    """If the policy's clients, its limits and the Service's ranges have no address in common, none is admitted."""
    refusal = "The clients of the policy, its limits and the Service's source ranges have no address in common."
    for delivery in case.deliveries:
        if not delivery.clients.blocks:
            access.close(delivery.entry_point, refusal)


def _refuse_pods(access: Access, reason: BlindSpot) -> None:
    access.report(reason)
    access.refuse(reason.message)
    access.selectable = False
