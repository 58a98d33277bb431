"""The closed list of blind spots: what each reason means, what it does, and its cure. Documented here and nowhere else."""

from dataclasses import replace
from functools import lru_cache
from typing import Literal, TypeAlias

from exposure.model.exposures import BlindSpot

Effect: TypeAlias = Literal["Opens", "Cuts", "Unproven"]


# fmt: off
#: Each as it is where nothing is special to the case.
REASONS: dict[str, BlindSpot] = {spot.reason: spot for spot in (
    BlindSpot("SourceFilterLost", "Opens",
              "SNAT hides the client's address. Whoever reaches a NodePort of any node passes the policy.",
              "Set externalTrafficPolicy: Local, or use a data plane with DSR. clients.unenforceable: Deny refuses what cannot be held."),
    BlindSpot("SourceRangesUnenforced", "Opens",
              "The client ranges are narrow, and neither the load balancer, nor kube-proxy, nor the policy can hold them.",
              "Use a load balancer that keeps the client's address, or enforce the ranges at the load balancer."),
    BlindSpot("AnnotationNotEnforced", "Opens",
              "An annotation asks for source ranges, and no controller here is known to read it.",
              "Use spec.loadBalancerSourceRanges, or clients.cidrs of an ExposurePolicy."),
    BlindSpot("ConflictingSourceRanges", "Unproven",
              "Source ranges are given as a field and as an annotation at once, which this controller refuses.",
              "Keep spec.loadBalancerSourceRanges and remove the annotation."),
    BlindSpot("FamilyRangesMissing", "Cuts",
              "loadBalancerSourceRanges list one address family of a dual-stack Service. kube-proxy leaves the other one open, the policy does not.",
              "List ranges of both families."),
    BlindSpot("ServiceTagsNotExpressible", "Cuts",
              "Allowed service tags name lists of addresses that no NetworkPolicy can express.",
              "List the tags' ranges in clients.cidrs."),
    BlindSpot("CrossNodeTrafficDropped", "Cuts",
              "Connections that reach a pod through another node arrive with an address that the policy does not admit.",
              "Set externalTrafficPolicy: Local, or clients.unenforceable: Allow."),
    BlindSpot("InClusterClientsExcluded", "Cuts",
              "Pod ranges are excluded from the clients outside. Pods that call the load balancer's address with their own "
              "address are not admitted. With externalTrafficPolicy Cluster, calls through another node arrive with that "
              "node's address and are admitted.",
              "Name callers in the cluster in peers. externalTrafficPolicy: Local keeps all others out."),
    BlindSpot("EastWestOpen", "Opens",
              "A range that is open to clients outside also holds pods, and they cannot be excluded.",
              "Narrow clients.cidrs, or set network.podCIDRs where pods have ranges of their own."),
    BlindSpot("OwnNodeBypass", "Opens",
              "The CNI always admits the pod's own node. What that node SNATs arrives with its address.",
              "Set externalTrafficPolicy: Local."),
    BlindSpot("NodeRangesWidened", "Opens",
              "There are more node addresses than a policy may have peers. Wider ranges, which hold other addresses too, stand for them.",
              "Set network.nodeCIDRs to the nodes' subnets, or raise network.nodeAddressLimit."),
    BlindSpot("LoadBalancerAddressesRequired", "Cuts",
              "Traffic arrives from the load balancer's own addresses, and they are not known.",
              "Set loadBalancer.cidrs in the policy, or network.loadBalancerCIDRs in the configuration."),
    BlindSpot("HealthCheckSourcesUnknown", "Cuts",
              "The provider probes pods from addresses that are not known. It may take healthy pods out of service.",
              "Set loadBalancer.healthCheckCIDRs to the provider's probe sources."),
    BlindSpot("PolicyNotEnforced", "Opens",
              "The CNI does not enforce NetworkPolicies for this traffic. They are written and hold nothing.",
              "Install a CNI that enforces NetworkPolicy, or set externalTrafficPolicy: Local where that is all it lacks."),
    BlindSpot("CNIUnknown", "Unproven",
              "Which CNI enforces policies here is not known. The widest safe reading of the truth table holds.",
              "Set network.cni in the configuration."),
    BlindSpot("SelectorMissing", "Cuts",
              "The Service has no selector, so no pods can be named and nothing is granted.",
              "Give the Service a selector, or write the NetworkPolicy for its endpoints yourself."),
    BlindSpot("ExternalName", "Unproven",
              "An ExternalName Service is a DNS alias: no pods stand behind it.",
              "Expose the Service that it points to."),
    BlindSpot("HostNetworkBackends", "Opens",
              "Pods behind this entry point use hostNetwork, and no NetworkPolicy selects those.",
              "Run the pods without hostNetwork, or filter at the node."),
    BlindSpot("NamedPortUnresolved", "Cuts",
              "The target port is a name that this CNI does not resolve reliably, and no number is known for it.",
              "Use a number as the Service's targetPort, or give the pods a containerPort of that name."),
    BlindSpot("ForeignPolicySameName", "Cuts",
              "A NetworkPolicy that the operator did not write has the name that is needed. It is not overwritten.",
              "Rename or delete that NetworkPolicy."),
    BlindSpot("AdditivePolicy", "Opens",
              "Another NetworkPolicy selects the same pods and admits what this one does not: policies add up.",
              "Narrow or delete the other policy."),
    BlindSpot("SharedPods", "Opens",
              "Another exposed Service selects the same pods, and the grants of both add up.",
              "Give the Services pods of their own, or the same clients."),
    BlindSpot("NotIsolated", "Opens",
              "The namespace has no default deny. Its other pods are open, and these are too once the Service is gone.",
              "Set isolation.ingress: true."),
    BlindSpot("Ungoverned", "Opens",
              "No policy governs this entry point and no default deny of ours holds: nothing restricts what it lets in.",
              "Write an ExposurePolicy for the namespace."),
    BlindSpot("ProxyAmbiguous", "Cuts",
              "Several load balancers publish this entry point's address, so which proxy calls its backends is not known.",
              "Give the proxy's Service an address of its own, or name the proxy's pods in peers."),
    BlindSpot("ProxyNotFound", "Cuts",
              "No load balancer publishes this entry point's address, so the proxy that calls its backends is not known.",
              "Publish the entry point's address on the proxy's Service, or name the proxy's pods in peers."),
    BlindSpot("BackendNotGranted", "Cuts",
              "A route leads to a backend that the policy of its namespace does not open.",
              "Open the backend in its namespace's ExposurePolicy."),
    BlindSpot("APIServerUnreachable", "Cuts",
              "The policy asks for the API server, and no ipBlock is known to reach it here.",
              "On Cilium, add a CiliumNetworkPolicy with toEntities: kube-apiserver."),
    BlindSpot("WebhookUnreachable", "Cuts",
              "The API server calls an admission webhook in these pods, and no policy admits it to that port. By the webhook's "
              "failurePolicy, what it checks can no longer be changed, or goes unchecked.",
              "Write a NetworkPolicy of your own that admits the API server's addresses to the webhook's target port."),
)}
# fmt: on


# Thousands of entry points share the same few blind spots: each is kept once.
@lru_cache(maxsize=4096)
def blind_spot(reason: str, detail: str = "", *, effect: Effect | None = None, cure: str = "") -> BlindSpot:
    """The blind spot of a reason: its meaning, then what is special to this case."""
    usual = REASONS[reason]
    message = f"{usual.message} {detail}".strip()
    return replace(usual, effect=effect or usual.effect, message=message, cure=cure or usual.cure)
