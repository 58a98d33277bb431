"""Addresses that egress rules must know: metadata services and DNS, each with its source."""

from exposure.addresses import Network, network
from exposure.labels import Pairs

AWS_METADATA = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"
EKS_POD_IDENTITY = "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html"

#: Excluded from every range that strictly contains them: reachable only when asked for by name.
METADATA: dict[Network, str] = {
    network("169.254.169.254/32"): AWS_METADATA,
    network("fd00:ec2::254/128"): AWS_METADATA,
    network("169.254.170.2/32"): "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html",
    network("169.254.170.23/32"): EKS_POD_IDENTITY,
    network("fd00:ec2::23/128"): EKS_POD_IDENTITY,
    network("100.100.100.200/32"): "https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata",
    network("fd20:ce::254/128"): "https://cloud.google.com/compute/docs/metadata/querying-metadata",
}

DNS_PORT = 53
#: The cluster's DNS Service, by distribution: the first that exists is used.
DNS_SERVICES = (("kube-system", "kube-dns"), ("openshift-dns", "dns-default"))
#: What its pods listen on, where their port has a name and no number is known for it.
DNS_TARGETS = {"kube-system": 53, "openshift-dns": 5353}
#: What every kubeadm-like cluster runs, where the DNS Service itself has not been seen.
DNS_CONVENTION: tuple[str, Pairs] = ("kube-system", (("k8s-app", "kube-dns"),))
#: https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/
NODE_LOCAL_DNS_LABEL = "node-local-dns"
NODE_LOCAL_DNS: Network = network("169.254.20.10/32")
#: https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-dns
CLOUD_DNS: Network = network("169.254.169.254/32")
