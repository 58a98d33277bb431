"""A namespace of a simulated cluster, in which plans are carried out write by write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import TypeAlias

from exposure.model.plans import Change
from exposure.networkpolicy.render import network_policy_manifest
from exposure.networkpolicy.values import NetworkPolicy
from tests.plan.evaluator import Cluster, Party, selects

HOME = "shop"
NAMESPACES = {HOME: {"kubernetes.io/metadata.name": HOME}, "bank": {"kubernetes.io/metadata.name": "bank"}}
OTHERS = (Party("203.0.113.7"), Party("198.51.100.7"), Party("10.0.2.1", "bank", (("app", "teller"),)))
PORTS = (8080, 8443)

Live: TypeAlias = Mapping[str, NetworkPolicy]
#: (direction, the pod's address, the peer's address, port): one end of a connection.
End: TypeAlias = tuple[str, str, str, int]
Connection: TypeAlias = tuple[str, str, int]


@dataclass(frozen=True)
class SimulatedNamespace:
    """The pods of the namespace under test."""

    pods: tuple[Party, ...]

    def ends(self, live: Live) -> frozenset[End]:
        """What the policies of each pod allow, each direction on its own."""
        isolating: dict[tuple[str, str], set[End]] = {}
        for policy in live.values():
            for key, admitted in _meaning(policy, self.pods):
                isolating.setdefault(key, set()).update(admitted)
        ends: set[End] = set()
        for way, pod in product(("ingress", "egress"), self.pods):
            if (way, pod.address) in isolating:
                ends |= isolating[way, pod.address]
            else:
                ends |= {(way, pod.address, peer.address, port) for peer, port in self._peers(pod)}
        return frozenset(ends)

    def connections(self, ends: frozenset[End]) -> frozenset[Connection]:
        """What passes between pods of the namespace, from outside to them, and from them to outside."""
        inside = {pod.address for pod in self.pods}
        connections: set[Connection] = set()
        for way, own, peer, port in ends:
            if way == "ingress" and (peer not in inside or ("egress", peer, own, port) in ends):
                connections.add((peer, own, port))
            if way == "egress" and peer not in inside:
                connections.add((own, peer, port))
        return frozenset(connections)

    def _peers(self, pod: Party) -> Iterator[tuple[Party, int]]:
        return ((peer, port) for peer in (*self.pods, *OTHERS) if peer != pod for port in PORTS)


@lru_cache(maxsize=20000)
def _meaning(policy: NetworkPolicy, pods: tuple[Party, ...]) -> tuple[tuple[tuple[str, str], frozenset[End]], ...]:
    manifest = network_policy_manifest(policy)
    cluster = Cluster(NAMESPACES, [manifest])
    meanings = []
    for pod in pods:
        for way, rules in (("ingress", policy.spec.ingress), ("egress", policy.spec.egress)):
            if rules is None or not selects(manifest["spec"]["podSelector"], pod.labels):
                continue
            allows = cluster.enters if way == "ingress" else cluster.leaves
            admitted = frozenset(
                (way, pod.address, peer.address, port)
                for peer, port in SimulatedNamespace(pods)._peers(pod)
                if allows(*((peer, pod) if way == "ingress" else (pod, peer)), "TCP", port)
            )
            meanings.append(((way, pod.address), admitted))
    return tuple(meanings)


def carry_out(live: Live, changes: Iterable[Change]) -> Live:
    """The live policies after these changes. As in the API, create needs absence, update and delete presence."""
    state = dict(live)
    for change in changes:
        match change.verb:
            case "create":
                assert change.name not in state, f"{change.name} exists already"
                state[change.name] = change.policy
            case "update":
                assert state[change.name] == change.live, f"{change.name} is not what the plan says it is"
                before = state[change.name]
                merged = {**dict(before.annotations), **dict(change.policy.annotations)}
                state[change.name] = replace(change.policy, annotations=tuple(sorted(merged.items())))
            case "delete":
                del state[change.name]
            case "keep":
                assert change.name in state, f"{change.name} does not exist"
    return state
