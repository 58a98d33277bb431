"""Which pods a Service selects, and whether a NetworkPolicy can select them too."""

from dataclasses import dataclass

from exposure.labels import LabelSelector
from exposure.model.objects import EndpointSlice, Pod, Service
from exposure.resolve.facts import ClusterFacts

LISTED_PODS = 3


@dataclass(frozen=True, slots=True)
class SelectedPods:
    """`selector` None: the Service has none. `host_network`: the names of those pods that use hostNetwork.

    `only_host_network`: all of them do, so that no NetworkPolicy selects any.
    """

    selector: LabelSelector | None = None
    pods: tuple[Pod, ...] = ()
    host_network: tuple[str, ...] = ()
    only_host_network: bool = False

    @property
    def listed_host_network(self) -> str:
        return ", ".join(self.host_network[:LISTED_PODS]) or "its endpoints have the addresses of nodes"


def select_pods(
    service: Service, pods: tuple[Pod, ...], slices: tuple[EndpointSlice, ...], facts: ClusterFacts
) -> SelectedPods:
    selector = service.pod_selector
    if selector is None or service.type == "ExternalName":
        return SelectedPods()
    behind = tuple(service.selected(pods))
    host_network = tuple(pod.name for pod in behind if pod.host_network)
    addresses = {ip for endpoint_slice in slices for endpoint in endpoint_slice.endpoints for ip in endpoint.addresses}
    # Where no pod is known, endpoints with nodes' addresses alone show that the pods use hostNetwork.
    only_node_addresses = bool(addresses) and addresses <= facts.node_addresses
    only_host_network = len(host_network) == len(behind) if behind else only_node_addresses
    return SelectedPods(selector, behind, host_network, only_host_network)
