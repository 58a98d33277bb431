"""What the NetworkPolicies say about a flow, as far as the log tells enough."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from exposure.addresses import Block
from exposure.flows.attribution import ServedService
from exposure.flows.ends import workload_labels
from exposure.flows.table import FlowKey, FlowPeer
from exposure.grouping import grouped
from exposure.labels import Pairs
from exposure.model.connection_ends import address_blocks, addresses_end, pods_end
from exposure.model.objects import Namespace, Pod
from exposure.model.snapshot import ByNamespace, Snapshot
from exposure.networkpolicy.evaluate import Evaluator, Verdict
from exposure.networkpolicy.matching import ConnectionEnd, Match
from exposure.networkpolicy.values import Direction, NetworkPolicy, PolicyPort

#: In reports, so that what the policies say is not mistaken for what the log says.
ANSWERS = {Verdict.ALLOWED: "admitted", Verdict.DENIED: "refused", Verdict.UNKNOWN: "unknown"}


class Expectation(NamedTuple):
    """`by`: the policies that admit or refuse (sorted names), or in words why it is so."""

    verdict: Verdict
    by: str = ""

    @property
    def answer(self) -> str:
        return ANSWERS[self.verdict]


class FlowAdmission:
    def __init__(self, snapshot: Snapshot, policies: ByNamespace[NetworkPolicy], *, ip_blocks: bool) -> None:
        """`policies` are those to judge by. `ip_blocks` False: the CNI's ipBlocks match neither pods nor nodes."""
        self.policies, self._snapshot, self._ip_blocks = policies, snapshot, ip_blocks
        self._evaluators = {
            namespace: Evaluator(policy for _, policy in sorted(named.items())) for namespace, named in policies.items()
        }
        pods = (pod for pods in snapshot.pods.values() for pod in pods.values())
        restricted = (pod for pod in pods if not pod.finished and not pod.host_network)
        self._pods = grouped(((pod.namespace, workload_labels(pod.labels)), pod) for pod in restricted)
        self._workload_end = cache(self._made_workload_end)
        self._service_end = cache(self._made_service_end)

    def expected(self, key: FlowKey, served: ServedService) -> Expectation:
        """Whether the flow may pass both ends' policies. The Service's pods are at one end, `key.peer` at the other."""
        namespace, own, peer = served.service.namespace, self._service_end(served), self.peer_end(key.peer)
        port = PolicyPort(key.protocol, key.port)
        if key.way == "out":
            return self._ask("egress", namespace, own, peer, port)
        receiving = self._ask("ingress", namespace, own, peer, port)
        if receiving.verdict is Verdict.DENIED and key.peer.kind == "node":
            # The node that a pod runs on is always let in, and the log does not say which one that is.
            return Expectation(Verdict.UNKNOWN)
        if receiving.verdict is Verdict.DENIED or key.peer.kind != "pod":
            return receiving
        sending = self._ask("egress", key.peer.namespace, peer, own, port)
        if sending.verdict is Verdict.DENIED:
            return sending._replace(by=f"the egress policies of the caller: {sending.by}")
        return Expectation(Verdict.UNKNOWN) if sending.verdict is Verdict.UNKNOWN else receiving

    def _ask(
        self, direction: Direction, namespace: str, pod: ConnectionEnd, peer: ConnectionEnd, port: PolicyPort
    ) -> Expectation:
        decision = self._evaluators.get(namespace, Evaluator(())).decide(direction, pod, peer, port)
        denied = decision.verdict is Verdict.DENIED
        policies = decision.isolating if denied else [policy for policy, _ in decision.allowing]
        names = ", ".join(dict.fromkeys(policy.name for policy in policies))
        if decision.verdict is Verdict.ALLOWED and not names:
            names = f"no policy restricts {direction} of these pods"
        return Expectation(decision.verdict, names)

    def peer_end(self, peer: FlowPeer) -> ConnectionEnd:
        match peer.kind:
            case "pod":
                return self._workload_end(peer.namespace, peer.labels)
            case "address" | "prefix" | "outside":
                return addresses_end([Block(peer.network)] if peer.network else [])
            case "node":
                # A node has more addresses than the one in the log.
                known = address_blocks([peer.address])
                return ConnectionEnd(Match.NO, addresses=known, ip_blocks=self._ip_blocks)
            case "gone":
                return ConnectionEnd(addresses=address_blocks([peer.address]))
            case _:
                return ConnectionEnd()

    def _made_workload_end(self, namespace: str, labels: Pairs) -> ConnectionEnd:
        return self._pods_end(self._pods.get((namespace, labels), ()), namespace, labels)

    def _made_service_end(self, served: ServedService) -> ConnectionEnd:
        service = served.service
        pods = tuple(self._snapshot.pods_of(service))
        labels = pods[0].labels if pods else service.selector or ()
        end = self._pods_end(pods, service.namespace, labels)
        named = dict(end.named_ports)
        for port, numbers in served.targets.items():
            # Without Pods, the EndpointSlices tell what the names of the Service's own target ports stand for.
            if isinstance(port.target_port, str) and numbers:
                named.setdefault((port.protocol, port.target_port), numbers)
        return replace(end, named_ports=named)

    def _pods_end(self, pods: Iterable[Pod], namespace: str, labels: Pairs) -> ConnectionEnd:
        there = self._snapshot.namespaces.get(namespace, Namespace(namespace))
        return pods_end(pods, there, labels, ip_blocks=self._ip_blocks)
