"""Which pods a Service's policy selects, and when there is nothing that could be selected."""

from dataclasses import dataclass

from exposure.catalog.blind_spots import blind_spot
from exposure.labels import LabelSelector, selecting
from exposure.model.exposures import BlindSpot
from exposure.model.objects import EndpointSlice, Pod, Service
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.ports import LabelledPod, selected


@dataclass(frozen=True, slots=True)
class Subject:
    """`selector` None: no policy may be written, for the reason that stands first in `spots`."""

    selector: LabelSelector | None
    pods: tuple[Pod, ...] = ()
    spots: tuple[BlindSpot, ...] = ()


def subject_of(
    service: Service, pods: tuple[LabelledPod, ...], slices: tuple[EndpointSlice, ...], facts: ClusterFacts
) -> Subject:
    """Never an empty selector: it would open the whole namespace."""
    shown = f"Service {service.ref}"
    if service.type == "ExternalName":
        return Subject(None, spots=(blind_spot("ExternalName", f"{shown}."),))
    if not service.selector:
        return Subject(None, spots=(blind_spot("SelectorMissing", f"{shown}."),))
    by = selecting(dict(service.selector))
    behind = selected(pods, by)
    on_host = [pod.name for pod in behind if pod.host_network]
    addresses = {ip for each in slices for endpoint in each.endpoints for ip in endpoint.addresses}
    only_nodes = bool(addresses) and addresses <= facts.node_addresses
    if (behind and len(on_host) == len(behind)) or (not behind and only_nodes):
        names = ", ".join(on_host[:3]) or "its endpoints have nodes' addresses"
        return Subject(None, behind, (blind_spot("HostNetworkBackends", f"All pods of {shown}: {names}."),))
    if on_host:
        return Subject(by, behind, (blind_spot("HostNetworkBackends", f"{shown}: {', '.join(on_host[:3])}."),))
    return Subject(by, behind)
