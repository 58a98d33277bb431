"""What the nodes say: which CNI runs, which provider they stand at, and N, the addresses they SNAT to."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from exposure.addresses import Family, Network, collapsed, family, inside, network
from exposure.catalog.choices import ALIBABA_PROVIDER_ID, PROVIDER_IDS
from exposure.catalog.cnis import CNIS, DETECTION, Cni
from exposure.model.objects import Node, Pod
from exposure.model.snapshot import Snapshot
from exposure.resolve.widening import narrowest_cover

#: Flannel beside another policy engine (Canal) still masquerades with its own address, the .0 of the node's podCIDR.
FLANNEL = "flannel."
FLANNEL_HOST = 0
AGENT_LABELS = ("k8s-app", "app", "app.kubernetes.io/name")


def detect_cni(snapshot: Snapshot, provider: str | None) -> Cni:
    """The configured CNI, else the first mark that the cluster bears, else `unknown`."""
    if snapshot.config.cni is not None:
        return CNIS[snapshot.config.cni]
    annotations = {key for node in snapshot.nodes.values() for key, _ in node.annotations}
    agents = {
        value
        for namespace, pods in snapshot.pods.items()
        if is_agent_namespace(namespace)
        for pod in pods.values()
        for value in agent_names(pod)
    }
    for mark in DETECTION:
        annotated = mark.node_annotation and any(_bears(key, mark.node_annotation) for key in annotations)
        if annotated or mark.agent_label in agents or (mark.ip_pools and snapshot.ip_pools):
            # k3s enforces policies with a kube-router of its own, inside its binary, beside flannel.
            return CNIS["kube-router" if mark.slug == "none" and provider == "k3s" else mark.slug]
    return CNIS["kube-router" if provider == "k3s" else "unknown"]


def is_agent_namespace(name: str) -> bool:
    """Where network agents run: system namespaces, and those that carry an agent's name."""
    return name.startswith("kube-") or name in ("calico-system", "cilium", "cilium-system", "kube-flannel")


def agent_names(pod: Pod) -> Iterator[str]:
    return (value for key, value in pod.labels if key in AGENT_LABELS)


def _bears(key: str, mark: str) -> bool:
    return mark in key.split("/")[0] + "/" if mark.endswith("/") else key.startswith(mark)


def detect_provider(snapshot: Snapshot) -> str | None:
    """By the nodes' providerIDs, else as configured; `unknown` for a cloud of which no row is known; None: no cloud."""
    found = {_provider_of(node) for node in snapshot.nodes.values() if node.provider_id}
    clouds = found - {"on-premises"}
    if len(clouds) == 1 and clouds != {"unknown"}:
        return clouds.pop()
    if clouds:
        # A prefix that no row knows chooses nothing, so the next in order is asked; never the on-premises default.
        return snapshot.config.provider or "unknown"
    return snapshot.config.provider


def _provider_of(node: Node) -> str:
    for prefix, provider in PROVIDER_IDS.items():
        if node.provider_id.startswith(prefix):
            return provider
    return "alibaba" if re.match(ALIBABA_PROVIDER_ID, node.provider_id) else "unknown"


def snat_networks(snapshot: Snapshot, cni: Cni) -> tuple[Network, ...]:
    """N in the fewest networks that hold exactly the same addresses."""
    return collapsed(snat_addresses(snapshot, cni))


def snat_addresses(snapshot: Snapshot, cni: Cni) -> list[Network]:
    """N, one by one: configured node CIDRs or InternalIPs, and what tunnels, bridges, gateways, join networks use."""
    nodes = list(snapshot.nodes.values())
    found: list[Network] = []
    if cni.internal_ips:
        found += snapshot.config.node_cidrs or _internal_ips(nodes)
    annotated = list(_annotated(nodes, cni))
    found += annotated
    for fallback in map(network, cni.annotation_fallback):
        if not any(family(each) == family(fallback) for each in annotated):
            found.append(fallback)
    hosts = cni.pod_cidr_hosts
    if cni.slug == "calico" and any(key.startswith(FLANNEL) for node in nodes for key, _ in node.annotations):
        hosts = (*hosts, FLANNEL_HOST)
    for node in nodes:
        for cidr in map(network, node.pod_cidrs):
            found += [network(str(cidr[index])) for index in hosts if index < cidr.num_addresses]
    return found


def among_pods(networks: Iterable[Network], pods: tuple[Network, ...]) -> tuple[Network, ...]:
    """The addresses of N inside pod CIDRs that carving a wider network of N, such as a node CIDR, would cut off."""
    wide = [each for each in networks if each.num_addresses > 1]
    return tuple(
        each
        for each in networks
        if any(each != one and inside(each, one) for one in wide) and any(inside(each, cidr) for cidr in pods)
    )


def _internal_ips(nodes: Iterable[Node]) -> list[Network]:
    return [network(ip) for node in nodes for ip in node.internal_ips if _is_address(ip)]


def _is_address(text: str) -> bool:
    try:
        network(text)
    except ValueError:
        return False
    return True


def _annotated(nodes: Iterable[Node], cni: Cni) -> Iterator[Network]:
    for node in nodes:
        annotations: Mapping[str, str] = dict(node.annotations)
        for key in cni.node_annotations:
            yield from _addresses_in(annotations.get(key, ""))


@lru_cache(maxsize=16384)
def _addresses_in(value: str) -> tuple[Network, ...]:
    """Addresses in an annotation: bare, with a prefix length, or OVN's JSON by family, perhaps under `default`."""
    if value.startswith("{"):
        try:
            parsed = json.loads(value)
        except ValueError:
            return ()
        by_family = parsed.get("default", parsed)
        texts = [each for each in by_family.values() if isinstance(each, str)] if isinstance(by_family, dict) else []
    else:
        texts = [value]
    bare = [text.split("/")[0] for text in texts]
    return tuple(network(text) for text in bare if text and _is_address(text))


def snat_sources(
    networks: tuple[Network, ...], families: Iterable[Family], limit: int, forbidden: tuple[Network, ...]
) -> tuple[tuple[Network, ...], bool]:
    """N of the families that a Service has, and whether it had to be widened to fit the limit of peers."""
    wanted = sorted(set(families))
    by_family = [tuple(each for each in networks if family(each) == one) for one in wanted]
    if sum(map(len, by_family)) <= limit:
        return tuple(each for one in by_family for each in one), False
    share = max(1, limit // len(wanted))
    spare = sum(max(0, share - len(one)) for one in by_family)
    covers = [narrowest_cover(one, share if len(one) <= share else share + spare, forbidden) for one in by_family]
    # Where every prefix that could stand for several crosses a pod CIDR, all of them are kept as they are.
    return tuple(each for one in covers for each in one), covers != by_family
