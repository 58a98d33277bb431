"""What one governed Service is granted: sources through each of its entry points, rules for its pods, blind spots."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from exposure.addresses import Block, Family, blocks, union, whole_families
from exposure.catalog.blind_spots import blind_spot
from exposure.catalog.providers import PROFILES, Profile
from exposure.labels import EVERYTHING
from exposure.model.exposures import BlindSpot, Source, SourceKind
from exposure.model.intent import LoadBalancerOverrides
from exposure.model.objects import Pod, Service
from exposure.networkpolicy.values import Peer, PolicyPort, Rule
from exposure.resolve.clients import ClientRanges, client_ranges, families_of
from exposure.resolve.egress import egress_rules
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.governance import Voice
from exposure.resolve.ingress_points import RouteGrant
from exposure.resolve.inputs import Scene
from exposure.resolve.nodes import snat_sources
from exposure.resolve.ports import ServicePorts, exposed_ports, routed_port, target_ports
from exposure.resolve.profiles import arrival, l7_profile, profile_of
from exposure.resolve.sources import carved, entry_point_sources
from exposure.resolve.subjects import Subject, subject_of

#: Entry points that reach a node port, an external address or a host port: kube-proxy forwards, nobody probes or filters.
BARE = PROFILES["metallb"]


@dataclass(frozen=True, slots=True)
class Grant:
    """`ingress` () admits nobody; `egress` None leaves egress alone. `refusal` says why nothing is granted."""

    service: Service
    voice: Voice
    subject: Subject
    ports: tuple[ServicePorts, ...]
    sources: tuple[Source, ...]
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...] | None
    spots: tuple[BlindSpot, ...]
    profile: Profile
    refusal: str = ""


def grant_for(
    scene: Scene, facts: ClusterFacts, service: Service, voice: Voice, routes: tuple[RouteGrant, ...]
) -> Grant:
    """Everything that the governing policy grants one Service."""
    slices = scene.slices.get(service.name, ())
    subject = subject_of(service, scene.pods, slices, facts)
    profile = profile_of(service, voice.spec.load_balancer, facts)
    if subject.selector is None:
        refusal = subject.spots[0].message
        return Grant(service, voice, subject, (), (), (), None, subject.spots, profile, refusal)
    egress, egress_spots = _egress(voice, facts)
    if voice.refused:
        # Nothing is granted on the way out either; that egress is restricted at all is a denial, and counts.
        egress = None if egress is None else ()
        refusal = (
            voice.verdict.message
            if not voice.verdict.accepted
            else "An ExposurePolicy is required here, and none covers it."
        )
        return Grant(service, voice, subject, (), (), (), egress, (*subject.spots, *egress_spots), profile, refusal)
    exposed = exposed_ports(service, voice.spec.ports, scene.limit.ports)
    ports = target_ports(service, exposed, facts.cni, slices, subject.pods)
    spots = [*subject.spots, *egress_spots]
    spots += [
        blind_spot("NamedPortUnresolved", f"Service port {each.port.port} targets {each.port.target_port!r}.")
        for each in ports
        if not each.targets
    ]
    usable = tuple(each for each in ports if each.targets)
    found = _EntryPoints(scene, facts, service, voice, profile, usable, routes)
    sources, seen, refusal = found.sources()
    kept, cut = carved(sources, facts)
    rules = list(source_rules(kept))
    opened = _ports_of(usable)
    if voice.spec.peers and opened:
        rules.append(Rule(voice.spec.peers, opened))
    if _admits_neighbours(scene, voice):
        rules.append(Rule((Peer(pods=EVERYTHING),), None))
    spots += [*seen, *cut]
    return Grant(
        service, voice, subject, ports, kept, tuple(rules), egress, tuple(dict.fromkeys(spots)), profile, refusal
    )


def _egress(voice: Voice, facts: ClusterFacts) -> tuple[tuple[Rule, ...] | None, tuple[BlindSpot, ...]]:
    if voice.spec.egress is None:
        return None, ()
    return egress_rules(voice.spec.egress, facts)


def _admits_neighbours(scene: Scene, voice: Voice) -> bool:
    """Without a default-deny there is no same-namespace policy either, so each Service's own wall must let them in."""
    isolation = scene.isolation({voice.mode, "Enforce"})
    return not isolation.ingress and bool(isolation.allow_same_namespace)


def _ports_of(ports: Iterable[ServicePorts]) -> tuple[PolicyPort, ...]:
    return tuple(sorted({target for each in ports for target in each.targets}, key=_port_key))


def _port_key(port: PolicyPort) -> tuple[str, bool, int, str]:
    number = port.port if isinstance(port.port, int) else 0
    return port.protocol, isinstance(port.port, str), number, str(port.port)


def source_rules(sources: Iterable[Source]) -> tuple[Rule, ...]:
    """The fewest rules that admit each source at its ports: ports that admit the same peers share one."""
    return _source_rules(tuple((source.blocks, source.peers, source.ports) for source in sources))


# Services that admit the same sources share their rules, in time and in memory.
@lru_cache(maxsize=4096)
def _source_rules(
    sources: tuple[tuple[tuple[Block, ...], tuple[Peer, ...], tuple[PolicyPort, ...]], ...],
) -> tuple[Rule, ...]:
    by_port: dict[PolicyPort, tuple[list[Block], list[Peer]]] = {}
    for blocks_here, peers_here, ports_here in sources:
        for port in ports_here:
            found, peers = by_port.setdefault(port, ([], []))
            found += blocks_here
            peers += peers_here
    by_peers: dict[tuple[Peer, ...], list[PolicyPort]] = {}
    for port, (found, peers) in by_port.items():
        from_blocks = (Peer(each) for each in union(found))
        admitted = (*from_blocks, *sorted(set(peers), key=str))
        if admitted:
            by_peers.setdefault(admitted, []).append(port)
    rules = [Rule(peers, tuple(sorted(ports, key=_port_key))) for peers, ports in by_peers.items()]
    return tuple(sorted(rules, key=lambda rule: [_port_key(port) for port in rule.ports or ()]))


@dataclass(frozen=True, slots=True)
class _EntryPoints:
    """The entry points of one Service that its policy opens, one after the other."""

    scene: Scene
    facts: ClusterFacts
    service: Service
    voice: Voice
    profile: Profile
    ports: tuple[ServicePorts, ...]
    routes: tuple[RouteGrant, ...]

    def sources(self) -> tuple[list[Source], list[BlindSpot], str]:
        found: list[Source] = []
        spots: list[BlindSpot] = []
        refusal = ""
        entry_points = self.scene.entry_points[self.service.name].intersection(self.voice.spec.selected_entry_points)
        for entry_point in self.voice.spec.selected_entry_points:
            if entry_point not in entry_points:
                continue
            if entry_point in ("Ingress", "Gateway"):
                through = [route for route in self.routes if route.front.entry_point == entry_point]
                got, seen, refused = self._routed(entry_point, through)
            else:
                got, seen, refused = self._direct(entry_point)
            found += got
            spots += seen
            refusal = refusal or refused
        return found, spots, refusal

    @property
    def families(self) -> tuple[Family, ...]:
        return families_of(self.service, self.facts.pod_ranges.families)

    @property
    def _unenforceable(self) -> str:
        return self.voice.spec.clients.unenforceable or "Allow"

    def _clients(self, entry_point: str, profile: Profile) -> ClientRanges:
        return client_ranges(
            self.service, entry_point, profile, self.voice.spec.clients, self.scene.limit, self.families
        )

    def _direct(self, entry_point: str) -> tuple[list[Source], list[BlindSpot], str]:
        profile = self.profile if entry_point == "LoadBalancer" else BARE
        overrides = self.voice.spec.load_balancer
        # A host port is answered on the pod's own node, by whatever policy the Service has.
        service = replace(self.service, external_traffic_policy="Local") if entry_point == "HostPort" else self.service
        clients = self._clients(entry_point, profile)
        if self._public_refused(clients):
            return [], list(clients.spots), f"limits.allowPublic is false, and {entry_point} clients are everyone."
        if entry_point != "LoadBalancer":
            overrides = LoadBalancerOverrides(health_check_cidrs=overrides.health_check_cidrs)
        arrivals = [
            (ports, arrival(profile, service, ports.port, overrides, self.facts, self.families))
            for ports in self._ports(entry_point)
        ]
        got = entry_point_sources(service, entry_point, arrivals, clients, self._unenforceable, self.facts)
        refusal = (
            ""
            if clients.blocks
            else "No client range is left: the policy's, its limits and the Service's ranges are disjoint."
        )
        spots = [*clients.spots, *got.spots]
        cni = self.facts.cni
        if (
            profile.delivery == "node"
            and service.external_traffic_policy == "Cluster"
            and not cni.enforces_cluster_policy
        ):
            spots.append(
                blind_spot("PolicyNotEnforced", f"{cni.slug} does not filter it with externalTrafficPolicy Cluster.")
            )
        return list(got.sources), spots, refusal

    def _ports(self, entry_point: str) -> tuple[ServicePorts, ...]:
        if entry_point != "HostPort":
            return self.ports
        behind = {
            (port.protocol, key)
            for pod in _pods_behind(self.scene, self.service)
            for port in pod.ports
            if port.host_port
            for key in (port.port, port.name)
        }
        return tuple(each for each in self.ports if any((t.protocol, t.port) in behind for t in each.targets))

    def _public_refused(self, clients: ClientRanges) -> bool:
        return not self.scene.limit.allow_public and bool(whole_families(each.cidr for each in clients.blocks))

    def _routed(self, entry_point: str, through: list[RouteGrant]) -> tuple[list[Source], list[BlindSpot], str]:
        found: list[Source] = []
        spots: list[BlindSpot] = []
        for route in through:
            port = routed_port(self.service, route.backend.port)
            ports = next((each for each in self.ports if each.port == port), None)
            if ports is None:
                continue
            clients = self._clients(entry_point, BARE)
            if not clients.blocks:
                continue
            got, seen = self._through(entry_point, route, ports, clients)
            found += got
            spots += seen
        return _deduplicated(found), spots, ""

    def _through(
        self, entry_point: str, route: RouteGrant, ports: ServicePorts, clients: ClientRanges
    ) -> tuple[list[Source], list[BlindSpot]]:
        proxy, facts = route.proxy, self.facts
        row, via = f"{proxy.kind}-proxy", f"{route.route} leads here from {route.front}"
        reference = "https://kubernetes.io/docs/concepts/services-networking/ingress/"
        # The pod sees the proxy, never who called it: client ranges can be held at the proxy's own Service alone.
        lost: list[BlindSpot] = []
        if clients.narrow and proxy.kind == "pods":
            lost.append(
                blind_spot(
                    "SourceRangesUnenforced", f"{via}, whoever calls that: open the proxy's Service to them alone."
                )
            )
        elif clients.narrow and proxy.kind == "nodes":
            lost.append(blind_spot("SourceFilterLost", f"{via}, by the addresses of its nodes."))
        match proxy.kind:
            case "pods" if proxy.peer is not None:
                source = Source(
                    SourceKind.PROXY_PODS,
                    (),
                    ports.targets,
                    row,
                    f"The proxy's pods call: {via}.",
                    reference,
                    (proxy.peer,),
                    entry_point,
                )
                return [source], lost
            case "nodes":
                if clients.narrow and self._unenforceable == "Deny":
                    return [], [blind_spot("CrossNodeTrafficDropped", f"{via} by its nodes; unenforceable is Deny.")]
                if facts.cni.pod_ranges == "matched-by-identity":
                    return [], [
                        blind_spot(
                            "CrossNodeTrafficDropped", f"{via} by its nodes, which no ipBlock matches on Cilium."
                        )
                    ]
                nodes, widened = snat_sources(
                    facts.snat, self.families, facts.config.node_address_limit, facts.pod_ranges.carved
                )
                spots = [*lost, blind_spot("NodeRangesWidened")] if widened else lost
                source = Source(
                    SourceKind.NODES,
                    blocks(nodes),
                    ports.targets,
                    row,
                    f"The proxy shares its node's network: {via}.",
                    reference,
                    (),
                    entry_point,
                )
                return ([source] if nodes else []), spots
            case "cloud":
                front = dict(route_annotations(route, facts))
                profile = l7_profile(proxy.profile, entry_point, front, self.service)
                one = arrival(
                    profile, self.service, ports.port, self.voice.spec.load_balancer, facts, self.families, (), front
                )
                got = entry_point_sources(
                    self.service, entry_point, [(ports, one)], clients, self._unenforceable, facts
                )
                return list(got.sources), list(got.spots)
            case _:
                return [], []


def _deduplicated(sources: Iterable[Source]) -> list[Source]:
    return list(dict.fromkeys(sources))


def route_annotations(route: RouteGrant, facts: ClusterFacts) -> tuple[tuple[str, str], ...]:
    fronts = facts.fronts.get(route.front.namespace, ())
    return next((front.annotations for front in fronts if front.ref == route.front), ())


def _pods_behind(scene: Scene, service: Service) -> tuple[Pod, ...]:
    wanted = dict(service.selector or ())
    return tuple(each.pod for each in scene.pods if wanted and wanted.items() <= each.labels.items())
