"""Addresses that egress rules must know: metadata services, DNS, each with its source."""

from ipaddress import IPv4Network, IPv6Network

from exposure.addresses import Network

#: Blocked in every range that strictly contains them; reachable only when asked for by name.
METADATA: dict[Network, str] = {
    IPv4Network(
        "169.254.169.254/32"
    ): "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html",
    IPv6Network(
        "fd00:ec2::254/128"
    ): "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html",
    IPv4Network("169.254.170.2/32"): "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html",
    IPv4Network("169.254.170.23/32"): "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html",
    IPv6Network("fd00:ec2::23/128"): "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html",
    IPv4Network("100.100.100.200/32"): "https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata",
    IPv6Network("fd20:ce::254/128"): "https://cloud.google.com/compute/docs/metadata/querying-metadata",
}

DNS_PORT = 53
#: The cluster's DNS Service, by distribution: the first that exists is used.
DNS_SERVICES = (("kube-system", "kube-dns"), ("openshift-dns", "dns-default"))
#: What its pods listen on, where their port has a name and no number is known for it.
DNS_TARGETS = {"kube-system": 53, "openshift-dns": 5353}
#: What every kubeadm-like cluster runs, where the DNS Service itself has not been seen.
DNS_CONVENTION = ("kube-system", (("k8s-app", "kube-dns"),))
#: https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/
NODE_LOCAL_DNS_LABEL = "node-local-dns"
NODE_LOCAL_DNS: Network = IPv4Network("169.254.20.10/32")
#: https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-dns
CLOUD_DNS: Network = IPv4Network("169.254.169.254/32")
