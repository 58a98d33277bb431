"""What the NetworkPolicies say about a flow, as far as the log tells enough: admitted, refused, or nobody can say."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from exposure.addresses import Block, inside, network, overlap
from exposure.flows.attribution import Served
from exposure.flows.table import Key, Peer
from exposure.labels import NAMESPACE_LABEL, Labels
from exposure.model.objects import Pod
from exposure.model.snapshot import ByNamespace, Snapshot
from exposure.networkpolicy.values import NetworkPolicy, PolicyPort, Rule
from exposure.networkpolicy.values import Peer as PolicyPeer
from exposure.plan.parties import REPLICA_LABELS

Answer: TypeAlias = Literal["admitted", "refused", "unknown"]
#: None: nobody can say.
Maybe: TypeAlias = bool | None


class Expectation(NamedTuple):
    """`by`: the policies that admit (sorted names), or in words why it is so."""

    answer: Answer
    by: str = ""


class _Side(NamedTuple):
    """Pods at one end, as policies see them: labels, namespace, addresses, and the numbers of their named ports."""

    namespace: str
    labels: Labels
    addresses: tuple[str, ...] = ()
    named: Mapping[tuple[str, str], frozenset[int]] = {}


class Admission:
    def __init__(self, snapshot: Snapshot, policies: ByNamespace[NetworkPolicy], *, blocks_match_pods: bool) -> None:
        """`policies` are those to judge by; on Cilium an ipBlock matches neither pods nor nodes."""
        self._world, self._policies = snapshot, policies
        self._blocks_match_pods = blocks_match_pods
        self._sides: dict[str, _Side] = {}
        self._workloads: dict[tuple[str, tuple[tuple[str, str], ...]], list[Pod]] = {}
        for namespace, pods in snapshot.pods.items():
            for pod in pods.values():
                if not pod.finished and not pod.host_network:
                    workload = tuple(each for each in pod.labels if each[0] not in REPLICA_LABELS)
                    self._workloads.setdefault((namespace, workload), []).append(pod)

    def expected(self, key: Key, served: Served) -> Expectation:
        """Whether the flow may pass both ends' policies. The Service's pods are at one end, `key.peer` at the other."""
        name = str(served.service.ref)
        if name not in self._sides:
            self._sides[name] = self._side_of(served)
        own = self._sides[name]
        if key.way == "out":
            return self._consent("egress", own, key.peer, key.protocol, key.port, self._side_of_peer(key.peer))
        found = self._consent("ingress", own, key.peer, key.protocol, key.port, own)
        if found.answer == "refused" or key.peer.kind != "pod":
            return found
        subject = Peer("pod", "", own.namespace, tuple(sorted(own.labels.items())))
        leaving = self._consent("egress", self._side_of_peer(key.peer), subject, key.protocol, key.port, own)
        if leaving.answer == "refused":
            return Expectation("refused", f"the caller's own egress policies: {leaving.by}")
        return Expectation("unknown") if leaving.answer == "unknown" else found

    def _consent(self, way: str, own: _Side, other: Peer, protocol: str, port: int, receiver: _Side) -> Expectation:
        closing: list[str] = []
        admitting: list[str] = []
        doubtful = False
        for name, policy in sorted(self._policies.get(own.namespace, {}).items()):
            rules = policy.spec.ingress if way == "ingress" else policy.spec.egress
            if rules is None or not policy.spec.pod_selector.matches(own.labels):
                continue
            closing.append(name)
            verdicts = [self._rule(rule, own.namespace, other, protocol, port, receiver) for rule in rules]
            if True in verdicts:
                admitting.append(name)
            doubtful = doubtful or None in verdicts
        if not closing:
            return Expectation("admitted", f"no policy restricts {way} of these pods")
        if admitting:
            return Expectation("admitted", ", ".join(admitting))
        if doubtful:
            return Expectation("unknown")
        if way == "ingress" and other.kind == "node":
            # The node that a pod runs on is always let in, and the log does not say which one that is.
            return Expectation("unknown")
        return Expectation("refused", ", ".join(closing))

    def _rule(self, rule: Rule, home: str, other: Peer, protocol: str, port: int, receiver: _Side) -> Maybe:
        return _both(
            True if rule.ports is None else _any(_port(each, protocol, port, receiver) for each in rule.ports),
            True if rule.peers is None else _any(self._peer(each, home, other) for each in rule.peers),
        )

    def _peer(self, peer: PolicyPeer, home: str, other: Peer) -> Maybe:
        if peer.block is not None:
            return self._block(peer.block, other)
        if other.kind in ("gone", "other", "api-server", "service"):
            return None
        if other.kind != "pod":
            return False
        if peer.namespaces is None:
            if other.namespace != home:
                return False
        elif not peer.namespaces.matches(self._namespace_labels(other.namespace)):
            return False
        return peer.pods is None or peer.pods.matches(dict(other.labels))

    def _block(self, block: Block, other: Peer) -> Maybe:
        match other.kind:
            case "address" | "prefix":
                return _holds(block, other.address)
            case "node" if not self._blocks_match_pods:
                return False
            case "node" | "gone":
                return (_holds(block, other.address) or None) if other.address else None
            case "pod":
                if not self._blocks_match_pods:
                    return False
                addresses = self._side_of_peer(other).addresses
                held = {_holds(block, each) for each in addresses}
                return held.pop() if len(held) == 1 else None
            case _:
                return None

    def _namespace_labels(self, name: str) -> Labels:
        known = self._world.namespaces.get(name)
        return {NAMESPACE_LABEL: name, **(dict(known.labels) if known is not None else {})}

    def _side_of_peer(self, peer: Peer) -> _Side:
        return _side(peer.namespace, dict(peer.labels), self._workloads.get((peer.namespace, peer.labels), []))

    def _side_of(self, served: Served) -> _Side:
        namespace, selector = served.service.namespace, served.selector
        pods = [
            pod
            for pod in self._world.pods.get(namespace, {}).values()
            if selector is not None and not pod.finished and selector.matches(dict(pod.labels))
        ]
        labels = dict(pods[0].labels) if pods else dict(selector.labels if selector is not None else ())
        found = _side(namespace, labels, pods)
        # Without Pods, the EndpointSlices tell what the Service's own named ports stand for.
        named = dict(found.named)
        for port in served.service.ports:
            numbers = frozenset(number for protocol, number in served.ports if protocol == port.protocol)
            if isinstance(port.target_port, str) and len(served.service.ports) == 1 and numbers:
                named.setdefault((port.protocol, port.target_port), numbers)
        return found._replace(named=named)


def _side(namespace: str, labels: Labels, pods: Iterable[Pod]) -> _Side:
    pods = list(pods)
    named: dict[tuple[str, str], frozenset[int]] = {}
    for pod in pods:
        for port in pod.ports:
            if port.name:
                known = named.get((port.protocol, port.name), frozenset())
                named[port.protocol, port.name] = known | {port.port}
    return _Side(namespace, labels, tuple(ip for pod in pods for ip in pod.ips), named)


def _holds(block: Block, text: str) -> Maybe:
    held = network(text)
    if not overlap(held, block.cidr) or any(inside(held, cut) for cut in block.excepts):
        return False
    if inside(held, block.cidr) and not any(overlap(held, cut) for cut in block.excepts):
        return True
    return None


def _port(rule: PolicyPort, protocol: str, port: int, receiver: _Side) -> Maybe:
    if rule.protocol != protocol:
        return False
    if rule.port is None:
        return True
    if isinstance(rule.port, str):
        numbers = receiver.named.get((protocol, rule.port))
        return None if numbers is None else port in numbers
    return rule.port <= port <= (rule.end_port or rule.port)


def _any(answers: Iterable[Maybe]) -> Maybe:
    found = set(answers)
    return True if True in found else None if None in found else False


def _both(one: Maybe, other: Maybe) -> Maybe:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True
