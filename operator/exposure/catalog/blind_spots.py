"""The closed list of blind spots: what each reason means, what it does, and its cure. Documented here and nowhere else."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from exposure.model.exposures import BlindSpot

Effect: TypeAlias = Literal["Opens", "Cuts", "Unproven"]


@dataclass(frozen=True, slots=True)
class Reason:
    name: str
    effect: Effect
    meaning: str
    cure: str


# fmt: off
REASONS: dict[str, Reason] = {reason.name: reason for reason in (
    Reason("SourceFilterLost", "Opens",
           "SNAT hides the client, so anyone who can reach a NodePort of any node passes the policy.",
           "Set externalTrafficPolicy: Local, or use a data plane with DSR; clients.unenforceable: Deny refuses what cannot be held."),
    Reason("SourceRangesUnenforced", "Opens",
           "Narrow client ranges that neither the load balancer, nor kube-proxy, nor the policy can hold.",
           "Use a load balancer that keeps the client's address, or enforce the ranges at the load balancer."),
    Reason("AnnotationNotEnforced", "Opens",
           "An annotation asks for source ranges, and no controller here is known to honour it.",
           "Use spec.loadBalancerSourceRanges, or clients.cidrs of an ExposurePolicy."),
    Reason("ConflictingSourceRanges", "Unproven",
           "Source ranges are given twice, as a field and as an annotation, which this controller refuses.",
           "Keep spec.loadBalancerSourceRanges and drop the annotation."),
    Reason("FamilyRangesMissing", "Cuts",
           "loadBalancerSourceRanges list one address family of a dual-stack Service: kube-proxy leaves the other open, the policy does not.",
           "List ranges of both families."),
    Reason("ServiceTagsNotExpressible", "Cuts",
           "Allowed service tags name address lists that no NetworkPolicy can express.",
           "List the tags' ranges in clients.cidrs."),
    Reason("CrossNodeTrafficDropped", "Cuts",
           "Connections that reach a pod by way of another node arrive with an address that the policy does not admit.",
           "Set externalTrafficPolicy: Local, or clients.unenforceable: Allow."),
    Reason("InClusterClientsExcluded", "Cuts",
           "Pod addresses are cut out of what outside clients may be, so pods that call the load balancer's address are not admitted "
           "where they arrive with their own. With externalTrafficPolicy Cluster, kube-proxy SNATs them, too: from another node they "
           "arrive as N, and get in.",
           "Name in-cluster callers in peers; externalTrafficPolicy: Local keeps all others out."),
    Reason("EastWestOpen", "Opens",
           "A range that is opened for outside clients also holds pods, and they cannot be cut out.",
           "Narrow clients.cidrs, or set network.podCIDRs where pods have ranges of their own."),
    Reason("OwnNodeBypass", "Opens",
           "The CNI always admits the pod's own node, and what that node SNATs arrives with its address.",
           "Set externalTrafficPolicy: Local."),
    Reason("NodeRangesWidened", "Opens",
           "There are more node addresses than peers a policy may have, so ranges that hold others too stand for them.",
           "Set network.nodeCIDRs to the nodes' subnets, or raise network.nodeAddressLimit."),
    Reason("LoadBalancerAddressesRequired", "Cuts",
           "Traffic arrives from the load balancer's own addresses, and they are not known.",
           "Set loadBalancer.cidrs in the policy, or network.loadBalancerCIDRs in the configuration."),
    Reason("HealthCheckSourcesUnknown", "Cuts",
           "The provider probes pods from addresses that are not known, so healthy pods may be taken out of service.",
           "Set loadBalancer.healthCheckCIDRs to the provider's probe sources."),
    Reason("PolicyNotEnforced", "Opens",
           "The CNI does not enforce NetworkPolicy for this traffic: the policies are written and hold nothing.",
           "Install a CNI that enforces NetworkPolicy, or set externalTrafficPolicy: Local where that is all it lacks."),
    Reason("CNIUnknown", "Unproven",
           "Which CNI enforces policies here is not known, so the widest safe reading of the truth table is used.",
           "Set network.cni in the configuration."),
    Reason("SelectorMissing", "Cuts",
           "The Service has no selector, so no pods can be named and nothing is granted.",
           "Give the Service a selector, or write the NetworkPolicy for its endpoints yourself."),
    Reason("ExternalName", "Unproven",
           "An ExternalName Service is a DNS alias: no pods stand behind it.",
           "Expose the Service that it points to."),
    Reason("HostNetworkBackends", "Opens",
           "Pods behind this entry point share their node's network, and no NetworkPolicy selects those.",
           "Run the pods without hostNetwork, or filter at the node."),
    Reason("NamedPortUnresolved", "Cuts",
           "The target port is a name that this CNI cannot be trusted with, and no number is known for it.",
           "Number the Service's targetPort, or give the pods a containerPort of that name."),
    Reason("ForeignPolicySameName", "Cuts",
           "A NetworkPolicy of the name that is needed belongs to somebody else and is not overwritten.",
           "Rename or delete that NetworkPolicy."),
    Reason("AdditivePolicy", "Opens",
           "Another NetworkPolicy selects the same pods and admits what this one closed: policies add up.",
           "Narrow or delete the other policy."),
    Reason("SharedPods", "Opens",
           "Another exposed Service selects the same pods, and the grants of both add up.",
           "Give the Services pods of their own, or the same clients."),
    Reason("NotIsolated", "Opens",
           "The namespace has no default-deny: its other pods stand open, and these too once the Service is gone.",
           "Set isolation.ingress: true."),
    Reason("Ungoverned", "Opens",
           "No policy governs this entry point and no default-deny of ours stands: nothing holds what it lets in.",
           "Write an ExposurePolicy for the namespace."),
    Reason("ProxyAmbiguous", "Cuts",
           "Several load balancers publish this entry point's address, so which proxy calls its backends is not known.",
           "Give the proxy's Service an address of its own, or name the proxy's pods in peers."),
    Reason("ProxyNotFound", "Cuts",
           "No load balancer publishes this entry point's address, so the proxy that calls its backends is not known.",
           "Publish the entry point's address on the proxy's Service, or name the proxy's pods in peers."),
    Reason("BackendNotGranted", "Cuts",
           "A route leads to a backend that the policy of its namespace does not open.",
           "Open the backend in its namespace's ExposurePolicy."),
    Reason("APIServerUnreachable", "Cuts",
           "The API server was asked for, and no ipBlock can be trusted to reach it here.",
           "On Cilium, add a CiliumNetworkPolicy with toEntities: kube-apiserver."),
    Reason("WebhookUnreachable", "Cuts",
           "The API server calls an admission webhook in these pods, and no policy admits it to that port: what the webhook "
           "watches over can no longer be changed, or goes unchecked, by its failurePolicy.",
           "Write a NetworkPolicy of your own that admits the API server's addresses to the webhook's target port."),
)}
# fmt: on


# The same few things are blind at thousands of entry points: each is said, and kept, once.
@lru_cache(maxsize=4096)
def blind_spot(reason: str, detail: str = "", *, effect: Effect | None = None, cure: str = "") -> BlindSpot:
    """The blind spot of that reason: its meaning, then what is special to this case."""
    known = REASONS[reason]
    message = f"{known.meaning} {detail}".strip()
    return BlindSpot(reason, effect or known.effect, message, cure or known.cure)
