"""Every blind spot: what its reason means, its effect, and its cure. Documented here and nowhere else."""

from dataclasses import replace
from functools import lru_cache
from typing import Literal, TypeAlias

from exposure.model.exposures import BlindSpot

Effect: TypeAlias = Literal["Opens", "Cuts", "Unproven"]


# fmt: off
#: Each without the detail of a case.
REASONS: dict[str, BlindSpot] = {spot.reason: spot for spot in (
    BlindSpot("SourceFilterLost", "Opens",
              "SNAT hides the client's address. The policy admits every client that can reach a node port of any node.",
              "Set externalTrafficPolicy: Local, or use a data plane with DSR. To refuse these clients, set clients.unenforceable: Deny."),
    BlindSpot("SourceRangesUnenforced", "Opens",
              "Neither the load balancer, nor kube-proxy, nor the policy can enforce these client ranges.",
              "Use a load balancer that keeps the client's address, or enforce the ranges at the load balancer."),
    BlindSpot("AnnotationNotEnforced", "Opens",
              "An annotation sets source ranges, but no controller here is known to enforce them.",
              "Use spec.loadBalancerSourceRanges, or clients.cidrs of an ExposurePolicy."),
    BlindSpot("ConflictingSourceRanges", "Unproven",
              "Both spec.loadBalancerSourceRanges and an annotation set source ranges. This controller refuses the combination.",
              "Keep spec.loadBalancerSourceRanges and remove the annotation."),
    BlindSpot("FamilyRangesMissing", "Cuts",
              "loadBalancerSourceRanges of this dual-stack Service list one address family only. kube-proxy leaves the other family open. The policy does not.",
              "List ranges of both families."),
    BlindSpot("ServiceTagsNotExpressible", "Cuts",
              "An annotation allows service tags. A NetworkPolicy cannot express service tags.",
              "List the address ranges of the tags in clients.cidrs."),
    BlindSpot("CrossNodeTrafficDropped", "Cuts",
              "Connections that reach a pod through another node arrive with an address that the policy does not admit.",
              "Set externalTrafficPolicy: Local, or clients.unenforceable: Allow."),
    BlindSpot("InClusterClientsExcluded", "Cuts",
              "The policy excludes pod ranges from the clients outside. Pods that call the load balancer with their own "
              "address are not admitted. With externalTrafficPolicy: Cluster, pods that call through another node arrive "
              "with that node's address and are admitted.",
              "List callers in the cluster in peers. To keep out all other pods, set externalTrafficPolicy: Local."),
    BlindSpot("EastWestOpen", "Opens",
              "A range that admits clients outside also contains pod addresses, which cannot be excluded.",
              "Narrow clients.cidrs. If pods have address ranges of their own, set network.podCIDRs in the configuration."),
    BlindSpot("OwnNodeBypass", "Opens",
              "The CNI always admits the pod's own node, including every connection that this node SNATs to its own address.",
              "Set externalTrafficPolicy: Local."),
    BlindSpot("NodeRangesWidened", "Opens",
              "There are more node addresses than network.nodeAddressLimit. The policy admits wider ranges, which contain other addresses too.",
              "Set network.nodeCIDRs to the nodes' subnets, or raise network.nodeAddressLimit."),
    BlindSpot("LoadBalancerAddressesRequired", "Cuts",
              "Traffic arrives from the load balancer's own addresses, which are not known.",
              "Set loadBalancer.cidrs in the policy, or network.loadBalancerCIDRs in the configuration."),
    BlindSpot("HealthCheckSourcesUnknown", "Cuts",
              "Health checks reach the pods from addresses that are not known. The load balancer may take healthy pods out of service.",
              "Set loadBalancer.healthCheckCIDRs to the source addresses of the health checks."),
    BlindSpot("PolicyNotEnforced", "Opens",
              "The CNI does not enforce NetworkPolicies for this traffic. The operator writes them, but they have no effect.",
              "Install a CNI that enforces NetworkPolicies. If yours enforces them with externalTrafficPolicy: Local, set that."),
    BlindSpot("CNIUnknown", "Unproven",
              "The CNI is not known. The operator uses the widest safe row of the truth table.",
              "Set network.cni in the configuration."),
    BlindSpot("SelectorMissing", "Cuts",
              "The Service has no selector, so no NetworkPolicy can select its pods. The operator opens nothing.",
              "Give the Service a selector, or write the NetworkPolicy for its endpoints yourself."),
    BlindSpot("ExternalName", "Unproven",
              "An ExternalName Service is a DNS alias and has no pods.",
              "Expose the Service that it points to."),
    BlindSpot("HostNetworkBackends", "Opens",
              "Pods behind this entry point use hostNetwork. NetworkPolicies do not apply to them.",
              "Run the pods without hostNetwork, or filter at the node."),
    BlindSpot("NamedPortUnresolved", "Cuts",
              "The target port is a name. This CNI does not resolve it reliably, and its number is not known.",
              "Use a number as the Service's targetPort, or give the pods a containerPort with that name."),
    BlindSpot("ForeignPolicySameName", "Cuts",
              "A NetworkPolicy that the operator did not write has a name that the operator needs. The operator does not overwrite it.",
              "Rename or delete that NetworkPolicy."),
    BlindSpot("AdditivePolicy", "Opens",
              "Another NetworkPolicy selects the same pods and admits more than the operator's. NetworkPolicies are additive.",
              "Narrow or delete the other policy."),
    BlindSpot("SharedPods", "Opens",
              "Another exposed Service selects the same pods. The pods admit what the policy of either Service admits.",
              "Give each Service its own pods, or give all of them the same clients."),
    BlindSpot("NotIsolated", "Opens",
              "The namespace has no default deny. Its other pods are open. These pods are open too once the Service is deleted.",
              "Set isolation.ingress: true."),
    BlindSpot("Ungoverned", "Opens",
              "No policy governs this entry point, and the operator has written no default deny. The operator restricts no connection here.",
              "Create an ExposurePolicy in the namespace."),
    BlindSpot("ProxyAmbiguous", "Cuts",
              "Several load balancers publish this entry point's address. It is not known which proxy calls its backends.",
              "Give the proxy's Service an address of its own, or list the proxy's pods in peers."),
    BlindSpot("ProxyNotFound", "Cuts",
              "No load balancer publishes this entry point's address. It is not known which proxy calls its backends.",
              "Publish the entry point's address on the proxy's Service, or list the proxy's pods in peers."),
    BlindSpot("BackendNotGranted", "Cuts",
              "A route leads to a backend that does not admit its traffic.",
              "Expose the backend Service in an ExposurePolicy of its namespace."),
    BlindSpot("APIServerUnreachable", "Cuts",
              "The policy sets egress.apiServer, but no ipBlock is known to match the API server here.",
              "On Cilium, add a CiliumNetworkPolicy with toEntities: kube-apiserver."),
    BlindSpot("WebhookUnreachable", "Cuts",
              "The API server calls an admission webhook in these pods, but no policy admits it to that port. Depending on its "
              "failurePolicy, requests that the webhook reviews fail, or are not reviewed.",
              "Create a NetworkPolicy of your own that admits the API server's addresses to the webhook's target port."),
)}
# fmt: on


# Thousands of entry points share a few blind spots, so each is kept in memory once.
@lru_cache(maxsize=4096)
def blind_spot(reason: str, detail: str = "", *, effect: Effect | None = None, cure: str = "") -> BlindSpot:
    """The blind spot of a reason. Its message: what the reason means, then the detail of this case."""
    usual = REASONS[reason]
    message = f"{usual.message} {detail}".strip()
    return replace(usual, effect=effect or usual.effect, message=message, cure=cure or usual.cure)
