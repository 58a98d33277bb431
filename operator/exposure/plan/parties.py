"""Who may be at an end of a connection, as far as the policies at hand can tell them apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from exposure.addresses import WHOLE_FAMILY, Address, Block, Network, family, inside, sort_key
from exposure.labels import NAMESPACE_LABEL, Labels, LabelSelector, selecting
from exposure.model.objects import Namespace, Pod
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy, Peer

#: Labels that tell replicas apart, and not workloads.
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
    """A workload (`home` is its namespace), the nodes, or addresses of a network (`net`).

    `addresses` are asked of ipBlocks: all of them have to lie inside one. `numbers` None: named ports are not known.
    """

    text: str
    home: str | None = None
    labels: Labels = field(default_factory=dict)
    home_labels: Labels = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    numbers: frozenset[tuple[str, str, int]] | None = None
    policies: tuple[NetworkPolicy, ...] = ()
    net: Network | None = None
    single: bool = False

    @property
    def short(self) -> str:
        """Its name for whoever knows the namespace."""
        return self.text.removeprefix("pods ").removesuffix(f" in namespace {self.home}")

    def is_named(self, peer: Peer, home: str) -> bool:
        """Whether a peer of a policy in namespace `home` names this party."""
        if peer.block is not None:
            return bool(self.addresses) and all(_holds(peer.block, each) for each in self.addresses)
        if self.home is None:
            return False
        if peer.namespaces is None:
            if self.home != home:
                return False
        elif not peer.namespaces.matches(self.home_labels):
            return False
        return peer.pods is None or peer.pods.matches(self.labels)

    def resolve(self, protocol: str, name: str) -> frozenset[int] | None:
        """The numbers that a port's name stands for here; None: nobody knows."""
        if self.numbers is None:
            return None
        return frozenset(number for p, n, number in self.numbers if (p, n) == (protocol, name))


def _holds(block: Block, each: Address) -> bool:
    return each in block.cidr and not any(each in cut for cut in block.excepts)


def parties_of(
    snapshot: Snapshot, namespace: str, subjects: Iterable[LabelSelector], peers: Sequence[Peer], pods: bool
) -> tuple[tuple[Party, ...], tuple[Party, ...]]:
    """The workloads of the namespace, and those of others as far as any peer tells them apart."""
    services = [s for _, s in sorted(snapshot.services.get(namespace, {}).items()) if s.selector]
    selectors = [selecting(dict(service.selector or ())) for service in services]
    home = snapshot.namespaces.get(namespace) or Namespace(namespace, ((NAMESPACE_LABEL, namespace),))
    here = [p for p in peers if p.namespaces is None or p.namespaces.matches(dict(home.labels))]
    telling = [*selectors, *subjects, *(p.pods for p in here if p.pods is not None)]
    own = _workloads(snapshot, home, telling, peers, pods)
    others: dict[object, list[Party]] = {}
    for name, other in sorted(snapshot.namespaces.items()):
        if name != namespace:
            there = [p for p in peers if p.namespaces is not None and p.namespaces.matches(dict(other.labels))]
            within = [p.pods for p in there if p.pods is not None]
            for party in _workloads(snapshot, other, within, peers, pods):
                key = (tuple(party.is_named(peer, namespace) for peer in peers), party.policies and party.text)
                others.setdefault(key, []).append(party)
    return own, tuple(_together(each) for each in others.values())


def _workloads(
    snapshot: Snapshot, home: Namespace, telling: Iterable[LabelSelector], peers: Sequence[Peer], pods: bool
) -> tuple[Party, ...]:
    """Pods of one namespace, those together that nothing tells apart; and each selector that selects none of them."""
    selectors = list(dict.fromkeys(each for each in telling if not each.empty))
    policies = tuple(each for _, each in sorted(snapshot.network_policies.get(home.name, {}).items()))
    known = [pod for _, pod in sorted(snapshot.pods.get(home.name, {}).items())] if pods else []
    alive = [pod for pod in known if not pod.finished and not pod.host_network]
    groups: dict[object, list[Pod]] = {}
    for pod in alive:
        labels = dict(pod.labels)
        blocks = tuple(peer.block for peer in peers if peer.block is not None)
        held = tuple(any(_holds(block, ip_address(ip)) for ip in pod.ips) for block in blocks)
        subject_to = tuple(policy.spec.subject.matches(labels) for policy in policies)
        groups.setdefault((tuple(s.matches(labels) for s in selectors), held, subject_to), []).append(pod)
    found = [_group(home, group, selectors, policies) for group in groups.values()]
    absent = [s for s in selectors if not any(s.matches(dict(pod.labels)) for pod in alive)]
    found += [_sample(home, selector, policies) for selector in (absent if alive else selectors)]
    if not alive:
        found.append(_party(home, "other pods" if selectors else "pods", {}, policies))
    return tuple(found)


def _group(
    home: Namespace, pods: Sequence[Pod], selectors: Sequence[LabelSelector], policies: tuple[NetworkPolicy, ...]
) -> Party:
    first = dict(pods[0].labels)
    naming = [s for s in selectors if s.matches(first)]
    common = set(pods[0].labels).intersection(*(pod.labels for pod in pods))
    shown = tuple(sorted((k, v) for k, v in common if k not in REPLICA_LABELS))
    if naming:
        text = f"pods {max(naming, key=lambda s: len(s.labels))}"
    elif shown:
        text = f"pods {LabelSelector(shown)}"
    else:
        text = f"pod {pods[0].name}" if len(pods) == 1 else f"{len(pods)} pods"
    addresses = tuple(ip_address(ip) for pod in pods for ip in pod.ips)
    numbers = frozenset((port.protocol, port.name, port.port) for pod in pods for port in pod.ports if port.name)
    known = numbers if any(pod.ports for pod in pods) else None
    return _party(home, text, first, policies, addresses, known, single=len(pods) == 1)


def _sample(home: Namespace, selector: LabelSelector, policies: tuple[NetworkPolicy, ...]) -> Party:
    """A pod as a selector names it, with no label beyond."""
    labels = dict(selector.labels)
    for need in selector.requirements:
        if need.operator in ("In", "Exists"):
            labels.setdefault(need.key, need.values[0] if need.values else "")
    return _party(home, f"pods {selector}", labels, policies)


def _party(
    home: Namespace,
    text: str,
    labels: Labels,
    policies: tuple[NetworkPolicy, ...],
    addresses: tuple[Address, ...] = (),
    numbers: frozenset[tuple[str, str, int]] | None = None,
    *,
    single: bool = False,
) -> Party:
    where = f"{text} in namespace {home.name}"
    return Party(where, home.name, labels, dict(home.labels), addresses, numbers, policies, single=single)


def _together(parties: Sequence[Party]) -> Party:
    """Workloads of other namespaces that no peer tells apart, as one."""
    if len(parties) == 1:
        return parties[0]
    first = parties[0]
    homes = sorted({party.home or "" for party in parties})
    more = f" and {len(homes) - 3} more" if len(homes) > 3 else ""
    text = f"{len(parties)} workloads in namespace{'s' if len(homes) > 1 else ''} {', '.join(homes[:3])}{more}"
    return Party(text, first.home, first.labels, first.home_labels, first.addresses, first.numbers, first.policies)


def ranges_of(snapshot: Snapshot, blocks: Iterable[Block]) -> tuple[Party, ...]:
    """The nodes, and each network that a block names, without the narrower ones; IPv6 only where some block is."""
    nets: set[Network] = {WHOLE_FAMILY["IPv4"]}
    for each in blocks:
        nets |= {WHOLE_FAMILY[family(each.cidr)], each.cidr, *each.excepts}
    found = [
        Party(str(net), addresses=(own,), net=net)
        for net in sorted(nets, key=sort_key)
        if (own := _own_address(net, _within(net, nets))) is not None
    ]
    ips = tuple(ip_address(ip) for _, node in sorted(snapshot.nodes.items()) for ip in node.internal_ips)
    return (*([Party("the nodes", addresses=ips)] if ips else []), *found)


def _within(net: Network, nets: Iterable[Network]) -> list[Network]:
    """The widest of `nets` that lie inside `net`, sorted."""
    inner = sorted((each for each in nets if each != net and inside(each, net)), key=sort_key)
    widest: list[Network] = []
    for each in inner:
        if not widest or not inside(each, widest[-1]):
            widest.append(each)
    return widest


def _own_address(net: Network, inner: Sequence[Network]) -> Address | None:
    """An address of `net` in none of `inner`, which are sorted and disjoint."""
    at = net.network_address
    for each in inner:
        if at < each.network_address:  # type: ignore[operator]
            return at
        if each.broadcast_address == net.broadcast_address:
            return None
        at = each.broadcast_address + 1
    return at


def ranges_text(chosen: Iterable[Party], every: Iterable[Party]) -> tuple[str, ...]:
    """The chosen ranges in few words: a wide one but the narrower ones in it that are not chosen."""
    here = {party.net for party in chosen if party.net is not None}
    nets = {party.net for party in every if party.net is not None}
    found = []
    for net in sorted(here, key=sort_key):
        around = [each for each in nets if each != net and inside(net, each)]
        if around and max(around, key=lambda each: each.prefixlen) in here:
            continue
        name = f"any {family(net)} address" if net.prefixlen == 0 else str(net)
        out = _left_out(net, here, nets)
        found.append(f"{name} but {', '.join(map(str, out))}" if out else name)
    # What has exceptions of its own comes last: in a list, nothing after it can be taken for one more of them.
    return tuple(sorted(found, key=lambda text: " but " in text))


def _left_out(net: Network, here: set[Network], nets: set[Network]) -> list[Network]:
    return [out for inner in _within(net, nets) for out in (_left_out(inner, here, nets) if inner in here else [inner])]
