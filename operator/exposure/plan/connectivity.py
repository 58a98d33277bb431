"""Which connections a plan takes and which it gives: policies before and after, in words that need no Pod objects.

Who may connect is compared for parties: workloads of the namespace (pods with equal labels, or what a Service or a
policy selects), workloads of other namespaces, the nodes, and the ranges into which the policies' ipBlocks cut all
addresses. Where pods are not known, a party stands for the pods that a selector names. A connection inside the cluster
needs the consent of both ends; what other namespaces' own policies say is taken as it stands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exposure.model.plans import Plan
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import NetworkPolicy, Peer, Rule
from exposure.plan.parties import Party, parties_of, ranges_of, ranges_text
from exposure.plan.port_sets import Ports, PortSet, ports_of

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
class Row:
    """One workload of the namespace, and a peer that connects to it (`ingress`) or that it connects to (`egress`)."""

    verb: str
    way: str
    subject: Party
    peer: Party
    ports: PortSet


def after_plan(plan: Plan, live: Mapping[str, NetworkPolicy]) -> dict[str, NetworkPolicy]:
    """Every NetworkPolicy of the namespace once the plan is carried out, foreign ones included."""
    found = dict(live)
    for change in plan.changes:
        if change.verb == "delete":
            found.pop(change.name, None)
        else:
            found[change.name] = change.policy
    return found


def connectivity(snapshot: Snapshot, plan: Plan, *, pods: bool = True) -> tuple[Difference, ...]:
    """What the plan would take and give, losses first, sorted. `pods` False reads no Pods: selectors stand for them."""
    live = snapshot.network_policies.get(plan.namespace, {})
    before, after = list(live.values()), list(after_plan(plan, live).values())
    if {policy.spec for policy in before} == {policy.spec for policy in after}:
        return ()
    return Comparison(snapshot, plan.namespace, before, after, pods).differences()


def connectivity_lines(differences: Sequence[Difference], limit: int = LISTED) -> list[str]:
    """One line each, at most `limit`; where there are more, the last line counts the rest."""
    lines = [str(each) for each in differences[:limit]]
    if len(differences) > limit:
        lines[-1] = f"and {len(differences) - limit + 1} more"
    return lines


class Comparison:
    """The policies of one namespace before and after, over every party that they tell apart."""

    def __init__(
        self, snapshot: Snapshot, namespace: str, before: list[NetworkPolicy], after: list[NetworkPolicy], pods: bool
    ) -> None:
        self.policies = (before, after)
        self.snapshot = snapshot
        every = [*before, *after]
        rules = [rule for policy in every for rule in (*(policy.spec.ingress or ()), *(policy.spec.egress or ()))]
        self.ports = Ports(port for rule in rules for port in rule.ports or ())
        peers = [peer for rule in rules for peer in rule.peers or ()]
        self.own, self.others = parties_of(snapshot, namespace, [policy.spec.subject for policy in every], peers, pods)
        self.outside = ranges_of(snapshot, [peer.block for peer in peers if peer.block is not None])
        self._matches: dict[tuple[Peer, Party, str], bool] = {}

    def rows(self) -> Iterator[Row]:
        """Every pair of parties with the ports at which a connection is lost or gained."""
        beyond = (*self.others, *self.outside)
        for subject in self.own:
            for way, peers in (("ingress", (*self.own, *beyond)), ("egress", beyond)):
                for peer in peers:
                    if peer is subject and peer.single:
                        continue
                    receiver = subject if way == "ingress" else peer
                    was, will = (self._passing(when, way, subject, peer, receiver) for when in (0, 1))
                    if was - will:
                        yield Row("lost", way, subject, peer, was - will)
                    if will - was:
                        yield Row("gained", way, subject, peer, will - was)

    def differences(self) -> tuple[Difference, ...]:
        return tuple(sorted(self._grouped(), key=lambda each: (each.verb != "lost", str(each))))

    def _grouped(self) -> Iterator[Difference]:
        """Peers of one workload together, then workloads with the same peers together."""
        found: dict[tuple[str, str, str, str], list[Party]] = {}
        for row in self.rows():
            receiver = row.subject if row.way == "ingress" else row.peer
            shown = self.ports.text(row.ports, receiver)
            found.setdefault((row.verb, row.way, row.subject.short, shown), []).append(row.peer)
        together: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
        for (verb, way, subject, ports), peers in found.items():
            together.setdefault((verb, way, ports, self._named(peers)), []).append(subject)
        for (verb, way, ports, shown_peers), subjects in together.items():
            workloads = tuple(sorted(set(subjects)))
            if way == "ingress":
                yield Difference(verb, shown_peers, workloads, ports)
            else:
                yield Difference(verb, workloads, shown_peers, ports)

    def _named(self, peers: Sequence[Party]) -> tuple[str, ...]:
        named = {peer.text for peer in peers if peer.net is None}
        every = {party.text for party in self.own}
        if len(every) > 1 and every <= named:
            named = {*(named - every), f"every pod in namespace {self.own[0].home}"}
        return (*sorted(named), *ranges_text(peers, self.outside))

    def _passing(self, when: int, way: str, subject: Party, peer: Party, receiver: Party) -> PortSet:
        """The ports at which a connection passes, before (0) or after (1)."""
        passing = self._consent(self.policies[when], way, subject, peer, receiver)
        back = "egress" if way == "ingress" else "ingress"
        if peer.home is None or not passing:
            return passing
        theirs = self.policies[when] if peer.home == subject.home else peer.policies
        return passing & self._consent(theirs, back, peer, subject, receiver)

    def _consent(
        self, policies: Iterable[NetworkPolicy], way: str, subject: Party, peer: Party, receiver: Party
    ) -> PortSet:
        closed = False
        found: PortSet = frozenset()
        for policy in policies:
            rules = policy.spec.ingress if way == "ingress" else policy.spec.egress
            if rules is None or not policy.spec.subject.matches(subject.labels):
                continue
            closed = True
            for rule in rules:
                if self._names(rule, peer, policy.namespace):
                    found |= ports_of(self.ports, rule.ports, receiver)
        return found if closed else self.ports.every(receiver)

    def _names(self, rule: Rule, party: Party, home: str) -> bool:
        if rule.peers is None:
            return True
        return any(self._is(peer, party, home) for peer in rule.peers)

    def _is(self, peer: Peer, party: Party, home: str) -> bool:
        key = peer, party, home
        if key not in self._matches:
            self._matches[key] = party.is_named(peer, home)
        return self._matches[key]


def _few(names: Sequence[str]) -> str:
    """The first of the names, with a namespace said once for all of its pods."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    by_place: dict[str, list[str]] = {}
    for name in names[:SHOWN]:
        what, _, place = name.partition(" in namespace ")
        by_place.setdefault(place, []).append(what)
    parts = [
        ", ".join([whats[0], *(each.removeprefix("pods ") for each in whats[1:])] if place else whats)
        + (f" in namespace {place}" if place else "")
        for place, whats in by_place.items()
    ]
    return ", ".join(parts) + more
