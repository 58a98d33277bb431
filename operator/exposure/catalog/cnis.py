"""CNIs, one row for each: how it is detected, where it filters relative to SNAT, what its nodes SNAT to, its quirks.

To add one: a row in `ROWS` with its source, and a scenario. All else follows from the rows: the names that network.cni
takes, the node annotations that parsing keeps, the namespaces in which agents are looked for, and the reference page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from exposure.catalog.annotations import annotation_marks
from exposure.model.exposures import Position

NamedPorts: TypeAlias = Literal["by-name", "by-number"]
PodRangeUse: TypeAlias = Literal["own", "shared", "matched-by-identity"]
PodCIDRs: TypeAlias = Literal["always", "until-one-lies-outside", "once-one-lies-inside"]


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """How a CNI is detected: by one of three kinds of marks.

    `node_annotation`: the beginning of a Node's annotation; one that ends in `/` is a domain, and its subdomains count.
    `agent_label`: the value of a label that names the agent's pods. `ip_pools`: Calico's IPPools exist.
    """

    node_annotation: str = ""
    agent_label: str = ""
    ip_pools: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CNIProfile:
    """Where a CNI filters, what its nodes SNAT to, and where it differs from Kubernetes' documentation.

    `marks`: how it is detected. `enforced_on`: providers that enforce policies with it beside whatever network runs.
    `agent_namespaces`: where it installs its agents, beside kube-*.

    The addresses that nodes use when they SNAT:
    `internal_ips`: the InternalIPs. `snat_annotations`: node annotations that hold addresses; `snat_fallback`: what
    stands for those of a family that no node shows. `pod_cidr_hosts`: the n-th address of each of a node's podCIDRs;
    `pod_cidr_hosts_beside_flannel`: those that flannel adds where it runs beside this CNI.

    Quirks, each with its source in `quirk_sources`, by the name of the field:
    `named_ports`: whether a named port is trusted to mean each pod's own number. `pod_ranges`: `own` ranges can be
    excluded from wider blocks; `shared` ones hold load balancers or clients as well; `matched-by-identity` means that
    ipBlocks match neither pods nor nodes. `pod_cidrs`: when the nodes' podCIDRs hold all pods. `enforces`,
    `enforces_cluster_policy`: whether it filters at all, and what arrives with externalTrafficPolicy Cluster.
    `own_node_bypass`: it always admits the pod's own node. `egress_sees_cluster_ips`: it filters egress before DNAT.
    `known`: False for the row that stands for CNIs that are not recognized.
    """

    slug: str
    position: Position
    source: str
    marks: tuple[Mark, ...] = ()
    enforced_on: tuple[str, ...] = ()
    agent_namespaces: tuple[str, ...] = ()
    internal_ips: bool = True
    snat_annotations: tuple[str, ...] = ()
    snat_fallback: tuple[str, ...] = ()
    pod_cidr_hosts: tuple[int, ...] = ()
    pod_cidr_hosts_beside_flannel: tuple[int, ...] = ()
    named_ports: NamedPorts = "by-name"
    pod_ranges: PodRangeUse = "own"
    pod_cidrs: PodCIDRs = "always"
    enforces: bool = True
    enforces_cluster_policy: bool = True
    own_node_bypass: bool = False
    egress_sees_cluster_ips: bool = False
    quirk_sources: Mapping[str, str] = field(default_factory=dict)
    known: bool = True


#: Flannel masquerades with its own address, the .0 of the node's podCIDR, also beside a policy engine (Canal).
FLANNEL = "flannel."
FLANNEL_DOCS = "https://github.com/flannel-io/flannel/blob/master/pkg/backend/vxlan/vxlan.go"
CALICO_ANNOTATIONS = (
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
)
#: Its own IPAM takes addresses from IPPools; host-local IPAM under Calico takes them from the nodes' podCIDRs.
CALICO_IPAM = "https://docs.tigera.io/calico/latest/reference/configure-cni-plugins"
CILIUM_DOCS = "https://docs.cilium.io/en/stable/network/kubernetes/policy/"
CILIUM_QUIRKS = {"named_ports": "https://github.com/cilium/cilium/issues/30003", "pod_ranges": CILIUM_DOCS}
NETWORK_POLICIES = "https://kubernetes.io/docs/concepts/services-networking/network-policies/#prerequisites"

# fmt: off
#: The first row that shows itself is the CNI: a policy engine beside another network stands before it.
ROWS: tuple[CNIProfile, ...] = (
    CNIProfile("cilium", "identity-snat", CILIUM_DOCS,
        marks=(Mark(node_annotation="cilium.io/"), Mark(agent_label="cilium")),
        agent_namespaces=("cilium", "cilium-system"),
        named_ports="by-number", pod_ranges="matched-by-identity", quirk_sources=CILIUM_QUIRKS),
    CNIProfile("cilium-kube-proxy", "identity-snat", CILIUM_DOCS,
        named_ports="by-number", pod_ranges="matched-by-identity", quirk_sources=CILIUM_QUIRKS),
    CNIProfile("cilium-dsr", "identity-dsr",
        "https://docs.cilium.io/en/stable/network/kubernetes/kubeproxy-free/#direct-server-return-dsr",
        named_ports="by-number", pod_ranges="matched-by-identity", quirk_sources=CILIUM_QUIRKS),
    CNIProfile("ovn-kubernetes", "post",
        "https://github.com/ovn-kubernetes/ovn-kubernetes/blob/master/go-controller/pkg/util/node_annotations.go",
        marks=(Mark(node_annotation="k8s.ovn.org/"),),
        internal_ips=False,
        snat_annotations=("k8s.ovn.org/node-gateway-router-lrp-ifaddr", "k8s.ovn.org/node-gateway-router-lrp-ifaddrs"),
        snat_fallback=("100.64.0.0/16", "fd98::/64"),
        named_ports="by-number",
        quirk_sources={"named_ports": "https://github.com/ovn-kubernetes/ovn-kubernetes/issues/2117"}),
    CNIProfile("antrea", "pre", "https://antrea.io/docs/main/docs/design/architecture/",
        marks=(Mark(node_annotation="node.antrea.io/"), Mark(agent_label="antrea"), Mark(agent_label="antrea-agent")),
        pod_cidr_hosts=(1,)),
    CNIProfile("azure-npm", "unknown", "https://learn.microsoft.com/azure/virtual-network/kubernetes-network-policies",
        marks=(Mark(agent_label="azure-npm"),),
        enforces_cluster_policy=False, pod_cidrs="until-one-lies-outside",
        quirk_sources={
            "enforces_cluster_policy": "https://learn.microsoft.com/azure/virtual-network/kubernetes-network-policies",
            # Without overlay, pods have addresses of the virtual network.
            "pod_cidrs": "https://learn.microsoft.com/azure/aks/configure-azure-cni",
        }),
    CNIProfile("calico", "pre",
        "https://github.com/projectcalico/calico/blob/master/libcalico-go/lib/backend/k8s/resources/node.go",
        marks=(
            Mark(node_annotation="projectcalico.org/"),
            Mark(agent_label="calico-node"),
            Mark(agent_label="canal"),
            Mark(ip_pools=True),
        ),
        agent_namespaces=("calico-system",),
        snat_annotations=CALICO_ANNOTATIONS, pod_cidr_hosts_beside_flannel=(0,), pod_cidrs="once-one-lies-inside",
        quirk_sources={"pod_cidr_hosts_beside_flannel": FLANNEL_DOCS, "pod_cidrs": CALICO_IPAM}),
    CNIProfile("calico-ebpf", "preserving", "https://docs.tigera.io/calico/latest/operations/ebpf/use-cases-ebpf",
        snat_annotations=CALICO_ANNOTATIONS, pod_cidrs="once-one-lies-inside",
        quirk_sources={"pod_cidrs": CALICO_IPAM}),
    CNIProfile("kube-router", "pre", FLANNEL_DOCS,
        marks=(
            Mark(node_annotation="kube-router.io/"),
            Mark(agent_label="kube-router"),
            Mark(node_annotation="k3s.io/"),
        ),
        # k3s enforces policies with a kube-router of its own, inside its binary, beside flannel.
        enforced_on=("k3s",),
        pod_cidr_hosts=(0,),
        quirk_sources={"enforced_on": "https://docs.k3s.io/networking/networking-services#network-policy-controller"}),
    CNIProfile("aws-vpc-cni", "post", "https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html",
        marks=(Mark(agent_label="aws-node"),),
        pod_ranges="shared", own_node_bypass=True, egress_sees_cluster_ips=True,
        quirk_sources={
            "pod_ranges": "https://docs.aws.amazon.com/eks/latest/userguide/managing-vpc-cni.html",
            "own_node_bypass": "https://github.com/aws/aws-network-policy-agent/blob/main/pkg/fwruleprocessor/fw_rule_processor.go",
            "egress_sees_cluster_ips": "https://github.com/aws/amazon-network-policy-controller-k8s/issues/222",
        }),
    CNIProfile("none", "unknown", NETWORK_POLICIES,
        marks=(Mark(node_annotation=FLANNEL), Mark(agent_label="flannel")),
        agent_namespaces=("kube-flannel",),
        enforces=False, quirk_sources={"enforces": NETWORK_POLICIES}),
)
# fmt: on
#: Which CNI runs is not known: the widest safe reading of the decision table holds.
UNKNOWN = CNIProfile("unknown", "unknown", NETWORK_POLICIES, known=False)

CNIS: dict[str, CNIProfile] = {row.slug: row for row in (*ROWS, UNKNOWN)}
#: What network.cni of the configuration may be.
CNI_NAMES = ("auto", *(row.slug for row in ROWS))
AGENT_NAMESPACES = frozenset(namespace for row in ROWS for namespace in row.agent_namespaces)
#: What the annotations begin with that are kept of Nodes.
NODE_ANNOTATION_MARKS = annotation_marks(ROWS)
#: The row that enforces policies on a provider's clusters, beside any network that enforces none itself.
ENFORCED_ON: dict[str, CNIProfile] = {provider: row for row in ROWS for provider in row.enforced_on}
