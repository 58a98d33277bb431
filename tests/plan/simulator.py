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
ABROAD = (Party("203.0.113.7"), Party("198.51.100.7"), Party("10.0.2.1", "bank", (("app", "teller"),)))
PORTS = (8080, 8443)

Live: TypeAlias = Mapping[str, NetworkPolicy]
#: (direction, subject's address, peer's address, port): one end of a connection, by itself.
End: TypeAlias = tuple[str, str, str, int]
Connection: TypeAlias = tuple[str, str, int]


@dataclass(frozen=True)
class Room:
    """The pods of the namespace under test."""

    pods: tuple[Party, ...]

    def ends(self, live: Live) -> frozenset[End]:
        """What each pod consents to, in each direction by itself."""
        speaking: dict[tuple[str, str], set[End]] = {}
        for policy in live.values():
            for key, admitted in _meaning(policy, self.pods):
                speaking.setdefault(key, set()).update(admitted)
        found: set[End] = set()
        for way, pod in product(("ingress", "egress"), self.pods):
            if (way, pod.address) in speaking:
                found |= speaking[way, pod.address]
            else:
                found |= {(way, pod.address, peer.address, port) for peer, port in self._peers(pod)}
        return frozenset(found)

    def connections(self, ends: frozenset[End]) -> frozenset[Connection]:
        """What passes between pods of the namespace, from outside to them, and from them to outside."""
        inside = {pod.address for pod in self.pods}
        found: set[Connection] = set()
        for way, subject, peer, port in ends:
            if way == "ingress" and (peer not in inside or ("egress", peer, subject, port) in ends):
                found.add((peer, subject, port))
            if way == "egress" and peer not in inside:
                found.add((subject, peer, port))
        return frozenset(found)

    def _peers(self, pod: Party) -> Iterator[tuple[Party, int]]:
        return ((peer, port) for peer in (*self.pods, *ABROAD) if peer != pod for port in PORTS)


@lru_cache(maxsize=20000)
def _meaning(policy: NetworkPolicy, pods: tuple[Party, ...]) -> tuple[tuple[tuple[str, str], frozenset[End]], ...]:
    manifest = network_policy_manifest(policy)
    cluster = Cluster(NAMESPACES, [manifest])
    found = []
    for pod in pods:
        for way, rules in (("ingress", policy.spec.ingress), ("egress", policy.spec.egress)):
            if rules is None or not selects(manifest["spec"]["podSelector"], pod.labels):
                continue
            ask = cluster.enters if way == "ingress" else cluster.leaves
            admitted = frozenset(
                (way, pod.address, peer.address, port)
                for peer, port in Room(pods)._peers(pod)
                if ask(*((peer, pod) if way == "ingress" else (pod, peer)), "TCP", port)
            )
            found.append(((way, pod.address), admitted))
    return tuple(found)


def carry_out(live: Live, changes: Iterable[Change]) -> Live:
    """What stands after these changes, by the rules of the API: create needs absence, update and delete presence."""
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
                assert change.name in state, f"{change.name} does not stand"
    return state
