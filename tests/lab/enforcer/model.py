"""From API objects to verdicts, without a network: what the policies of each pod allow, and whether a packet passes.

Two rules open the file. A pod is isolated in a direction once any policy that selects it has that direction;
then only what some rule allows passes. A connection passes if the sender's egress and the receiver's ingress let it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.lab.enforcer.objects import Address, Cluster, IpBlock, Pod, PodPeer, Policy, PolicyPort, Rule
from tests.lab.enforcer.ranges import EVERYWHERE, Addresses, Range, addresses_of, union

LAST_PORT = 65535


@dataclass(frozen=True, slots=True, order=True)
class Ports:
    """Destination ports of one protocol, as inclusive ranges."""

    protocol: str
    ranges: tuple[Range, ...]

    def __contains__(self, port: int) -> bool:
        return any(low <= port <= high for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class Allow:
    """One allowance: these addresses, on these ports. `ports` None is any traffic, of whatever protocol."""

    addresses: Addresses
    ports: tuple[Ports, ...] | None

    def allows(self, address: Address, port: int, protocol: str) -> bool:
        if address not in self.addresses:
            return False
        return self.ports is None or any(protocol == ports.protocol and port in ports for ports in self.ports)


@dataclass(frozen=True, slots=True, eq=False)
class PodVerdict:
    """What the policies of one pod allow; None means that it is not isolated in that direction."""

    pod: Pod
    ingress: tuple[Allow, ...] | None
    egress: tuple[Allow, ...] | None


@dataclass(frozen=True, slots=True)
class Model:
    """The verdict on every pod, by each of its addresses."""

    pods: Mapping[Address, PodVerdict]


def compile_model(cluster: Cluster) -> Model:
    """What the policies of a cluster mean for each of its pods that has an address of its own."""
    pods_with_address = [pod for pod in cluster.pods if pod.addresses and not pod.host_network and not pod.finished]
    verdicts: dict[Address, PodVerdict] = {}
    for pod in pods_with_address:
        policies = [policy for policy in cluster.policies if _selects_pod(policy, pod)]
        verdict = PodVerdict(
            pod,
            _side(
                [(policy, policy.ingress) for policy in policies if policy.ingress is not None],
                cluster,
                pods_with_address,
                pod,
            ),
            _side(
                [(policy, policy.egress) for policy in policies if policy.egress is not None],
                cluster,
                pods_with_address,
                None,
            ),
        )
        verdicts.update((address, verdict) for address in pod.addresses)
    return Model(verdicts)


def evaluate(model: Model, source: Address, destination: Address, port: int, protocol: str) -> bool:
    """Whether a new connection between two addresses, as the enforcer sees them, may pass."""
    what = (source, destination, port, protocol)
    return leaves(model, *what) and enters(model, *what)


def leaves(model: Model, source: Address, destination: Address, port: int, protocol: str) -> bool:
    """Whether the sender's egress allows it. A pod always reaches itself."""
    sender = model.pods.get(source)
    if sender is None or sender.egress is None or sender is model.pods.get(destination):
        return True
    return _any(sender.egress, destination, port, protocol)


def enters(model: Model, source: Address, destination: Address, port: int, protocol: str) -> bool:
    """Whether the receiver's ingress allows it. A pod always reaches itself."""
    receiver = model.pods.get(destination)
    if receiver is None or receiver.ingress is None or receiver is model.pods.get(source):
        return True
    return _any(receiver.ingress, source, port, protocol)


def _any(allows: Iterable[Allow], address: Address, port: int, protocol: str) -> bool:
    return any(allow.allows(address, port, protocol) for allow in allows)


def _selects_pod(policy: Policy, pod: Pod) -> bool:
    return policy.namespace == pod.namespace and policy.pod_selector.selects(pod.labels)


def _side(
    isolating: list[tuple[Policy, tuple[Rule, ...]]], cluster: Cluster, pods: list[Pod], receiver: Pod | None
) -> tuple[Allow, ...] | None:
    """One direction of one pod. `receiver` is the pod itself for ingress; for egress each peer is its own receiver."""
    if not isolating:
        return None
    allows: dict[Allow, None] = {}  # a set that keeps its order, so that the same input gives the same text
    for policy, rules in isolating:
        for rule in rules:
            allows.update(dict.fromkeys(_allows(policy, rule, cluster, pods, receiver)))
    return tuple(allows)


def _allows(policy: Policy, rule: Rule, cluster: Cluster, pods: list[Pod], receiver: Pod | None) -> Iterable[Allow]:
    peer_pods, addresses = _peers(policy, rule, cluster, pods)
    if not rule.ports:
        if addresses:
            yield Allow(addresses, None)
        return
    by_number = [port for port in rule.ports if not isinstance(port.port, str)]
    by_name = [port for port in rule.ports if isinstance(port.port, str)]
    known = [*map(_numbered, by_number)]
    if receiver is not None:
        known += _resolved(by_name, receiver)
    if known and addresses:
        yield Allow(addresses, _merge(known))
    if receiver is None and by_name:
        # A name means something else on each receiver, so those with the same numbers share an allowance.
        numbers: dict[tuple[Ports, ...], list[Address]] = {}
        for peer in peer_pods:
            if resolved := _resolved(by_name, peer):
                numbers.setdefault(_merge(resolved), []).extend(peer.addresses)
        for ports, receivers in numbers.items():
            yield Allow(addresses_of(receivers), ports)


def _peers(policy: Policy, rule: Rule, cluster: Cluster, pods: list[Pod]) -> tuple[list[Pod], Addresses]:
    """The pods among a rule's peers, and all its addresses. A block holds every address in it, those of pods too."""
    if not rule.peers:
        return pods, EVERYWHERE
    blocks = [peer for peer in rule.peers if isinstance(peer, IpBlock)]
    selected = [
        pod
        for pod in pods
        if any(_selects(peer, policy, cluster, pod) for peer in rule.peers if isinstance(peer, PodPeer))
    ]
    in_blocks = addresses_of(blocks)
    everyone = [pod for pod in pods if pod in selected or any(address in in_blocks for address in pod.addresses)]
    return everyone, addresses_of([*blocks, *(address for pod in selected for address in pod.addresses)])


def _selects(peer: PodPeer, policy: Policy, cluster: Cluster, pod: Pod) -> bool:
    if peer.namespaces is None:
        if pod.namespace != policy.namespace:
            return False
    elif pod.namespace not in cluster.namespaces or not peer.namespaces.selects(cluster.namespaces[pod.namespace]):
        return False
    return peer.pods.selects(pod.labels)


def _numbered(port: PolicyPort) -> Ports:
    if port.port is None:
        return Ports(port.protocol, ((0, LAST_PORT),))
    assert isinstance(port.port, int)
    return Ports(port.protocol, ((port.port, port.end or port.port),))


def _resolved(ports: list[PolicyPort], receiver: Pod) -> list[Ports]:
    return [
        Ports(port.protocol, ((named.number, named.number),))
        for port in ports
        for named in receiver.ports
        if (named.name, named.protocol) == (port.port, port.protocol)
    ]


def _merge(ports: Iterable[Ports]) -> tuple[Ports, ...]:
    by_protocol: dict[str, list[Range]] = {}
    for entry in ports:
        by_protocol.setdefault(entry.protocol, []).extend(entry.ranges)
    return tuple(sorted(Ports(protocol, union(ranges)) for protocol, ranges in by_protocol.items()))
