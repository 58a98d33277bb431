"""The possible ends of a connection, as far as the given policies distinguish them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exposure.addresses import WHOLE_FAMILY, Block, Network, block, family, inside, sort_key
from exposure.grouping import grouped
from exposure.labels import NAMESPACE_LABEL, LabelSelector, Pairs, pairs
from exposure.model.connection_ends import address_blocks, addresses_end, pods_end
from exposure.model.objects import Namespace, Pod
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.evaluate import Evaluator
from exposure.networkpolicy.matching import ConnectionEnd, Match, peer_matches
from exposure.networkpolicy.values import Peer

#: Labels that distinguish replicas, not workloads.
REPLICA_LABELS = (
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
)


@dataclass(frozen=True, slots=True, eq=False)
class Party:
    """A workload, with the NetworkPolicies of its namespace if it has any; the nodes; or the addresses of a network."""

    text: str
    end: ConnectionEnd
    policies: Evaluator | None = None
    network: Network | None = None
    single: bool = False

    @property
    def short(self) -> str:
        """Its name for a reader who knows the namespace."""
        return self.text.removeprefix("pods ").removesuffix(f" in namespace {self.end.namespace}")


def parties_of(
    snapshot: Snapshot, namespace: str, pod_selectors: Iterable[LabelSelector], peers: Sequence[Peer], pods: bool
) -> tuple[tuple[Party, ...], tuple[Party, ...]]:
    """The workloads of the namespace, and those of other namespaces as far as a peer distinguishes them."""
    home = snapshot.namespaces.get(namespace) or Namespace(namespace, ((NAMESPACE_LABEL, namespace),))
    services = (service for _, service in sorted(snapshot.services.get(namespace, {}).items()))
    selectors = [service.pod_selector for service in services if service.pod_selector]
    own = _workloads(snapshot, home, [*selectors, *pod_selectors, *_selectors_for(home, peers, namespace)], peers, pods)
    others = (
        party
        for name, other in sorted(snapshot.namespaces.items())
        if name != namespace
        for party in _workloads(snapshot, other, _selectors_for(other, peers, namespace), peers, pods)
    )

    def distinction(party: Party) -> tuple[object, ...]:
        matches = (peer_matches(peer, namespace, party.end) is Match.YES for peer in peers)
        return (*matches, party.text if party.policies else "")

    alike = grouped((distinction(party), party) for party in others)
    return own, tuple(map(_together, alike.values()))


def _selectors_for(there: Namespace, peers: Iterable[Peer], policies_in: str) -> list[LabelSelector]:
    """The podSelectors of those peers of policies in one namespace that may match pods of another, or the same."""
    return [
        peer.pods
        for peer in peers
        if peer.pods is not None
        and (there.name == policies_in if peer.namespaces is None else peer.namespaces.matches(there.labels))
    ]


def _workloads(
    snapshot: Snapshot, home: Namespace, telling: Iterable[LabelSelector], peers: Sequence[Peer], pods: bool
) -> tuple[Party, ...]:
    """Pods of one namespace, grouped where nothing distinguishes them, and each selector that selects no pod."""
    selectors = list(dict.fromkeys(selector for selector in telling if not selector.empty))
    policies = [policy for _, policy in sorted(snapshot.network_policies.get(home.name, {}).items())]
    blocks = [peer for peer in peers if peer.block is not None]
    known = [pod for _, pod in sorted(snapshot.pods.get(home.name, {}).items())] if pods else []
    alive = [pod for pod in known if not pod.finished and not pod.host_network]
    groups: dict[object, list[Pod]] = {}
    selected: set[LabelSelector] = set()
    for pod in alive:
        naming = tuple(selector for selector in selectors if selector.matches(pod.labels))
        selected.update(naming)
        end = pods_end([pod], home, pod.labels)
        matches = tuple(peer_matches(peer, home.name, end) is Match.YES for peer in blocks)
        restricting = tuple(policy.name for policy in policies if policy.spec.pod_selector.matches(pod.labels))
        groups.setdefault((naming, matches, restricting), []).append(pod)
    evaluator = Evaluator(policies) if policies else None

    def party(text: str, labels: Pairs, pods: Sequence[Pod] = ()) -> Party:
        end = pods_end(pods, home, labels)
        return Party(f"{text} in namespace {home.name}", end, evaluator, single=len(pods) == 1)

    parties = [party(_group_text(group, selectors), group[0].labels, group) for group in groups.values()]
    parties += [party(f"pods {selector}", _sample(selector)) for selector in selectors if selector not in selected]
    if not alive:
        parties.append(party("other pods" if selectors else "pods", ()))
    return tuple(parties)


def _group_text(pods: Sequence[Pod], selectors: Iterable[LabelSelector]) -> str:
    """A name for the pods: the most precise selector, else the labels that they share, else their number."""
    naming = [selector for selector in selectors if selector.matches(pods[0].labels)]
    if naming:
        return f"pods {max(naming, key=lambda selector: len(selector.labels))}"
    common = set(pods[0].labels).intersection(*(pod.labels for pod in pods))
    shown = tuple(sorted((key, value) for key, value in common if key not in REPLICA_LABELS))
    if shown:
        return f"pods {LabelSelector(shown)}"
    return f"pod {pods[0].name}" if len(pods) == 1 else f"{len(pods)} pods"


def _sample(selector: LabelSelector) -> Pairs:
    """The labels of a pod as a selector names it, with none beyond."""
    labels = dict(selector.labels)
    for requirement in selector.requirements:
        if requirement.operator in ("In", "Exists"):
            labels.setdefault(requirement.key, requirement.values[0] if requirement.values else "")
    return pairs(labels)


def _together(parties: Sequence[Party]) -> Party:
    """Workloads of other namespaces that no peer distinguishes, as one party."""
    first = parties[0]
    if len(parties) == 1:
        return first
    homes = sorted({str(party.end.namespace) for party in parties})
    more = f" and {len(homes) - 3} more" if len(homes) > 3 else ""
    text = f"{len(parties)} workloads in namespace{'s' if len(homes) > 1 else ''} {', '.join(homes[:3])}{more}"
    return Party(text, first.end, first.policies)


def ranges_of(snapshot: Snapshot, ip_blocks: Iterable[Block]) -> tuple[Party, ...]:
    """The nodes, and each network that a block names, without the narrower ones; IPv6 only where some block is."""
    networks: set[Network] = {WHOLE_FAMILY["IPv4"]}
    for ip_block in ip_blocks:
        networks |= {WHOLE_FAMILY[family(ip_block.cidr)], ip_block.cidr, *ip_block.excepts}
    nodes = address_blocks(ip for _, node in sorted(snapshot.nodes.items()) for ip in node.internal_ips)
    ranges = [
        Party(str(network), addresses_end([rest]), network=network)
        for network, inner in _nested(networks).items()
        if (rest := block(network, inner)) is not None
    ]
    return (*([Party("the nodes", addresses_end(nodes))] if nodes else []), *ranges)


def _nested(networks: Iterable[Network]) -> dict[Network, list[Network]]:
    """The networks, sorted, each with those directly inside it."""
    nested: dict[Network, list[Network]] = {}
    around: list[Network] = []
    for network in sorted(networks, key=sort_key):
        while around and not inside(network, around[-1]):
            around.pop()
        if around:
            nested[around[-1]].append(network)
        nested[network] = []
        around.append(network)
    return nested


def ranges_text(chosen: Iterable[Party], every: Iterable[Party]) -> tuple[str, ...]:
    """The chosen ranges in few words: a wide one but the narrower ones in it that are not chosen."""
    here = {party.network for party in chosen if party.network is not None}
    nested = _nested(party.network for party in every if party.network is not None)
    inside_chosen = {inner for network in here for inner in nested[network]}

    def left_out(network: Network) -> list[Network]:
        return [out for inner in nested[network] for out in (left_out(inner) if inner in here else [inner])]

    texts = []
    for network in sorted(here - inside_chosen, key=sort_key):
        name = f"any {family(network)} address" if network.prefixlen == 0 else str(network)
        out = ", ".join(map(str, left_out(network)))
        texts.append(f"{name} but {out}" if out else name)
    # Ranges with exceptions come last, so that the next range does not look like one more exception.
    return tuple(sorted(texts, key=lambda text: " but " in text))
