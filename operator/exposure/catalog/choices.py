"""How a load balancer is recognised: by class, annotation, the nodes' providerID, or an L7 front end's class.

The first choice that fits decides; the profiles that they name are in `providers`.
"""

from dataclasses import dataclass, field

from exposure.catalog.providers import AWS_TARGET_TYPE, AWS_TYPE, BETA


@dataclass(frozen=True, slots=True)
class Choice:
    """The profile of a Service that has one of `classes` (loadBalancerClass) and all of `annotations`.

    An annotation's values are compared in lower case; no values: any value will do; a key that ends in `*` is a prefix.
    """

    profile: str
    classes: tuple[str, ...] = ()
    annotations: dict[str, tuple[str, ...]] = field(default_factory=dict)


AWS_NLB_CLASSES = ("service.k8s.aws/nlb", "eks.amazonaws.com/nlb")
#: EKS Auto Mode does not support the annotation for source ranges, only spec.loadBalancerSourceRanges:
#: https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-nlb.html (Service annotations)
CLASSES_WITHOUT_RANGE_ANNOTATION = ("eks.amazonaws.com/nlb",)
GKE_CLASSES = (
    "networking.gke.io/l4-regional-internal",
    "networking.gke.io/l4-regional-external",
    "networking.gke.io/l4-regional-internal-legacy",
    "networking.gke.io/l4-regional-external-legacy",
    "networking.gke.io/standalone-passthrough-lb-neg",
)
#: The last is Node IPAM, which publishes nodes' addresses: https://docs.cilium.io/en/stable/network/node-ipam/
CILIUM_CLASSES = ("io.cilium/bgp-control-plane", "io.cilium/l2-announcer", "io.cilium/node")
METALLB_CLASSES = ("metallb", "metallb.io/metallb", "metallb.universe.tf/metallb")

#: By loadBalancerClass; a class that no row knows is an unknown provider.
BY_CLASS: tuple[Choice, ...] = (
    Choice("aws-nlb-ip", AWS_NLB_CLASSES, {AWS_TARGET_TYPE: ("ip",)}),
    Choice("aws-nlb-instance", AWS_NLB_CLASSES),
    Choice("gke-passthrough", GKE_CLASSES),
    Choice("cilium", CILIUM_CLASSES),
    Choice("alibaba-nlb", ("alibabacloud.com/nlb",)),
    Choice("kube-vip", ("kube-vip.io/kube-vip-class",)),
    Choice("metallb", METALLB_CLASSES),
)

#: By annotation, the most telling first.
BY_ANNOTATION: tuple[Choice, ...] = (
    Choice("aws-nlb-ip", annotations={AWS_TYPE: ("nlb-ip",)}),
    Choice("aws-nlb-ip", annotations={AWS_TYPE: ("external", "nlb"), AWS_TARGET_TYPE: ("ip",)}),
    Choice("aws-nlb-instance", annotations={AWS_TYPE: ("external", "nlb")}),
    Choice("aws-classic", annotations={f"{BETA}aws-load-balancer-*": ()}),
    Choice("gke-passthrough", annotations={"networking.gke.io/load-balancer-type": ()}),
    Choice("gke-passthrough", annotations={"cloud.google.com/load-balancer-type": ()}),
    Choice("azure", annotations={f"{BETA}azure-*": ()}),
    Choice("digitalocean", annotations={f"{BETA}do-loadbalancer-*": ()}),
    Choice("hetzner", annotations={"load-balancer.hetzner.cloud/*": ()}),
    Choice("oci-nlb", annotations={"oci.oraclecloud.com/load-balancer-type": ("nlb",)}),
    Choice("oci-nlb", annotations={"oci-network-load-balancer.oraclecloud.com/*": ()}),
    Choice("oci-lb", annotations={"oci.oraclecloud.com/*": ()}),
    Choice("alibaba-eni", annotations={f"{BETA}backend-type": ("eni",)}),
    Choice("alibaba-clb", annotations={f"{BETA}alibaba-cloud-loadbalancer-*": ()}),
    Choice("alibaba-clb", annotations={f"{BETA}alicloud-loadbalancer-*": ()}),
    Choice("octavia-ovn", annotations={"loadbalancer.openstack.org/class": ("ovn",)}),
    Choice("octavia-amphora", annotations={"loadbalancer.openstack.org/*": ()}),
    Choice(
        "ibm-nlb",
        annotations={"service.kubernetes.io/ibm-load-balancer-cloud-provider-enable-features": ("nlb", "ipvs")},
    ),
    Choice("ibm-alb", annotations={"service.kubernetes.io/ibm-load-balancer-*": ()}),
    Choice("cilium", annotations={"io.cilium/lb-*": ()}),
    Choice("cilium", annotations={"lbipam.cilium.io/*": ()}),
    Choice("kube-vip", annotations={"kube-vip.io/*": ()}),
    Choice("metallb", annotations={"metallb.io/*": ()}),
    Choice("metallb", annotations={"metallb.universe.tf/*": ()}),
)

#: By the beginning of the nodes' spec.providerID; on-premises platforms bring no load balancer of their own.
PROVIDER_IDS: dict[str, str] = {
    "aws://": "aws",
    "gce://": "gce",
    "azure://": "azure",
    "k3s://": "k3s",
    "digitalocean://": "digitalocean",
    "hcloud://": "hetzner",
    "hrobot://": "hetzner",
    "oci://": "oci",
    "ocid1.": "oci",
    "alicloud://": "alibaba",
    "openstack://": "openstack",
    "ibm://": "ibm",
    "kind://": "on-premises",
    "vsphere://": "on-premises",
    "metal3://": "on-premises",
    "proxmox://": "on-premises",
    "rke2://": "on-premises",
    "minikube://": "on-premises",
    "moref://": "on-premises",
}
#: Alibaba's own form has no scheme: cn-hangzhou.i-bp1…
ALIBABA_PROVIDER_ID = r"^[a-z]{2}-[a-z]+(-\d+)?\.i-"

#: The profile of a LoadBalancer Service that says nothing itself, by provider.
BY_PROVIDER: dict[str, str] = {
    "aws": "aws-classic",
    "gce": "gke-passthrough",
    "azure": "azure",
    "k3s": "k3s",
    "digitalocean": "digitalocean",
    "hetzner": "hetzner",
    "oci": "oci-lb",
    "alibaba": "alibaba-clb",
    "openstack": "octavia-amphora",
    "ibm": "ibm-alb",
    "metallb": "metallb",
    "kube-vip": "kube-vip",
    "cilium": "cilium",
    "on-premises": "metallb",
    "unknown": "unknown",
}

#: From this Kubernetes minor on, DigitalOcean makes network load balancers by default.
DIGITALOCEAN_NETWORK_SINCE = (1, 33)
DIGITALOCEAN_TYPE = f"{BETA}do-loadbalancer-type"

#: Cloud L7 front ends without pods, by the controller of an IngressClass or GatewayClass, or by the class's name.
L7_BY_CLASS: dict[str, str] = {
    "alb": "aws-alb",
    "gce": "gke-neg",
    "gce-internal": "gke-envoy",
    "gce-regional-external": "gke-envoy",
    "gke-l7-global-external-managed": "gke-neg",
    "gke-l7-gxlb": "gke-neg",
    "gke-l7-rilb": "gke-envoy",
    "gke-l7-regional-external-managed": "gke-envoy",
    "gke-l7-cross-regional-internal-managed": "gke-envoy",
}
#: EKS Auto Mode targets pods where nothing is said: docs.aws.amazon.com/eks/latest/userguide/auto-configure-alb.html
L7_BY_CONTROLLER: dict[str, str] = {
    "ingress.k8s.aws/alb": "aws-alb",
    "eks.amazonaws.com/alb": "aws-alb-ip",
    "gateway.k8s.aws/alb": "aws-alb",
}
#: A GKE class of several clusters has the same sources as its single-cluster form.
GKE_MULTI_CLUSTER_SUFFIX = "-mc"
GKE_NEG_ANNOTATION = "cloud.google.com/neg"
