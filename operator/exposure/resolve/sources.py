"""The sources of one entry point: the decision table applied to each Service port, letters turned into addresses."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from exposure.addresses import Block, blocks, everyone, family, inside, of_families, union
from exposure.catalog.blind_spots import blind_spot
from exposure.catalog.decision_table import DecisionRow, decide
from exposure.labels import NAMESPACE_LABEL, selecting
from exposure.model.exposures import BlindSpot, Source, SourceKind
from exposure.model.objects import Service
from exposure.networkpolicy.values import Peer, PolicyPort
from exposure.resolve.clients import ClientRanges
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.nodes import snat_sources
from exposure.resolve.ports import ServicePorts
from exposure.resolve.profiles import Arrival

K3S_NAMESPACE = "kube-system"
K3S_LABELS = ("svccontroller.k3s.cattle.io/svcname", "svccontroller.k3s.cattle.io/svcnamespace")
EXPLANATIONS = {
    SourceKind.CLIENTS: "Clients reach the pod with their own addresses: {why}.",
    SourceKind.LOAD_BALANCER: "The load balancer's own addresses arrive: {why}.",
    SourceKind.HEALTH_CHECKS: "Health checks of the load balancer arrive at the pod's port.",
    SourceKind.NODES: "Nodes SNAT to these addresses: {why}.",
    SourceKind.OUTSIDE: "Everyone outside the cluster: {why}.",
}


@dataclass(frozen=True, slots=True)
class EntryPointSources:
    sources: tuple[Source, ...]
    spots: tuple[BlindSpot, ...]


def entry_point_sources(
    service: Service,
    entry_point: str,
    arrivals: Iterable[tuple[ServicePorts, Arrival]],
    clients: ClientRanges,
    unenforceable: str,
    facts: ClusterFacts,
) -> EntryPointSources:
    """What arrives through one entry point at each of its target ports; nothing at all where no client may come in."""
    if not clients.blocks:
        return EntryPointSources((), ())
    found: list[Source] = []
    spots: list[BlindSpot] = []
    alike: dict[tuple[str, Arrival], list[ServicePorts]] = {}
    for ports, arrival in arrivals:
        alike.setdefault((ports.port.protocol, arrival), []).append(ports)
    for (protocol, arrival), group in alike.items():
        opened = _PortSources(service, entry_point, protocol, tuple(group), arrival, clients, unenforceable, facts)
        sources, seen = opened.found()
        found += sources
        spots += seen
    return EntryPointSources(_merged(found), tuple(dict.fromkeys(spots)))


def _merged(sources: Iterable[Source]) -> tuple[Source, ...]:
    """One source for what differs in its ports alone."""
    by_meaning: dict[Source, list[PolicyPort]] = {}
    for each in sources:
        by_meaning.setdefault(replace(each, ports=()), []).extend(each.ports)
    return tuple(replace(each, ports=tuple(dict.fromkeys(ports))) for each, ports in by_meaning.items())


@dataclass(frozen=True, slots=True)
class _PortSources:
    """The Service ports of one entry point whose traffic arrives alike."""

    service: Service
    entry_point: str
    protocol: str
    ports: tuple[ServicePorts, ...]
    arrival: Arrival
    clients: ClientRanges
    unenforceable: str
    facts: ClusterFacts

    @property
    def targets(self) -> tuple[PolicyPort, ...]:
        return tuple(target for each in self.ports for target in each.targets)

    def found(self) -> tuple[list[Source], list[BlindSpot]]:
        profile, facts = self.arrival.profile, self.facts
        preserved = self.arrival.preserved
        row = decide(profile.delivery, preserved, self.service.external_traffic_policy, facts.cni.position)
        letters = row.sources
        spots: list[BlindSpot] = []
        # A whole family in place of node addresses, or node addresses themselves: what a narrow C cannot survive.
        hides = SourceKind.NODES in letters or SourceKind.OUTSIDE in letters
        if hides and self.clients.narrow:
            if self.unenforceable == "Deny":
                letters = (
                    SourceKind.CLIENTS if preserved else SourceKind.LOAD_BALANCER,
                    SourceKind.HEALTH_CHECKS,
                )
                spots.append(blind_spot("CrossNodeTrafficDropped", "clients.unenforceable is Deny."))
                hides = False
            else:
                spots += self._lost(row)
        sources: list[Source] = []
        for kind in letters:
            found, seen = self._letter(kind, row, preserved)
            sources += found
            spots += seen
        spots += self._unheld(letters, hides)
        if profile.service_proxy_pods:
            # Pods that masquerade hide the client as a node's SNAT does, with any externalTrafficPolicy.
            beyond_ranges = not self.clients.narrowed_by.isdisjoint({"policy", "limits"})
            told = {spot.reason for spot in spots}
            detail = "ServiceLB's pods masquerade, and hold only the Service's own ranges."
            if not beyond_ranges or self.unenforceable != "Deny":
                sources.append(self._proxy_pods(row))
                if beyond_ranges and "SourceFilterLost" not in told:
                    spots.append(blind_spot("SourceFilterLost", detail))
            elif "CrossNodeTrafficDropped" not in told:
                spots.append(blind_spot("CrossNodeTrafficDropped", detail))
        return sources, [*spots, *self._crossing(letters, row)]

    def _lost(self, row: DecisionRow) -> list[BlindSpot]:
        service, clients = self.service, self.clients
        by_kube_proxy = clients.narrowed_by <= {"field"} and self._kube_proxy_holds_field()
        # Node ports that were allocated before, or written by hand, stay although no new ones are.
        reachable = service.allocates_node_ports or any(port.node_port for port in service.ports)
        if self.entry_point == "LoadBalancer" and not reachable and by_kube_proxy:
            return []
        spots = [blind_spot("SourceFilterLost", f"Asked for: {_shown(clients.blocks)}.")]
        if row.sources == (SourceKind.OUTSIDE,):
            spots.append(
                blind_spot(
                    "CrossNodeTrafficDropped",
                    "Cilium sees what another node SNATed as world or as a remote node, by version and routing mode.",
                    effect="Unproven",
                )
            )
        return spots

    def _kube_proxy_holds_field(self) -> bool:
        """kube-proxy and its replacements filter the field's ranges on addresses they treat as VIPs."""
        published = self.service.published
        return self.arrival.profile.delivery == "node" and all(each.ip and each.ip_mode == "VIP" for each in published)

    def _unheld(self, letters: tuple[SourceKind, ...], hides: bool) -> list[BlindSpot]:
        """Narrow C that nobody holds: not the policy (it admits L), not the load balancer, not kube-proxy."""
        clients, profile = self.clients, self.arrival.profile
        if not clients.narrow or (SourceKind.CLIENTS in letters and not hides):
            return []
        by_balancer = profile.enforces_ranges
        by_kube_proxy = self.arrival.preserved and self._kube_proxy_holds_field()
        unheld = set()
        if "field" in clients.narrowed_by and not (by_balancer or by_kube_proxy):
            unheld.add("spec.loadBalancerSourceRanges")
        if "annotation" in clients.narrowed_by and not by_balancer:
            unheld.add("the source range annotation")
        if not hides or not self.arrival.preserved:
            # Behind a proxy no externalTrafficPolicy brings the client back, so this is not the node ports' doing.
            unheld |= {
                name
                for key, name in (("policy", "clients"), ("limits", "limits.clients"))
                if key in clients.narrowed_by
            }
        return [blind_spot("SourceRangesUnenforced", f"Held by nobody: {', '.join(sorted(unheld))}.")] if unheld else []

    def _letter(self, kind: SourceKind, row: DecisionRow, preserved: bool) -> tuple[list[Source], list[BlindSpot]]:
        families, arrival, facts = self.clients.families, self.arrival, self.facts
        targets = self.targets
        match kind:
            case SourceKind.CLIENTS:
                sources = [self._source(SourceKind.CLIENTS, self.clients.blocks, targets, row)]
                beside = of_families(blocks(arrival.beside_clients), families) if arrival.beside_clients else ()
                if beside:
                    why = "PrivateLink, and clients of the other address family, arrive from the load balancer"
                    sources.append(
                        replace(self._source(SourceKind.LOAD_BALANCER, beside, targets, row), explanation=f"{why}.")
                    )
                missing = arrival.beside_unknown and self.clients.narrow
                detail = "Clients of the other address family arrive from the load balancer's addresses."
                return sources, [blind_spot("LoadBalancerAddressesRequired", detail)] if missing else []
            case SourceKind.LOAD_BALANCER:
                if arrival.load_balancer is None:
                    return [], [blind_spot("LoadBalancerAddressesRequired", f"Profile {arrival.profile.slug}.")]
                return [
                    self._source(
                        SourceKind.LOAD_BALANCER, of_families(blocks(arrival.load_balancer), families), targets, row
                    )
                ], []
            case SourceKind.HEALTH_CHECKS:
                return self._probes(row, preserved)
            case SourceKind.OUTSIDE:
                return [self._source(SourceKind.OUTSIDE, everyone(families), targets, row)], []
            case _:
                carved = facts.pod_ranges.carved
                found, widened = snat_sources(facts.snat, families, facts.config.node_address_limit, carved)
                spots = (
                    [blind_spot("NodeRangesWidened", f"{len(found)} ranges stand for {len(facts.snat)}.")]
                    if widened
                    else []
                )
                return [self._source(SourceKind.NODES, blocks(found), targets, row)], spots

    def _probes(self, row: DecisionRow, preserved: bool) -> tuple[list[Source], list[BlindSpot]]:
        probes, profile = self.arrival.probes, self.arrival.profile
        targets = self._probe_targets()
        if probes is None:
            # Where everyone may come in at that port, or L is missing anyway, nothing more is lost by not knowing.
            let_in = not self.clients.narrow and set(targets) <= set(self.targets)
            known = let_in or not preserved or not targets
            return [], [] if known else [blind_spot("HealthCheckSourcesUnknown", f"Profile {profile.slug}.")]
        found = of_families(blocks(probes), self.clients.families)
        unresolved = [name for name in self._unprobed() if found]
        spots = [blind_spot("NamedPortUnresolved", f"Health checks on TCP of {name}.") for name in unresolved]
        return ([self._source(SourceKind.HEALTH_CHECKS, found, targets, row)] if found and targets else []), spots

    def _probe_targets(self) -> tuple[PolicyPort, ...]:
        if self.arrival.probe_port is not None:
            return (PolicyPort("TCP", self.arrival.probe_port),)
        if self.protocol == "TCP":
            return self.targets
        if self.arrival.profile.delivery != "pod":
            return ()
        # A target of another protocol is probed on TCP of the same number; a name stands for its own protocol only.
        numbers = [each.port for each in self.targets if isinstance(each.port, int)]
        numbers += [number for each in self.ports for number in each.numbers]
        return tuple(PolicyPort("TCP", number) for number in dict.fromkeys(numbers))

    def _unprobed(self) -> Iterator[str]:
        """Named targets of another protocol than TCP whose numbers, where they are probed, are not known."""
        if self.protocol == "TCP" or self.arrival.probe_port is not None or self.arrival.profile.delivery != "pod":
            return
        for each in self.ports:
            if not each.numbers:
                yield from (str(target.port) for target in each.targets if isinstance(target.port, str))

    def _proxy_pods(self, row: DecisionRow) -> Source:
        peer = Peer(
            namespaces=selecting({NAMESPACE_LABEL: K3S_NAMESPACE}),
            pods=selecting(dict(zip(K3S_LABELS, (self.service.name, self.service.namespace), strict=True))),
        )
        explanation = "ServiceLB's pods forward to the Service and masquerade."
        reference = self.arrival.profile.source
        return Source(
            SourceKind.PROXY_PODS, (), self.targets, row.id, explanation, reference, (peer,), self.entry_point
        )

    def _crossing(self, letters: tuple[SourceKind, ...], row: DecisionRow) -> list[BlindSpot]:
        """Cross-node traffic that would need N where no node address is known."""
        asked = {family(each.cidr) for each in self.clients.blocks}
        if SourceKind.NODES not in letters or asked <= {family(each) for each in self.facts.snat}:
            return []
        if SourceKind.CLIENTS in letters and not self.clients.narrow:
            return []
        detail = "No node address is known: give Nodes, or set network.nodeCIDRs."
        return [blind_spot("CrossNodeTrafficDropped", detail, cure="Set network.nodeCIDRs in the configuration.")]

    def _source(
        self, kind: SourceKind, found: tuple[Block, ...], ports: tuple[PolicyPort, ...], row: DecisionRow
    ) -> Source:
        explanation = _explanation(kind, row.why)
        reference = (
            self.arrival.profile.source
            if kind in (SourceKind.LOAD_BALANCER, SourceKind.HEALTH_CHECKS)
            else row.reference
        )
        return Source(kind, found, ports, row.id, explanation, reference, entry_point=self.entry_point)


@cache
def _explanation(kind: SourceKind, why: str) -> str:
    return EXPLANATIONS[kind].format(why=why)


def _shown(found: tuple[Block, ...]) -> str:
    return ", ".join(map(str, found))


def carved(sources: Iterable[Source], facts: ClusterFacts) -> tuple[tuple[Source, ...], tuple[BlindSpot, ...]]:
    """The sources without pod addresses, and what that cuts or leaves open."""
    result: list[Source] = []
    cut, open_blocks = False, []
    for each in sources:
        kept, was_cut = facts.pod_ranges.carve(each.blocks)
        if was_cut and each.kind is SourceKind.NODES:
            # A node CIDR that holds pods as well held the nodes' own tunnel addresses among them.
            own = (one for one in facts.snat_among_pods if any(inside(one, whole.cidr) for whole in each.blocks))
            kept = union((*kept, *blocks(own)))
        cut = cut or was_cut
        open_blocks += [block for block in kept if facts.pod_ranges.can_hold_pods(block)]
        if kept or each.peers:
            result.append(replace(each, blocks=kept))
    spots: list[BlindSpot] = []
    if cut:
        spots.append(blind_spot("InClusterClientsExcluded"))
    if open_blocks:
        spots.append(blind_spot("EastWestOpen", facts.pod_ranges.open_because))
    return tuple(result), tuple(spots)
