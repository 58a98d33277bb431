"""CNIs: where each filters relative to SNAT, which addresses its nodes SNAT to, and what it gets wrong.

One row a CNI. To add one: a row here with its source, a way to recognise it in `DETECTION`, and a scenario.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from exposure.model.exposures import Position

#: What nodes SNAT to, beyond InternalIPs: addresses in node annotations, or the n-th address of each podCIDR.
NamedPorts: TypeAlias = Literal["by-name", "by-number"]
PodRanges: TypeAlias = Literal["own", "shared", "matched-by-identity"]


@dataclass(frozen=True, slots=True)
class Cni:
    """`internal_ips`: N holds the nodes' InternalIPs. `pod_cidr_hosts`: which address of each podCIDR is the node's.

    `pod_ranges`: `own` ranges can be carved; `shared` ones hold load balancers or clients too; `matched-by-identity`
    means that ipBlocks never match pods at all.
    """

    slug: str
    position: Position
    internal_ips: bool = True
    node_annotations: tuple[str, ...] = ()
    annotation_fallback: tuple[str, ...] = ()
    pod_cidr_hosts: tuple[int, ...] = ()
    named_ports: NamedPorts = "by-name"
    pod_ranges: PodRanges = "own"
    enforces: bool = True
    enforces_cluster_policy: bool = True
    own_node_bypass: bool = False
    source: str = ""


CALICO_ANNOTATIONS = (
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
)

CNIS: dict[str, Cni] = {
    cni.slug: cni
    for cni in (
        Cni(
            "calico",
            "pre",
            node_annotations=CALICO_ANNOTATIONS,
            source="https://github.com/projectcalico/calico/blob/master/libcalico-go/lib/backend/k8s/resources/node.go",
        ),
        Cni(
            "calico-ebpf",
            "preserving",
            node_annotations=CALICO_ANNOTATIONS,
            source="https://docs.tigera.io/calico/latest/operations/ebpf/use-cases-ebpf",
        ),
        Cni(
            "kube-router",
            "pre",
            pod_cidr_hosts=(0,),
            source="https://github.com/flannel-io/flannel/blob/master/pkg/backend/vxlan/vxlan.go",
        ),
        Cni(
            "aws-vpc-cni",
            "post",
            pod_ranges="shared",
            own_node_bypass=True,
            source="https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html",
        ),
        Cni(
            "azure-npm",
            "unknown",
            enforces_cluster_policy=False,
            source="https://learn.microsoft.com/azure/virtual-network/kubernetes-network-policies",
        ),
        Cni(
            "cilium",
            "identity-snat",
            named_ports="by-number",
            pod_ranges="matched-by-identity",
            source="https://docs.cilium.io/en/stable/network/kubernetes/policy/",
        ),
        Cni(
            "cilium-kube-proxy",
            "identity-snat",
            named_ports="by-number",
            pod_ranges="matched-by-identity",
            source="https://docs.cilium.io/en/stable/network/kubernetes/policy/",
        ),
        Cni(
            "cilium-dsr",
            "identity-dsr",
            named_ports="by-number",
            pod_ranges="matched-by-identity",
            source="https://docs.cilium.io/en/stable/network/kubernetes/kubeproxy-free/#direct-server-return-dsr",
        ),
        Cni(
            "ovn-kubernetes",
            "post",
            internal_ips=False,
            node_annotations=(
                "k8s.ovn.org/node-gateway-router-lrp-ifaddr",
                "k8s.ovn.org/node-gateway-router-lrp-ifaddrs",
            ),
            annotation_fallback=("100.64.0.0/16", "fd98::/64"),
            named_ports="by-number",
            source="https://github.com/ovn-kubernetes/ovn-kubernetes/blob/master/go-controller/pkg/util/node_annotations.go",
        ),
        Cni(
            "antrea",
            "pre",
            pod_cidr_hosts=(1,),
            source="https://antrea.io/docs/main/docs/design/architecture/",
        ),
        Cni(
            "none",
            "unknown",
            enforces=False,
            source="https://kubernetes.io/docs/concepts/services-networking/network-policies/#prerequisites",
        ),
        Cni(
            "unknown",
            "unknown",
            source="https://kubernetes.io/docs/concepts/services-networking/network-policies/#prerequisites",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Mark:
    """How a CNI shows itself; the first mark that is seen decides. A mark is one of three kinds."""

    slug: str
    node_annotation: str = ""
    agent_label: str = ""
    ip_pools: bool = False


#: Agents are found by the label k8s-app (or app) of their pods. Order matters: a policy engine beside another network wins.
DETECTION: tuple[Mark, ...] = (
    Mark("cilium", node_annotation="cilium.io/"),
    Mark("cilium", agent_label="cilium"),
    Mark("ovn-kubernetes", node_annotation="k8s.ovn.org/"),
    Mark("antrea", node_annotation="node.antrea.io/"),
    Mark("antrea", agent_label="antrea"),
    Mark("antrea", agent_label="antrea-agent"),
    Mark("azure-npm", agent_label="azure-npm"),
    Mark("calico", node_annotation="projectcalico.org/"),
    Mark("calico", agent_label="calico-node"),
    Mark("calico", agent_label="canal"),
    Mark("calico", ip_pools=True),
    Mark("kube-router", node_annotation="kube-router.io/"),
    Mark("kube-router", agent_label="kube-router"),
    Mark("kube-router", node_annotation="k3s.io/"),
    Mark("aws-vpc-cni", agent_label="aws-node"),
    Mark("none", node_annotation="flannel."),
    Mark("none", agent_label="flannel"),
)
