"""Exposures: each entry point of a namespace with what is open, from where, by which policy, and what nothing can hold."""

from collections.abc import Iterable
from typing import Protocol

from exposure.catalog.blind_spots import REASONS, blind_spot
from exposure.catalog.decision_table import IP_BLOCK
from exposure.labels import selecting
from exposure.model.exposures import BackendSummary, BlindSpot, Exposure, OpenPort, PolicyRef, Source, SourceKind
from exposure.model.intent import Clients, LoadBalancerOverrides
from exposure.model.objects import Ref, Service, ServicePort
from exposure.model.snapshot import Snapshot
from exposure.networkpolicy.values import Owner, PolicyPort
from exposure.resolve.clients import client_ranges, families_of
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.grants import Grant
from exposure.resolve.ingress_points import Front, RouteGrant
from exposure.resolve.inputs import SERVICE_ENTRY_POINTS, Scene
from exposure.resolve.ports import routed_port, selected
from exposure.resolve.profiles import l7_profile, profile_of
from exposure.resolve.tenancy import Bounds

UNGOVERNED_ROW = "ungoverned"
PEERS_ROW = "peers"
ORDER = {name: index for index, name in enumerate(REASONS)}


def ordered(spots: Iterable[BlindSpot]) -> tuple[BlindSpot, ...]:
    """Each blind spot once, in the order of the catalogue."""
    return tuple(sorted(dict.fromkeys(spots), key=lambda spot: (ORDER[spot.reason], spot.message)))


def governed_exposure(
    scene: Scene,
    facts: ClusterFacts,
    grant: Grant,
    more: Iterable[BlindSpot],
    policies: tuple[Ref, ...],
    default_deny: bool,
) -> Exposure:
    service = grant.service
    spots = [*grant.spots, *more, *cluster_spots(facts)]
    entry_points = shown_entry_points(service, scene, frozenset(grant.voice.spec.selected_entry_points))
    through = frozenset(SERVICE_ENTRY_POINTS)
    sources = tuple(source for source in grant.sources if source.entry_point in through)
    targets = tuple(dict.fromkeys(target for each in grant.ports for target in each.targets))
    if grant.voice.spec.peers and targets and not grant.voice.refused:
        why = "The policy names these callers in peers."
        peers = Source(SourceKind.PEERS, (), targets, PEERS_ROW, why, IP_BLOCK, grant.voice.spec.peers, entry_points[0])
        sources = (*sources, peers)
    opened = tuple(open_port(each.port) for each in grant.ports if each.targets and grant.ingress)
    return Exposure(
        namespace=service.namespace,
        name=f"service-{service.name}",
        owner=Owner("v1", "Service", service.name, service.uid),
        entry_points=entry_points,
        addresses=addresses_of(service),
        ports=opened,
        sources=sources,
        backends=(backend(scene, service),),
        policy=grant.voice.ref,
        network_policies=policies,
        blind_spots=ordered(spots),
        mode=scene.mode or grant.voice.mode,
        profile=grant.profile.slug,
        cni=facts.cni.slug,
        refusal=grant.refusal,
        default_deny=default_deny,
    )


def ungoverned_exposure(
    scene: Scene, facts: ClusterFacts, service: Service, default_deny: bool, more: Iterable[BlindSpot] = ()
) -> Exposure:
    """An entry point without a policy: what the load balancer itself lets in, unless a default-deny of ours stands there."""
    profile = profile_of(service, LoadBalancerOverrides(), facts)
    families = families_of(service, facts.pod_ranges.families)
    entry_points = shown_entry_points(service, scene, frozenset())
    spots = list(more)
    sources: list[Source] = []
    if not default_deny:
        spots.append(blind_spot("Ungoverned"))
        for entry_point in entry_points:
            found = client_ranges(service, entry_point, profile, Clients(), Bounds(), families)
            why = "No policy governs this entry point: this is what the load balancer itself lets in."
            sources.append(
                Source(
                    SourceKind.CLIENTS, found.blocks, (), UNGOVERNED_ROW, why, profile.source, entry_point=entry_point
                )
            )
            spots += found.spots
    return Exposure(
        namespace=service.namespace,
        name=f"service-{service.name}",
        owner=Owner("v1", "Service", service.name, service.uid),
        entry_points=entry_points,
        addresses=addresses_of(service),
        ports=() if default_deny else tuple(open_port(port) for port in service.ports),
        sources=tuple(sources),
        backends=(backend(scene, service),),
        policy=None,
        network_policies=(),
        blind_spots=ordered(spots),
        profile=profile.slug,
        cni=facts.cni.slug,
        default_deny=default_deny,
    )


def cluster_spots(facts: ClusterFacts) -> list[BlindSpot]:
    """What is blind at every governed entry point of a cluster with this CNI."""
    found: list[BlindSpot] = []
    cni = facts.cni
    if not cni.enforces:
        found.append(blind_spot("PolicyNotEnforced", f"CNI: {cni.slug}."))
    if cni.slug == "unknown":
        found.append(blind_spot("CNIUnknown"))
    if cni.own_node_bypass:
        found.append(blind_spot("OwnNodeBypass", f"CNI: {cni.slug}."))
    return found


def shown_entry_points(service: Service, scene: Scene, asked: frozenset[str]) -> tuple[str, ...]:
    """The entry points of the Service itself. The node ports behind a load balancer are one only where they are asked for."""
    has = scene.entry_points[service.name]
    behind = "NodePort" if "LoadBalancer" in has and "NodePort" not in asked else ""
    return tuple(entry_point for entry_point in SERVICE_ENTRY_POINTS if entry_point in has and entry_point != behind)


def addresses_of(service: Service) -> tuple[str, ...]:
    published = tuple(map(str, service.published)) if service.type == "LoadBalancer" else ()
    return tuple(dict.fromkeys((*published, *service.external_ips)))


def open_port(port: ServicePort) -> OpenPort:
    return OpenPort(port.name, port.port, port.target_port, port.protocol)


def backend(scene: Scene, service: Service) -> BackendSummary:
    """Ready and known endpoints, counted once each; pods where no EndpointSlice is at hand."""
    ready: set[str] = set()
    known: set[str] = set()
    for each in scene.slices.get(service.name, ()):
        for endpoint in each.endpoints:
            key = endpoint.pod or ",".join(endpoint.addresses)
            known.add(key)
            if endpoint.ready:
                ready.add(key)
    selector = selecting(dict(service.selector or ()))
    if not known and service.selector:
        pods = selected(scene.pods, selector)
        known, ready = {pod.name for pod in pods}, {pod.name for pod in pods if pod.ready}
    return BackendSummary(service.ref, str(selector) if service.selector else "", len(ready), len(known))


def front_exposure(front: Front, snapshot: Snapshot, scenes: "Scenes", facts: ClusterFacts) -> Exposure:
    """An Ingress or a Gateway: whom its proxy calls, and which of its backends their policies do not open."""
    spots: list[BlindSpot] = []
    match front.proxy.kind:
        case "ambiguous":
            spots.append(blind_spot("ProxyAmbiguous", front.proxy.detail))
        case "missing":
            spots.append(blind_spot("ProxyNotFound", front.proxy.detail))
        case _:
            pass
    sources: list[Source] = []
    ports: list[OpenPort] = []
    backends: dict[Ref, BackendSummary] = {}
    governors: list[PolicyRef] = []
    carrying: list[Ref] = []
    shut: list[bool] = []
    profiles: list[str] = []
    for route in front.grants:
        target = route.backend.service
        scene = scenes.of(target.namespace)
        service = snapshot.services.get(target.namespace, {}).get(target.name)
        if service is None:
            spots.append(blind_spot("BackendNotGranted", f"{route.route} leads to {target}, which does not exist."))
            continue
        backends[target] = backend(scene, service)
        if front.proxy.kind == "cloud":
            profiles.append(
                l7_profile(front.proxy.profile, front.ref.entry_point, dict(front.annotations), service).slug
            )
        shut.append(scenes.denies(target.namespace))
        grant = scenes.grant(target)
        why_not = not_granted(route, grant, service)
        if grant is None:
            if shut[-1] or not route.permitted:
                spots.append(blind_spot("BackendNotGranted", f"{route.route} leads to {target}: {why_not}."))
            continue
        governors.append(grant.voice.ref)
        if grant.subject.selector is None:
            spots += grant.subject.spots
        port = routed_port(service, route.backend.port)
        if why_not or port is None:
            spots.append(blind_spot("BackendNotGranted", f"{route.route} leads to {target}: {why_not}."))
            continue
        ports.append(open_port(port))
        carrying.append(Ref(target.namespace, f"exposure-to-{target.name}"))
        sources += [
            source
            for source in grant.sources
            if source.entry_point == front.ref.entry_point and _leads(source, front, route, grant)
        ]
        spots += [spot for spot in grant.spots if spot.reason not in ("SharedPods", "AdditivePolicy")]
    if not shut:
        # No route leads anywhere yet: what stands around the entry point itself decides.
        shut.append(scenes.denies(front.ref.namespace))
    if not governors and not all(shut):
        spots.append(blind_spot("Ungoverned"))
    if governors:
        spots += cluster_spots(facts)
    policy = governors[0] if governors else None
    modes = {grant.voice.mode for target in backends if (grant := scenes.grant(target)) is not None}
    return Exposure(
        namespace=front.ref.namespace,
        name=f"{front.ref.entry_point.lower()}-{front.ref.name}",
        owner=front.owner,
        entry_points=(front.ref.entry_point,),
        addresses=tuple(dict.fromkeys(map(str, front.addresses))),
        ports=tuple(dict.fromkeys(ports)),
        sources=tuple(dict.fromkeys(sources)),
        backends=tuple(backends[ref] for ref in sorted(backends, key=str)),
        policy=policy,
        network_policies=tuple(dict.fromkeys(carrying)),
        blind_spots=ordered(spots),
        mode=next(iter(sorted(modes)), "Enforce") if len(modes) <= 1 else "Enforce",
        profile=profiles[0] if profiles else front.proxy.profile,
        cni=facts.cni.slug,
        default_deny=all(shut),
    )


def _leads(source: Source, front: Front, route: RouteGrant, grant: Grant) -> bool:
    """Whether this source of the backend stands for this entry point's proxy."""
    if route.proxy.peer is not None:
        return route.proxy.peer in source.peers
    return not source.peers


def not_granted(route: RouteGrant, grant: Grant | None, service: Service) -> str:
    """Why the backend's policy does not open it to this route; "" where it does."""
    if not route.permitted:
        return "no ReferenceGrant permits it"
    if grant is None:
        return "no policy opens it, and a default-deny stands"
    entry_point = route.front.entry_point
    if entry_point not in grant.voice.spec.selected_entry_points:
        return f"{grant.voice.ref} opens no {entry_point} entry points"
    if grant.refusal and not any(source.entry_point == entry_point for source in grant.sources):
        # What another entry point of the Service is refused does not close this one.
        return grant.refusal.rstrip(".")
    port = routed_port(service, route.backend.port)
    if port is None:
        return "the Service has no such port"
    targets: tuple[PolicyPort, ...] = next((each.targets for each in grant.ports if each.port == port), ())
    if not targets:
        return f"port {port.port} is not among the ports that {grant.voice.ref} exposes"
    if route.proxy.kind in ("ambiguous", "missing"):
        return "the proxy is not known"
    return ""


class Scenes(Protocol):
    """What other namespaces grant, looked up as the entry points that lead there ask for it."""

    def of(self, namespace: str) -> Scene: ...

    def grant(self, service: Ref) -> Grant | None: ...

    def denies(self, namespace: str) -> bool: ...
