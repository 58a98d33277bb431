"""The component configuration file: what cannot be detected, said once."""

from exposure.parse.fields import BadField, Raw, integer
from exposure.parse.policies import flag_at, networks_at, object_at, texts_at
from exposure.values.config import Config

PROVIDERS = tuple(
    "auto aws gce azure metallb k3s digitalocean hetzner oci alibaba openstack ibm kube-vip cilium".split()
)
CNIS = tuple(
    "auto calico calico-ebpf kube-router aws-vpc-cni azure-npm cilium cilium-kube-proxy cilium-dsr ovn-kubernetes "
    "antrea none".split()
)
KNOWN = {
    "": ("network", "systemNamespaces"),
    "network": (
        "provider",
        "cni",
        "podCIDRs",
        "nodeCIDRs",
        "nodeAddressLimit",
        "loadBalancerCIDRs",
        "cloudDNS",
    ),
}


def config(raw: object, operator_namespace: str = Config().operator_namespace) -> Config:
    """The configuration that a YAML document says; BadField where a field is unknown or cannot be meant."""
    whole = object_at({"config": raw}, "config", "")
    _only_known(whole, "")
    network = object_at(whole, "network", "")
    _only_known(network, "network")
    limit = integer(network, "nodeAddressLimit", Config().node_address_limit)
    if limit < 1:
        raise BadField("network.nodeAddressLimit", f"{limit} is no number of peers; write 1 or more")
    system = texts_at(whole, "systemNamespaces", "") if "systemNamespaces" in whole else Config().system_namespaces
    return Config(
        provider=_slug(network, "provider", PROVIDERS),
        cni=_slug(network, "cni", CNIS),
        pod_cidrs=networks_at(network, "podCIDRs", "network"),
        node_cidrs=networks_at(network, "nodeCIDRs", "network"),
        node_address_limit=limit,
        load_balancer_cidrs=networks_at(network, "loadBalancerCIDRs", "network"),
        cloud_dns=flag_at(network, "cloudDNS", "network"),
        system_namespaces=system,
        operator_namespace=operator_namespace,
    )


def _slug(raw: Raw, key: str, allowed: tuple[str, ...]) -> str | None:
    found = raw.get(key)
    if found is None or found == "auto":
        return None
    if found not in allowed:
        raise BadField(f"network.{key}", f"{found!r} is none of {', '.join(allowed)}")
    return str(found)


def _only_known(raw: Raw, at: str) -> None:
    for key in raw:
        if key not in KNOWN[at]:
            raise BadField(f"{at}.{key}".strip("."), f"is unknown; known here: {', '.join(KNOWN[at])}")
