"""Load balancers: how each delivers, whether it keeps the client's address, and from where it probes.

One row a profile, one row a way to choose it. To add a provider: a `Profile` here with its source, the `Choice`s or the
providerID prefix that select it, and a scenario. What a field means stands at `Profile`.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from exposure.addresses import Network, network
from exposure.model.exposures import Delivery

#: Where the load balancer's own addresses (L) come from: `configured` (policy or configuration), `published` (the
#: addresses in the entry point's status), `none` (nothing ever arrives from them), or fixed networks.
Addresses: TypeAlias = Literal["configured", "published", "none"] | tuple[Network, ...]
#: Where health checks (H) that reach a pod's port come from: `load-balancer` (as L), `none`, or fixed networks.
Probes: TypeAlias = Literal["load-balancer", "none"] | tuple[Network, ...]
#: When they do: always, or only where the probe goes to the data nodePort.
ProbesWhen: TypeAlias = Literal["always", "cluster", "cluster-or-traffic-port"]

BETA = "service.beta.kubernetes.io/"
SOURCE_RANGES = f"{BETA}load-balancer-source-ranges"
#: Of the form cidr:10.0.0.0/8,ip:192.0.2.1; read where the field is empty: do/loadbalancers.go of DigitalOcean's controller.
DIGITALOCEAN_RANGES = f"{BETA}do-loadbalancer-allow-rules"


@dataclass(frozen=True, slots=True)
class Switch:
    """An annotation that turns client address preservation on or off: by value, or by `key=value` inside a list."""

    annotation: str
    attribute: str = ""
    default: bool | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """How one kind of load balancer delivers.

    `preserved`: the protocols whose client address is kept (`proxied` is nothing, `all` everything);
    `preserved_with`: the externalTrafficPolicy without which nothing is kept; `switch` overrides `switchable` protocols.
    `probed_by_balancer`: the load balancer's addresses probe beside fixed networks.
    `range_annotations`: annotations from which this controller takes source ranges where the field is unset;
    `enforces_ranges`: whether the load balancer itself holds them. `range_conflict`: it refuses field and annotation.
    """

    slug: str
    delivery: Delivery
    preserved: tuple[str, ...]
    source: str
    load_balancer: Addresses = "none"
    probes: Probes = "none"
    probes_when: ProbesWhen = "always"
    probed_by_balancer: bool = False
    probe_port_annotation: str = ""
    preserved_with: str | None = None
    switch: Switch | None = None
    switchable: tuple[str, ...] = ()
    range_annotations: tuple[str, ...] = ()
    enforces_ranges: bool = False
    range_conflict: bool = False
    tag_annotations: tuple[str, ...] = ()
    front_families_annotation: str = ""
    shared_front: bool = False
    service_proxy_pods: bool = False
    private_switch: str = ""
    name: str = ""


ALL = ("TCP", "UDP", "SCTP")
PROXIED: tuple[str, ...] = ()

GOOGLE_FRONT_ENDS: tuple[Network, ...] = (
    network("35.191.0.0/16"),
    network("130.211.0.0/22"),
    network("2600:2d00:1:b029::/64"),
    network("2600:2d00:1:1::/64"),
)
AZURE_PROBE: tuple[Network, ...] = (network("168.63.129.16/32"),)
ALIBABA_PROBES: tuple[Network, ...] = (network("100.64.0.0/10"),)

AWS_TYPE = f"{BETA}aws-load-balancer-type"
AWS_TARGET_TYPE = f"{BETA}aws-load-balancer-nlb-target-type"
AWS_ATTRIBUTES = f"{BETA}aws-load-balancer-target-group-attributes"
AWS_PROBE_PORT = f"{BETA}aws-load-balancer-healthcheck-port"
AWS_IP_TYPE = f"{BETA}aws-load-balancer-ip-address-type"
AWS_TCP_UDP = f"{BETA}aws-load-balancer-enable-tcp-udp-listener"
AWS_QUIC = f"{BETA}aws-load-balancer-quic-enabled-ports"
ALB_TARGET_TYPE = "alb.ingress.kubernetes.io/target-type"
ALB_PROBE_PORT = "alb.ingress.kubernetes.io/healthcheck-port"
ALIBABA_TCPSSL = f"{BETA}alibaba-cloud-loadbalancer-protocol-port"
LBC = "https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/main/"
NLB_DOCS = "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html"
PRESERVE = Switch(AWS_ATTRIBUTES, "preserve_client_ip.enabled")

# fmt: off
PROFILES: dict[str, Profile] = {profile.name or profile.slug: profile for profile in (
    Profile("metallb", "node", ALL, "https://metallb.universe.tf/usage/#traffic-policies"),
    Profile("kube-vip", "node", ALL, "https://kube-vip.io/docs/usage/kubernetes-services/"),
    Profile("cilium", "node", ALL, "https://docs.cilium.io/en/stable/network/bgp-control-plane/bgp-control-plane-v2/"),
    Profile("k3s", "node", ALL, "https://docs.k3s.io/networking/networking-services#service-load-balancer",
            range_annotations=(SOURCE_RANGES,), enforces_ranges=True, service_proxy_pods=True),
    Profile("aws-classic", "node", PROXIED, "https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/introduction.html",
            load_balancer="configured", probes="load-balancer", range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    Profile("aws-nlb-instance", "node", ALL, NLB_DOCS,
            load_balancer="configured", probes="load-balancer", probes_when="cluster-or-traffic-port",
            probe_port_annotation=AWS_PROBE_PORT, switch=PRESERVE, switchable=("TCP",),
            range_annotations=(SOURCE_RANGES,), enforces_ranges=True,
            front_families_annotation=AWS_IP_TYPE, shared_front=True),
    Profile("aws-nlb-ip", "pod", ("UDP", "SCTP"), NLB_DOCS,
            load_balancer="configured", probes="load-balancer", probe_port_annotation=AWS_PROBE_PORT,
            switch=PRESERVE, switchable=("TCP",), range_annotations=(SOURCE_RANGES,), enforces_ranges=True,
            front_families_annotation=AWS_IP_TYPE, shared_front=True),
    Profile("aws-alb", "node", PROXIED, f"{LBC}docs/guide/ingress/annotations.md",
            load_balancer="configured", probes="load-balancer", probe_port_annotation=ALB_PROBE_PORT, enforces_ranges=True),
    Profile("aws-alb", "pod", PROXIED, f"{LBC}docs/guide/ingress/annotations.md", name="aws-alb-ip",
            load_balancer="configured", probes="load-balancer", probe_port_annotation=ALB_PROBE_PORT, enforces_ranges=True),
    Profile("gke-passthrough", "node", ALL, "https://cloud.google.com/kubernetes-engine/docs/concepts/service-load-balancer",
            range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    Profile("gke-neg", "pod", PROXIED, "https://cloud.google.com/load-balancing/docs/firewall-rules",
            load_balancer=GOOGLE_FRONT_ENDS, probes=GOOGLE_FRONT_ENDS, enforces_ranges=True),
    Profile("gke-instance-group", "node", PROXIED, "https://cloud.google.com/load-balancing/docs/firewall-rules",
            load_balancer=GOOGLE_FRONT_ENDS[:2], probes=GOOGLE_FRONT_ENDS[:2], enforces_ranges=True),
    Profile("gke-envoy", "pod", PROXIED, "https://cloud.google.com/load-balancing/docs/proxy-only-subnets",
            load_balancer="configured", probes=GOOGLE_FRONT_ENDS, enforces_ranges=True),
    Profile("azure", "node", ALL, "https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16",
            probes=AZURE_PROBE, probes_when="cluster", enforces_ranges=True, range_conflict=True,
            range_annotations=(f"{BETA}azure-allowed-ip-ranges", SOURCE_RANGES),
            tag_annotations=(f"{BETA}azure-allowed-service-tags",)),
    Profile("digitalocean", "node", PROXIED,
            "https://github.com/digitalocean/digitalocean-cloud-controller-manager/blob/master/docs/controllers/services/annotations.md",
            load_balancer="configured", range_annotations=(DIGITALOCEAN_RANGES,), enforces_ranges=True),
    Profile("digitalocean", "node", ALL, name="digitalocean-network",
            source="https://github.com/digitalocean/digitalocean-cloud-controller-manager/blob/master/docs/controllers/services/annotations.md",
            range_annotations=(DIGITALOCEAN_RANGES,), enforces_ranges=True),
    Profile("hetzner", "node", PROXIED,
            "https://github.com/hetznercloud/hcloud-cloud-controller-manager/blob/main/internal/annotation/load_balancer.go",
            load_balancer="published", probes="load-balancer", private_switch="load-balancer.hetzner.cloud/use-private-ip"),
    Profile("oci-lb", "node", PROXIED,
            "https://github.com/oracle/oci-cloud-controller-manager/blob/master/docs/load-balancer-annotations.md",
            load_balancer="configured", range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    Profile("oci-nlb", "node", ALL,
            "https://github.com/oracle/oci-cloud-controller-manager/blob/master/docs/load-balancer-annotations.md",
            load_balancer="configured", preserved_with="Local",
            switch=Switch("oci-network-load-balancer.oraclecloud.com/is-preserve-source"), switchable=ALL,
            range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    Profile("alibaba-eni", "pod", ALL,
            "https://www.alibabacloud.com/help/en/slb/classic-load-balancer/user-guide/health-check-overview/",
            probes=ALIBABA_PROBES),
    Profile("alibaba-nlb", "pod", ALL,
            "https://help.aliyun.com/en/slb/network-load-balancer/use-cases/obtain-client-ip-addresses",
            load_balancer="configured", probes=ALIBABA_PROBES, probed_by_balancer=True, switchable=("TCP", "UDP"),
            switch=Switch(f"{BETA}alibaba-cloud-loadbalancer-preserve-client-ip"), enforces_ranges=True,
            front_families_annotation=f"{BETA}alibaba-cloud-loadbalancer-ip-version"),
    Profile("alibaba-nlb", "pod", PROXIED, name="alibaba-nlb-proxied",
            source="https://help.aliyun.com/en/slb/network-load-balancer/use-cases/obtain-client-ip-addresses",
            load_balancer="configured", probes=ALIBABA_PROBES, probed_by_balancer=True, enforces_ranges=True),
    Profile("alibaba-clb", "node", ALL,
            "https://github.com/kubernetes/cloud-provider-alibaba-cloud/blob/master/pkg/controller/service/clbv1/listeners.go",
            probes=ALIBABA_PROBES),
    Profile("octavia-amphora", "node", PROXIED,
            "https://github.com/kubernetes/cloud-provider-openstack/blob/master/docs/openstack-cloud-controller-manager/expose-applications-using-loadbalancer-type-service.md",
            load_balancer="configured", range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    Profile("octavia-ovn", "node", ALL,
            "https://docs.openstack.org/ovn-octavia-provider/latest/admin/driver.html", range_annotations=(SOURCE_RANGES,)),
    Profile("ibm-nlb", "node", ALL, "https://cloud.ibm.com/docs/containers?topic=containers-vpc-lbaas",
            load_balancer="configured", preserved_with="Local"),
    Profile("ibm-alb", "node", PROXIED, "https://cloud.ibm.com/docs/containers?topic=containers-vpc-lbaas",
            load_balancer="configured"),
    # An unknown load balancer is assumed to proxy: then only N and what is configured is opened, never a guess.
    Profile("unknown", "node", PROXIED, "https://kubernetes.io/docs/tutorials/services/source-ip/", load_balancer="configured"),
)}
# fmt: on

#: Slugs that a policy's loadBalancer.profile may name.
SLUGS = tuple(dict.fromkeys(profile.slug for profile in PROFILES.values() if profile.slug != "unknown"))
