"""Load balancers, one row for each, with everything that is known about it. `profile` explains the fields.

To add one: a row in `ROWS` with its source, a scenario, and `make docs` (docs/how-to/add-a-provider.md). All else
follows from the rows: names, classes, the annotations that parsing keeps, the CRDs' enum and the reference pages.
"""

from dataclasses import replace

from exposure.addresses import Network, network
from exposure.catalog.annotations import annotation_marks
from exposure.catalog.profile import ALL, PROXIED, Condition, LoadBalancerProfile, ProxyPods, Switch, Variant

BETA = "service.beta.kubernetes.io/"
SOURCE_RANGES = f"{BETA}load-balancer-source-ranges"

#: https://cloud.google.com/load-balancing/docs/firewall-rules
GOOGLE_FRONT_ENDS: tuple[Network, ...] = (
    network("35.191.0.0/16"),
    network("130.211.0.0/22"),
    network("2600:2d00:1:b029::/64"),
    network("2600:2d00:1:1::/64"),
)
ALIBABA_PROBES: tuple[Network, ...] = (network("100.64.0.0/10"),)

AWS_TYPE = f"{BETA}aws-load-balancer-type"
AWS_TARGET_TYPE = f"{BETA}aws-load-balancer-nlb-target-type"
AWS_PRESERVES = Switch(f"{BETA}aws-load-balancer-target-group-attributes", "preserve_client_ip.enabled")
AWS_PROBE_PORT = f"{BETA}aws-load-balancer-healthcheck-port"
AWS_IP_TYPE = f"{BETA}aws-load-balancer-ip-address-type"
AWS_TCP_UDP = f"{BETA}aws-load-balancer-enable-tcp-udp-listener"
AWS_QUIC = f"{BETA}aws-load-balancer-quic-enabled-ports"
ALB_TARGET_TYPE = "alb.ingress.kubernetes.io/target-type"
EKS_AUTO_MODE = "eks.amazonaws.com/nlb"
EKS_AUTO_MODE_ALB = "eks.amazonaws.com/alb"
NLB_CLASSES = ("service.k8s.aws/nlb", EKS_AUTO_MODE)
NLB_DOCS = "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html"
EKS_NLB_DOCS = "https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-nlb.html"
ALB_DOCS = "https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/main/docs/guide/ingress/annotations.md"
#: It supports spec.loadBalancerSourceRanges alone.
AUTO_MODE_RANGES = Variant(
    "EKS Auto Mode", (Condition(classes=(EKS_AUTO_MODE,)),), EKS_NLB_DOCS, {"range_annotations": ()}
)
GKE_NEG = "cloud.google.com/neg"
GKE_FIREWALL_DOCS = "https://cloud.google.com/load-balancing/docs/firewall-rules"
#: Of the form cidr:10.0.0.0/8,ip:192.0.2.1; read where the field is empty: do/loadbalancers.go of the controller.
DIGITALOCEAN_RANGES = f"{BETA}do-loadbalancer-allow-rules"
DIGITALOCEAN_TYPE = f"{BETA}do-loadbalancer-type"
DIGITALOCEAN_DOCS = "https://github.com/digitalocean/digitalocean-cloud-controller-manager/blob/master/docs/controllers/services/annotations.md"
OCI_DOCS = "https://github.com/oracle/oci-cloud-controller-manager/blob/master/docs/load-balancer-annotations.md"
ALIBABA = f"{BETA}alibaba-cloud-loadbalancer-"
ALIBABA_NLB_DOCS = "https://help.aliyun.com/en/slb/network-load-balancer/use-cases/obtain-client-ip-addresses"
IBM_DOCS = "https://cloud.ibm.com/docs/containers?topic=containers-vpc-lbaas"


def also_multi_cluster(*classes: str) -> tuple[str, ...]:
    """Google's GatewayClasses. The form for several clusters has the same sources as the one for a single cluster."""
    return (*classes, *(f"{name}-mc" for name in classes))


# fmt: off
#: The first row whose condition holds is chosen.
ROWS: tuple[LoadBalancerProfile, ...] = (
    LoadBalancerProfile("aws-nlb-ip", "pod", ("UDP", "SCTP"), NLB_DOCS, provider="aws",
        chosen_by=(
            Condition(classes=NLB_CLASSES, annotations={AWS_TARGET_TYPE: ("ip",)}),
            # EKS Auto Mode targets pods by default (EKS_NLB_DOCS).
            Condition(classes=(EKS_AUTO_MODE,), absent_annotations=(AWS_TARGET_TYPE,)),
            Condition(annotations={AWS_TYPE: ("nlb-ip",)}),
            Condition(annotations={AWS_TYPE: ("external", "nlb"), AWS_TARGET_TYPE: ("ip",)}),
        ),
        variants=(AUTO_MODE_RANGES,),
        own_addresses="configured", probes="load-balancer", probe_port_annotation=AWS_PROBE_PORT,
        switch=AWS_PRESERVES, switchable=("TCP",), dualstack_annotation=AWS_IP_TYPE, translates_to_ipv6=True,
        private_link=True, tcp_udp_annotation=AWS_TCP_UDP, quic_ports_annotation=AWS_QUIC,
        range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    LoadBalancerProfile("aws-nlb-instance", "node", ALL, NLB_DOCS, provider="aws",
        chosen_by=(Condition(classes=NLB_CLASSES), Condition(annotations={AWS_TYPE: ("external", "nlb")})),
        variants=(AUTO_MODE_RANGES,),
        own_addresses="configured", probes="load-balancer", probes_when="cluster-or-traffic-port",
        probe_port_annotation=AWS_PROBE_PORT, switch=AWS_PRESERVES, switchable=("TCP",),
        dualstack_annotation=AWS_IP_TYPE, translates_to_ipv6=True, private_link=True,
        tcp_udp_annotation=AWS_TCP_UDP, quic_ports_annotation=AWS_QUIC,
        range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    LoadBalancerProfile("aws-classic", "node", PROXIED,
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/introduction.html",
        provider="aws", default=True, provider_ids=("aws://",),
        chosen_by=(Condition(annotations={f"{BETA}aws-load-balancer-*": ()}),),
        own_addresses="configured", probes="load-balancer", range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    LoadBalancerProfile("aws-alb", "node", PROXIED, ALB_DOCS, provider="aws",
        ingress_classes=("alb",),
        ingress_controllers=("ingress.k8s.aws/alb", EKS_AUTO_MODE_ALB, "gateway.k8s.aws/alb"),
        variants=(Variant("Target type ip", (
            Condition(annotations={ALB_TARGET_TYPE: ("ip",)}),
            # EKS Auto Mode targets pods by default.
            Condition(classes=(EKS_AUTO_MODE_ALB,), absent_annotations=(ALB_TARGET_TYPE,)),
        ), "https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-alb.html", {"delivery": "pod"}),),
        own_addresses="configured", probes="load-balancer",
        probe_port_annotation="alb.ingress.kubernetes.io/healthcheck-port", enforces_ranges=True),
    LoadBalancerProfile("gke-passthrough", "node", ALL,
        "https://cloud.google.com/kubernetes-engine/docs/concepts/service-load-balancer",
        provider="gce", default=True, provider_ids=("gce://",), cloud_dns=True,
        chosen_by=(
            Condition(classes=(
                "networking.gke.io/l4-regional-internal",
                "networking.gke.io/l4-regional-external",
                "networking.gke.io/l4-regional-internal-legacy",
                "networking.gke.io/l4-regional-external-legacy",
                "networking.gke.io/standalone-passthrough-lb-neg",
            )),
            Condition(annotations={"networking.gke.io/load-balancer-type": ()}),
            Condition(annotations={"cloud.google.com/load-balancer-type": ()}),
        ),
        range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    LoadBalancerProfile("gke-neg", "pod", PROXIED, GKE_FIREWALL_DOCS, provider="gce",
        ingress_classes=("gce", *also_multi_cluster("gke-l7-global-external-managed", "gke-l7-gxlb")),
        default_ingress=True,
        variants=(Variant("Backends without a NEG", (Condition(kind="Ingress", absent_annotations=(GKE_NEG,)),),
            "https://cloud.google.com/kubernetes-engine/docs/concepts/container-native-load-balancing",
            becomes="gke-instance-group"),),
        own_addresses=GOOGLE_FRONT_ENDS, probes=GOOGLE_FRONT_ENDS, enforces_ranges=True),
    LoadBalancerProfile("gke-instance-group", "node", PROXIED, GKE_FIREWALL_DOCS, provider="gce",
        own_addresses=GOOGLE_FRONT_ENDS[:2], probes=GOOGLE_FRONT_ENDS[:2], enforces_ranges=True),
    LoadBalancerProfile("gke-envoy", "pod", PROXIED,
        "https://cloud.google.com/load-balancing/docs/proxy-only-subnets", provider="gce",
        ingress_classes=("gce-internal", "gce-regional-external", *also_multi_cluster(
            "gke-l7-rilb", "gke-l7-regional-external-managed", "gke-l7-cross-regional-internal-managed")),
        own_addresses="configured", probes=GOOGLE_FRONT_ENDS, enforces_ranges=True),
    LoadBalancerProfile("azure", "node", ALL,
        "https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16",
        provider="azure", default=True, provider_ids=("azure://",),
        chosen_by=(Condition(annotations={f"{BETA}azure-*": ()}),),
        probes=(network("168.63.129.16/32"),), probes_when="cluster", enforces_ranges=True, range_conflict=True,
        range_annotations=(f"{BETA}azure-allowed-ip-ranges", SOURCE_RANGES),
        tag_annotations=(f"{BETA}azure-allowed-service-tags",)),
    LoadBalancerProfile("digitalocean", "node", PROXIED, DIGITALOCEAN_DOCS,
        provider="digitalocean", default=True, provider_ids=("digitalocean://",),
        chosen_by=(Condition(annotations={f"{BETA}do-loadbalancer-*": ()}),),
        variants=(Variant("REGIONAL_NETWORK", (
            Condition(annotations={DIGITALOCEAN_TYPE: ("regional_network",)}),
            Condition(absent_annotations=(DIGITALOCEAN_TYPE,), since=(1, 33)),
        ), DIGITALOCEAN_DOCS, {"preserved": ALL, "own_addresses": "none"}),),
        own_addresses="configured", range_annotations=(DIGITALOCEAN_RANGES,), enforces_ranges=True),
    LoadBalancerProfile("hetzner", "node", PROXIED,
        "https://github.com/hetznercloud/hcloud-cloud-controller-manager/blob/main/internal/annotation/load_balancer.go",
        provider="hetzner", default=True, provider_ids=("hcloud://", "hrobot://"),
        chosen_by=(Condition(annotations={"load-balancer.hetzner.cloud/*": ()}),),
        own_addresses="published", probes="load-balancer",
        private_annotation="load-balancer.hetzner.cloud/use-private-ip"),
    LoadBalancerProfile("oci-nlb", "node", ALL, OCI_DOCS, provider="oci",
        chosen_by=(
            Condition(annotations={"oci.oraclecloud.com/load-balancer-type": ("nlb",)}),
            Condition(annotations={"oci-network-load-balancer.oraclecloud.com/*": ()}),
        ),
        own_addresses="configured", preserved_with="Local",
        switch=Switch("oci-network-load-balancer.oraclecloud.com/is-preserve-source"), switchable=ALL,
        range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    LoadBalancerProfile("oci-lb", "node", PROXIED, OCI_DOCS,
        provider="oci", default=True, provider_ids=("oci://", "ocid1."),
        chosen_by=(Condition(annotations={"oci.oraclecloud.com/*": ()}),),
        own_addresses="configured", range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    LoadBalancerProfile("alibaba-eni", "pod", ALL,
        "https://www.alibabacloud.com/help/en/slb/classic-load-balancer/user-guide/health-check-overview/",
        provider="alibaba",
        chosen_by=(Condition(annotations={f"{BETA}backend-type": ("eni",)}),),
        probes=ALIBABA_PROBES),
    LoadBalancerProfile("alibaba-nlb", "pod", ALL, ALIBABA_NLB_DOCS, provider="alibaba",
        chosen_by=(Condition(classes=("alibabacloud.com/nlb",)),),
        variants=(Variant("TCPSSL or an IP-type server group", (
            Condition(annotations={f"{ALIBABA}server-group-type": ("ip",)}),
            Condition(annotations={f"{ALIBABA}protocol-port": ("tcpssl*",)}),
        ), ALIBABA_NLB_DOCS, {"preserved": PROXIED, "switch": None}),),
        own_addresses="configured", probes=ALIBABA_PROBES, probed_from_own_addresses=True,
        switch=Switch(f"{ALIBABA}preserve-client-ip"), switchable=("TCP", "UDP"),
        dualstack_annotation=f"{ALIBABA}ip-version", enforces_ranges=True),
    LoadBalancerProfile("alibaba-clb", "node", ALL,
        "https://github.com/kubernetes/cloud-provider-alibaba-cloud/blob/master/pkg/controller/service/clbv1/listeners.go",
        # Alibaba's own providerIDs have no scheme: cn-hangzhou.i-bp1…
        provider="alibaba", default=True, provider_ids=("alicloud://",), provider_id_pattern=r"[a-z]{2}-[a-z]+(-\d+)?\.i-",
        chosen_by=(
            Condition(annotations={f"{ALIBABA}*": ()}),
            Condition(annotations={f"{BETA}alicloud-loadbalancer-*": ()}),
        ),
        probes=ALIBABA_PROBES),
    LoadBalancerProfile("octavia-ovn", "node", ALL,
        "https://docs.openstack.org/ovn-octavia-provider/latest/admin/driver.html", provider="openstack",
        chosen_by=(Condition(annotations={"loadbalancer.openstack.org/class": ("ovn",)}),),
        range_annotations=(SOURCE_RANGES,)),
    LoadBalancerProfile("octavia-amphora", "node", PROXIED,
        "https://github.com/kubernetes/cloud-provider-openstack/blob/master/docs/openstack-cloud-controller-manager/expose-applications-using-loadbalancer-type-service.md",
        provider="openstack", default=True, provider_ids=("openstack://",),
        chosen_by=(Condition(annotations={"loadbalancer.openstack.org/*": ()}),),
        own_addresses="configured", range_annotations=(SOURCE_RANGES,), enforces_ranges=True),
    LoadBalancerProfile("ibm-nlb", "node", ALL, IBM_DOCS, provider="ibm",
        chosen_by=(Condition(annotations={
            "service.kubernetes.io/ibm-load-balancer-cloud-provider-enable-features": ("nlb", "ipvs")}),),
        own_addresses="configured", preserved_with="Local"),
    LoadBalancerProfile("ibm-alb", "node", PROXIED, IBM_DOCS,
        provider="ibm", default=True, provider_ids=("ibm://",),
        chosen_by=(Condition(annotations={"service.kubernetes.io/ibm-load-balancer-*": ()}),),
        own_addresses="configured"),
    LoadBalancerProfile("k3s", "node", ALL, "https://docs.k3s.io/networking/networking-services#service-load-balancer",
        provider="k3s", default=True, provider_ids=("k3s://",),
        range_annotations=(SOURCE_RANGES,), enforces_ranges=True,
        # https://github.com/k3s-io/k3s/blob/master/pkg/cloudprovider/servicelb.go
        proxy_pods=ProxyPods("ServiceLB", "kube-system",
            "svccontroller.k3s.cattle.io/svcname", "svccontroller.k3s.cattle.io/svcnamespace")),
    LoadBalancerProfile("cilium", "node", ALL,
        "https://docs.cilium.io/en/stable/network/bgp-control-plane/bgp-control-plane-v2/",
        provider="cilium", default=True,
        chosen_by=(
            # The last is Node IPAM, which publishes nodes' addresses: https://docs.cilium.io/en/stable/network/node-ipam/
            Condition(classes=("io.cilium/bgp-control-plane", "io.cilium/l2-announcer", "io.cilium/node")),
            Condition(annotations={"io.cilium/lb-*": ()}),
            Condition(annotations={"lbipam.cilium.io/*": ()}),
        )),
    LoadBalancerProfile("kube-vip", "node", ALL, "https://kube-vip.io/docs/usage/kubernetes-services/",
        provider="kube-vip", default=True,
        chosen_by=(
            Condition(classes=("kube-vip.io/kube-vip-class",)),
            Condition(annotations={"kube-vip.io/*": ()}),
        )),
    LoadBalancerProfile("metallb", "node", ALL, "https://metallb.universe.tf/usage/#traffic-policies",
        provider="metallb", default=True, without_cloud=True,
        chosen_by=(
            Condition(classes=("metallb", "metallb.io/metallb", "metallb.universe.tf/metallb")),
            Condition(annotations={"metallb.io/*": ()}),
            Condition(annotations={"metallb.universe.tf/*": ()}),
        )),
)
# fmt: on

#: An unknown load balancer is assumed to proxy: then only nodes and what is configured are admitted, never a guess.
UNKNOWN = LoadBalancerProfile(
    "unknown", "node", PROXIED, "https://kubernetes.io/docs/tutorials/services/source-ip/", own_addresses="configured"
)
#: A node port, an external address or a host port: kube-proxy forwards, and no load balancer probes or filters.
NO_LOAD_BALANCER = LoadBalancerProfile("none", "node", ALL, "https://kubernetes.io/docs/tutorials/services/source-ip/")
#: How providerIDs begin on platforms that bring no load balancer of their own.
NO_CLOUD_IDS = ("kind://", "vsphere://", "metal3://", "proxmox://", "rke2://", "minikube://", "moref://")

#: By the names that loadBalancer.profile of a policy may have.
LOAD_BALANCERS: dict[str, LoadBalancerProfile] = {row.slug: row for row in ROWS}
#: What network.provider of the configuration may be.
PROVIDER_NAMES = ("auto", *dict.fromkeys(row.provider for row in ROWS if row.provider))
#: The row of a Service that says nothing, by provider.
DEFAULTS: dict[str, LoadBalancerProfile] = {row.provider: row for row in ROWS if row.default}
WITHOUT_CLOUD = next(row for row in ROWS if row.without_cloud)
CLOUD_DNS_PROVIDERS = frozenset(row.provider for row in ROWS if row.cloud_dns)
#: Load balancers of Ingresses and Gateways that have no pods in the cluster.
BY_INGRESS_CLASS = {name: row for row in ROWS for name in row.ingress_classes}
BY_INGRESS_CONTROLLER = {name: row for row in ROWS for name in row.ingress_controllers}
DEFAULT_INGRESSES = {row.provider: row for row in ROWS if row.default_ingress}
#: Annotations by which some controller takes source ranges. A controller whose row does not name one does not read it.
RANGE_ANNOTATIONS = tuple(dict.fromkeys(key for row in ROWS for key in row.range_annotations))
#: What the annotations begin with that are kept of Services, Ingresses and Gateways.
ANNOTATION_MARKS = annotation_marks(
    (*ROWS, *(replace(row, **variant.changes) for row in ROWS for variant in row.variants))
)
