"""What one governed Service is granted: sources through each of its doors, rules for its pods, blind spots."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from exposure.facts.providers import PROFILES, Profile
from exposure.facts.reasons import blind_spot
from exposure.resolve.clients import ClientRanges, client_ranges, families_of
from exposure.resolve.egress import egress_rules
from exposure.resolve.fronts import RouteGrant
from exposure.resolve.governance import Voice
from exposure.resolve.nodes import snat_sources
from exposure.resolve.ports import ServicePorts, exposed_ports, routed_port, target_ports
from exposure.resolve.profiles import arrival, l7_profile, profile_of
from exposure.resolve.scene import Scene
from exposure.resolve.sources import carved, door_sources
from exposure.resolve.subjects import Subject, subject_of
from exposure.resolve.survey import Survey
from exposure.values.addresses import Block, Family, blocks, union, whole_families
from exposure.values.exposures import BlindSpot, Source
from exposure.values.labels import EVERYTHING
from exposure.values.network_policy import Peer, PolicyPort, Rule
from exposure.values.objects import Pod, Service
from exposure.values.policies import LoadBalancerOverrides

#: Doors that reach a node port, an external address or a host port: kube-proxy forwards, nobody probes or filters.
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


def grant_for(scene: Scene, survey: Survey, service: Service, voice: Voice, routes: tuple[RouteGrant, ...]) -> Grant:
    """Everything that the governing policy grants one Service."""
    slices = scene.slices.get(service.name, ())
    subject = subject_of(service, scene.pods, slices, survey)
    profile = profile_of(service, voice.spec.load_balancer, survey)
    if subject.selector is None:
        refusal = subject.spots[0].message
        return Grant(service, voice, subject, (), (), (), None, subject.spots, profile, refusal)
    egress, egress_spots = _egress(voice, survey)
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
    ports = target_ports(service, exposed, survey.cni, slices, subject.pods)
    spots = [*subject.spots, *egress_spots]
    spots += [
        blind_spot("NamedPortUnresolved", f"Service port {each.port.port} targets {each.port.target_port!r}.")
        for each in ports
        if not each.targets
    ]
    usable = tuple(each for each in ports if each.targets)
    found = _Doors(scene, survey, service, voice, profile, usable, routes)
    sources, seen, refusal = found.sources()
    kept, cut = carved(sources, survey)
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


def _egress(voice: Voice, survey: Survey) -> tuple[tuple[Rule, ...] | None, tuple[BlindSpot, ...]]:
    if voice.spec.egress is None:
        return None, ()
    return egress_rules(voice.spec.egress, survey)


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
class _Doors:
    """The doors of one Service that its policy opens, one after the other."""

    scene: Scene
    survey: Survey
    service: Service
    voice: Voice
    profile: Profile
    ports: tuple[ServicePorts, ...]
    routes: tuple[RouteGrant, ...]

    def sources(self) -> tuple[list[Source], list[BlindSpot], str]:
        found: list[Source] = []
        spots: list[BlindSpot] = []
        refusal = ""
        doors = self.scene.doors[self.service.name].intersection(self.voice.spec.open_doors)
        for door in self.voice.spec.open_doors:
            if door not in doors:
                continue
            if door in ("Ingress", "Gateway"):
                through = [route for route in self.routes if route.front.door == door]
                got, seen, refused = self._routed(door, through)
            else:
                got, seen, refused = self._direct(door)
            found += got
            spots += seen
            refusal = refusal or refused
        return found, spots, refusal

    @property
    def families(self) -> tuple[Family, ...]:
        return families_of(self.service, self.survey.pod_ranges.families)

    @property
    def _unenforceable(self) -> str:
        return self.voice.spec.clients.unenforceable or "Allow"

    def _clients(self, door: str, profile: Profile) -> ClientRanges:
        return client_ranges(self.service, door, profile, self.voice.spec.clients, self.scene.limit, self.families)

    def _direct(self, door: str) -> tuple[list[Source], list[BlindSpot], str]:
        profile = self.profile if door == "LoadBalancer" else BARE
        overrides = self.voice.spec.load_balancer
        # A host port is answered on the pod's own node, by whatever policy the Service has.
        service = replace(self.service, external_traffic_policy="Local") if door == "HostPort" else self.service
        clients = self._clients(door, profile)
        if self._public_refused(clients):
            return [], list(clients.spots), f"limits.allowPublic is false, and {door} clients are everyone."
        if door != "LoadBalancer":
            overrides = LoadBalancerOverrides(health_check_cidrs=overrides.health_check_cidrs)
        arrivals = [
            (ports, arrival(profile, service, ports.port, overrides, self.survey, self.families))
            for ports in self._ports(door)
        ]
        got = door_sources(service, door, arrivals, clients, self._unenforceable, self.survey)
        refusal = (
            ""
            if clients.blocks
            else "No client range is left: the policy's, its limits and the Service's ranges are disjoint."
        )
        spots = [*clients.spots, *got.spots]
        cni = self.survey.cni
        if (
            profile.delivery == "node"
            and service.external_traffic_policy == "Cluster"
            and not cni.enforces_cluster_policy
        ):
            spots.append(
                blind_spot("PolicyNotEnforced", f"{cni.slug} does not filter it with externalTrafficPolicy Cluster.")
            )
        return list(got.sources), spots, refusal

    def _ports(self, door: str) -> tuple[ServicePorts, ...]:
        if door != "HostPort":
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

    def _routed(self, door: str, through: list[RouteGrant]) -> tuple[list[Source], list[BlindSpot], str]:
        found: list[Source] = []
        spots: list[BlindSpot] = []
        for route in through:
            port = routed_port(self.service, route.backend.port)
            ports = next((each for each in self.ports if each.port == port), None)
            if ports is None:
                continue
            clients = self._clients(door, BARE)
            if not clients.blocks:
                continue
            got, seen = self._through(door, route, ports, clients)
            found += got
            spots += seen
        return _deduplicated(found), spots, ""

    def _through(
        self, door: str, route: RouteGrant, ports: ServicePorts, clients: ClientRanges
    ) -> tuple[list[Source], list[BlindSpot]]:
        proxy, survey = route.proxy, self.survey
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
                    "P", (), ports.targets, row, f"The proxy's pods call: {via}.", reference, (proxy.peer,), door
                )
                return [source], lost
            case "nodes":
                if clients.narrow and self._unenforceable == "Deny":
                    return [], [blind_spot("CrossNodeTrafficDropped", f"{via} by its nodes; unenforceable is Deny.")]
                if survey.cni.pod_ranges == "matched-by-identity":
                    return [], [
                        blind_spot(
                            "CrossNodeTrafficDropped", f"{via} by its nodes, which no ipBlock matches on Cilium."
                        )
                    ]
                nodes, widened = snat_sources(
                    survey.snat, self.families, survey.config.node_address_limit, survey.pod_ranges.carved
                )
                spots = [*lost, blind_spot("NodeRangesWidened")] if widened else lost
                source = Source(
                    "N",
                    blocks(nodes),
                    ports.targets,
                    row,
                    f"The proxy shares its node's network: {via}.",
                    reference,
                    (),
                    door,
                )
                return ([source] if nodes else []), spots
            case "cloud":
                front = dict(route_annotations(route, survey))
                profile = l7_profile(proxy.profile, door, front, self.service)
                one = arrival(
                    profile, self.service, ports.port, self.voice.spec.load_balancer, survey, self.families, (), front
                )
                got = door_sources(self.service, door, [(ports, one)], clients, self._unenforceable, survey)
                return list(got.sources), list(got.spots)
            case _:
                return [], []


def _deduplicated(sources: Iterable[Source]) -> list[Source]:
    return list(dict.fromkeys(sources))


def route_annotations(route: RouteGrant, survey: Survey) -> tuple[tuple[str, str], ...]:
    fronts = survey.fronts.get(route.front.namespace, ())
    return next((front.annotations for front in fronts if front.ref == route.front), ())


def _pods_behind(scene: Scene, service: Service) -> tuple[Pod, ...]:
    wanted = dict(service.selector or ())
    return tuple(each.pod for each in scene.pods if wanted and wanted.items() <= each.labels.items())
