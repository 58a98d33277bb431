"""Which connections a plan cuts and which it opens: compares the policies before and after, also without Pods.

Connections are compared for parties: workloads of the namespace (pods with equal labels, or what a Service or a policy
selects), workloads of other namespaces, the nodes, and the ranges into which the policies' ipBlocks cut all addresses.
Where pods are not known, a party stands for the pods that a selector names. A connection inside the cluster needs both
ends; the policies of other namespaces stay as they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from exposure.model.plans import Plan
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.evaluate import Evaluator
from exposure.networkpolicy.port_sets import PortClasses, PortSet
from exposure.networkpolicy.values import Direction, NetworkPolicy
from exposure.plan.parties import Party, parties_of, ranges_of, ranges_text

#: As many entries as a list in status may have.
LISTED = 100
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Difference:
    """Connections that are `lost` or `gained`: from each of the sources to each of the destinations, at these ports."""

    verb: str
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    ports: str

    def __str__(self) -> str:
        return f"{self.verb:<6}  from {_few(self.sources)} to {_few(self.destinations)} {self.ports}"

    def as_json(self) -> dict[str, object]:
        return {"verb": self.verb, "from": list(self.sources), "to": list(self.destinations), "ports": self.ports}


@dataclass(frozen=True, slots=True)
class ChangedPair:
    """A workload of the namespace, and a peer that connects to it (ingress) or that it connects to (egress)."""

    verb: str
    direction: Direction
    workload: Party
    peer: Party
    ports: PortSet


def after_plan(plan: Plan, live: Mapping[str, NetworkPolicy]) -> dict[str, NetworkPolicy]:
    """Every NetworkPolicy of the namespace once the plan is carried out, foreign ones included."""
    policies = dict(live)
    for change in plan.changes:
        if change.verb == "delete":
            policies.pop(change.name, None)
        else:
            policies[change.name] = change.policy
    return policies


def connectivity(snapshot: Snapshot, plan: Plan, *, pods: bool = True) -> tuple[Difference, ...]:
    """What the plan would cut and open, losses first, sorted. `pods` False reads no Pods, only selectors."""
    live = snapshot.network_policies.get(plan.namespace, {})
    before, after = list(live.values()), list(after_plan(plan, live).values())
    if {policy.spec for policy in before} == {policy.spec for policy in after}:
        return ()
    return Comparison(snapshot, plan.namespace, before, after, pods).differences()


def connectivity_lines(differences: Sequence[Difference], limit: int = LISTED) -> list[str]:
    """One line each, at most `limit`. If there are more, the last line counts the rest."""
    lines = list(map(str, differences[:limit]))
    if len(differences) > limit:
        lines[-1] = f"and {len(differences) - limit + 1} more"
    return lines


class Comparison:
    """The policies of one namespace before and after, for every party that they distinguish."""

    def __init__(
        self, snapshot: Snapshot, namespace: str, before: list[NetworkPolicy], after: list[NetworkPolicy], pods: bool
    ) -> None:
        specs = list(dict.fromkeys(policy.spec for policy in (*before, *after)))
        rules = [rule for spec in specs for rule in (*(spec.ingress or ()), *(spec.egress or ()))]
        peers = list(dict.fromkeys(peer for rule in rules for peer in rule.peers or ()))
        self.before, self.after = Evaluator(before), Evaluator(after)
        self.ports = PortClasses(port for rule in rules for port in rule.ports or ())
        self.own, self.others = parties_of(snapshot, namespace, [spec.pod_selector for spec in specs], peers, pods)
        self.outside = ranges_of(snapshot, [peer.block for peer in peers if peer.block is not None])
        self._changes_rules = cache(self._compared_rules)

    def pairs(self) -> Iterator[ChangedPair]:
        """Every pair of parties that loses or gains a connection, with the ports."""
        beyond = (*self.others, *self.outside)
        for workload in self.own:
            for peer in (*self.own, *beyond):
                if not (peer is workload and peer.single):
                    yield from self._changes("ingress", workload, peer)
            for peer in beyond:
                yield from self._changes("egress", workload, peer)

    def differences(self) -> tuple[Difference, ...]:
        """Losses first, sorted: peers of one workload together, then workloads with the same peers together."""
        by_workload: dict[tuple[str, Direction, str, str], list[Party]] = {}
        for pair in self.pairs():
            receiver = pair.workload if pair.direction == "ingress" else pair.peer
            ports = self.ports.text(pair.ports, receiver.end)
            by_workload.setdefault((pair.verb, pair.direction, pair.workload.short, ports), []).append(pair.peer)
        by_peers: dict[tuple[str, Direction, str, tuple[str, ...]], set[str]] = {}
        for (verb, direction, workload, ports), peers in by_workload.items():
            by_peers.setdefault((verb, direction, ports, self._named(peers)), set()).add(workload)
        differences = []
        for (verb, direction, ports, named), names in by_peers.items():
            workloads = tuple(sorted(names))
            ends = (named, workloads) if direction == "ingress" else (workloads, named)
            differences.append(Difference(verb, *ends, ports))
        return tuple(sorted(differences, key=lambda difference: (difference.verb != "lost", str(difference))))

    def _named(self, peers: Sequence[Party]) -> tuple[str, ...]:
        named = {peer.text for peer in peers if peer.network is None}
        every = {party.text for party in self.own}
        if len(every) > 1 and every <= named:
            named = {*(named - every), f"every pod in namespace {self.own[0].end.namespace}"}
        return (*sorted(named), *ranges_text(peers, self.outside))

    def _changes(self, direction: Direction, workload: Party, peer: Party) -> Iterator[ChangedPair]:
        back: Direction = "egress" if direction == "ingress" else "ingress"
        same_namespace = peer.end.namespace == workload.end.namespace
        if not self._changes_rules(direction, workload) and not (same_namespace and self._changes_rules(back, peer)):
            return
        open_ports = []
        for policies in (self.before, self.after):
            ports = policies.open_ports(direction, workload.end, peer.end, self.ports)
            theirs = policies if same_namespace else peer.policies
            open_ports.append(ports & theirs.open_ports(back, peer.end, workload.end, self.ports) if theirs else ports)
        was, will = open_ports
        if was - will:
            yield ChangedPair("lost", direction, workload, peer, was - will)
        if will - was:
            yield ChangedPair("gained", direction, workload, peer, will - was)

    def _compared_rules(self, direction: Direction, party: Party) -> bool:
        """Whether the plan changes any rule that restricts a workload of the namespace."""
        was, will = (
            {policy.spec.rules(direction) for policy in policies.isolating(direction, party.end)}
            for policies in (self.before, self.after)
        )
        return was != will


def _few(names: Sequence[str]) -> str:
    """The first of the names, with a namespace named once for all of its pods."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    by_place: dict[str, list[str]] = {}
    for name in names[:SHOWN]:
        what, _, place = name.partition(" in namespace ")
        together = by_place.setdefault(place, [])
        together.append(what.removeprefix("pods ") if place and together else what)
    parts = (", ".join(whats) + (f" in namespace {place}" if place else "") for place, whats in by_place.items())
    return ", ".join(parts) + more
