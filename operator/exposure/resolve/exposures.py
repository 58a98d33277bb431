"""Exposures: each entry point of a namespace with what is open, from where, by which policy, and its blind spots."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from exposure.catalog.blind_spots import REASONS, blind_spot
from exposure.catalog.decision_table import UNGOVERNED
from exposure.catalog.profile import LoadBalancerProfile
from exposure.catalog.providers import LOAD_BALANCERS
from exposure.model.exposures import BackendSummary, BlindSpot, Exposure, PolicyRef, Source, SourceKind
from exposure.model.intent import Clients, Limits, LoadBalancerOverrides
from exposure.model.objects import EndpointSlice, Pod, Ref, Service, ServicePort
from exposure.networkpolicy.values import Owner
from exposure.resolve.cache import ResolveCache
from exposure.resolve.clients import client_ranges, families_of
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.governed import GovernedService
from exposure.resolve.ingress_points import BackendRoute, IngressPoint
from exposure.resolve.inputs import SERVICE_ENTRY_POINTS, NamespaceInputs
from exposure.resolve.network_policies import TO_SERVICE, shortened
from exposure.resolve.overlaps import additive, shared_pods
from exposure.resolve.ports import routed_port
from exposure.resolve.profiles import ingress_profile, profile_of
from exposure.resolve.view import NamespaceView

#: The longest name of a Kubernetes object (RFC 1123 subdomain).
LONGEST_NAME = 253
ORDER = {reason: index for index, reason in enumerate(REASONS)}
#: Blind spots of a Service's own entry points that do not apply to an ingress point.
OF_THE_SERVICE_ALONE = ("SharedPods", "AdditivePolicy")
#: By the kind of a proxy that is not known, the blind spot that reports it.
UNKNOWN_PROXIES = {"ambiguous": "ProxyAmbiguous", "missing": "ProxyNotFound"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What an Exposure shows whether or not a policy governs."""

    namespace: str
    owner: Owner
    kinds: tuple[str, ...]
    addresses: tuple[str, ...]
    backends: tuple[BackendSummary, ...]
    default_deny: bool


def build_exposure(
    shown: Shown,
    facts: ClusterFacts,
    profile: LoadBalancerProfile | None,
    *,
    ports: Iterable[ServicePort] = (),
    sources: tuple[Source, ...] = (),
    policy: PolicyRef | None = None,
    network_policies: Iterable[Ref] = (),
    blind_spots: Iterable[BlindSpot] = (),
    mode: str = "Enforce",
    refusal: str = "",
) -> Exposure:
    """Builds every Exposure: lists without duplicates, and what all of them have."""
    by_row = (source.row.delivery for source in sources if source.row.delivery is not None)
    reported = {*blind_spots, *(cluster_blind_spots(facts) if policy else ())}
    return Exposure(
        namespace=shown.namespace,
        name=exposure_name(shown.owner),
        owner=shown.owner,
        entry_points=shown.kinds,
        addresses=tuple(dict.fromkeys(shown.addresses)),
        ports=tuple(dict.fromkeys(ports)),
        sources=sources,
        backends=shown.backends,
        policy=policy,
        network_policies=tuple(dict.fromkeys(network_policies)),
        blind_spots=tuple(sorted(reported, key=lambda spot: (ORDER[spot.reason], spot.message))),
        mode=mode,
        profile=profile.slug if profile else "",
        cni=facts.cni.slug,
        delivery=next(by_row, profile.delivery if profile else None),
        refusal=refusal,
        default_deny=shown.default_deny,
    )


def exposure_name(owner: Owner) -> str:
    """`service-web`. A name too long for an object is cut, and ends in a hash that keeps it apart from others."""
    return shortened(f"{owner.kind.lower()}-{owner.name}", LONGEST_NAME)


def cluster_blind_spots(facts: ClusterFacts) -> tuple[BlindSpot, ...]:
    """What this CNI cannot enforce at any governed entry point."""
    cni = facts.cni
    return (
        *(() if cni.enforces else (blind_spot("PolicyNotEnforced", f"CNI: {cni.slug}."),)),
        *((blind_spot("CNIUnknown"),) if not cni.known else ()),
        *((blind_spot("OwnNodeBypass", f"CNI: {cni.slug}."),) if cni.own_node_bypass else ()),
    )


def service_exposures(
    view: NamespaceView, facts: ClusterFacts, webhooks: Mapping[str, list[BlindSpot]], cache: ResolveCache
) -> list[Exposure]:
    """An Exposure for each Service that is an entry point. `webhooks`: blind spots by the name of the Service."""
    inputs = view.inputs
    shared = shared_pods(view.governed.values())
    exposures = []
    for service in inputs.services:
        if inputs.entry_points[service.name].isdisjoint(SERVICE_ENTRY_POINTS):
            continue
        of_webhooks = webhooks.get(service.name, [])
        governed = view.governed.get(service.name)
        if governed is None:
            exposures.append(_ungoverned_exposure(view, facts, service, of_webhooks))
            continue
        blind_spots = (
            *shared.get(service.name, ()),
            *additive(governed, inputs.network_policies.values()),
            *of_webhooks,
            *_name_conflicts(view, governed),
            *_not_isolated(view, governed),
        )
        own_inputs = ExposureInputs(
            facts,
            governed,
            inputs.entry_points[service.name],
            inputs.slices.get(service.name, ()),
            blind_spots,
            view.network_policies_of(governed),
            inputs.mode_of(governed.policy),
            view.default_deny,
        )
        exposures.append(cache.get(_governed_exposure, service.ref, own_inputs))
    return exposures


class ExposureInputs(NamedTuple):
    """Everything that decides about the Exposure of a governed Service. `kinds`: of its entry points."""

    facts: ClusterFacts
    governed: GovernedService
    kinds: frozenset[str]
    slices: tuple[EndpointSlice, ...]
    blind_spots: tuple[BlindSpot, ...]
    network_policies: tuple[Ref, ...]
    mode: str
    default_deny: bool


def _governed_exposure(inputs: ExposureInputs) -> Exposure:
    governed, kinds = inputs.governed, inputs.kinds
    selected_kinds = governed.policy.spec.selected_entry_points
    backend = _backend(governed.service, inputs.slices, governed.pods)
    shown = _shown(governed.service, kinds, selected_kinds, backend, inputs.default_deny)
    sources = tuple(
        source if source.entry_point else replace(source, entry_point=shown.kinds[0])
        for source in governed.sources
        if source.entry_point in SERVICE_ENTRY_POINTS or source.kind is SourceKind.PEERS
    )
    all_closed = not sources and governed.closed.keys() >= {*shown.kinds}
    return build_exposure(
        shown,
        inputs.facts,
        governed.profile,
        ports=() if all_closed else (ports.port for ports in governed.open_ports),
        sources=sources,
        policy=governed.policy.ref,
        network_policies=inputs.network_policies,
        blind_spots=(*governed.blind_spots, *inputs.blind_spots),
        mode=inputs.mode,
        refusal=governed.refusals(*shown.kinds),
    )


def _ungoverned_exposure(
    view: NamespaceView, facts: ClusterFacts, service: Service, of_webhooks: Iterable[BlindSpot]
) -> Exposure:
    """Without a policy: the clients that the load balancer itself admits. Under a default deny of ours, none."""
    profile = profile_of(service, LoadBalancerOverrides(), facts)
    shown = _shown(
        service, view.inputs.entry_points[service.name], (), _backend_in(view.inputs, service), view.default_deny
    )
    if view.default_deny:
        return build_exposure(shown, facts, profile, blind_spots=of_webhooks)
    families = families_of(service, facts.pod_ranges.families)
    why = "No policy governs this entry point. The load balancer itself admits these clients."
    blind_spots, sources = [*of_webhooks, blind_spot("Ungoverned")], list[Source]()
    for kind in shown.kinds:
        clients = client_ranges(service, kind, profile, Clients(), Limits(), families)
        sources.append(Source(SourceKind.CLIENTS, clients.blocks, (), UNGOVERNED, why, profile.source, (), kind))
        blind_spots += clients.blind_spots
    return build_exposure(shown, facts, profile, ports=service.ports, sources=tuple(sources), blind_spots=blind_spots)


def _shown(
    service: Service,
    kinds: frozenset[str],
    selected_kinds: tuple[str, ...],
    backend: BackendSummary,
    default_deny: bool,
) -> Shown:
    """What a Service shows. Node ports behind a load balancer count only where selected."""
    hidden = "NodePort" if "LoadBalancer" in kinds and "NodePort" not in selected_kinds else ""
    published = map(str, service.published) if service.type == "LoadBalancer" else ()
    owner = Owner("v1", "Service", service.name, service.uid)
    shown_kinds = tuple(kind for kind in SERVICE_ENTRY_POINTS if kind in kinds and kind != hidden)
    return Shown(service.namespace, owner, shown_kinds, (*published, *service.external_ips), (backend,), default_deny)


@dataclass(frozen=True, slots=True)
class RoutedBackend:
    """Where one route of an ingress point leads, and what is open there. `service` None: it does not exist."""

    view: NamespaceView
    service: Service | None = None
    governed: GovernedService | None = None
    profile: LoadBalancerProfile | None = None
    port: ServicePort | None = None
    sources: tuple[Source, ...] = ()
    network_policies: tuple[Ref, ...] = ()
    blind_spots: tuple[BlindSpot, ...] = ()


def ingress_point_exposure(point: IngressPoint, views: Mapping[str, NamespaceView], facts: ClusterFacts) -> Exposure:
    """An Ingress or a Gateway: the backends that its proxy calls, and those that do not admit it."""
    routed = [_routed_backend(point, route, views[route.backend.service.namespace], facts) for route in point.routes]
    known = [backend for backend in routed if backend.service is not None]
    # If no route leads to a Service yet, the namespace of the ingress point itself decides.
    denied = all(backend.view.default_deny for backend in known) if known else views[point.ref.namespace].default_deny
    governing = [(backend.view, backend.governed.policy) for backend in known if backend.governed]
    blind_spots = [reported for backend in routed for reported in backend.blind_spots]
    if point.proxy.kind in UNKNOWN_PROXIES:
        blind_spots.append(blind_spot(UNKNOWN_PROXIES[point.proxy.kind], point.proxy.detail))
    if not governing and not denied:
        blind_spots.append(blind_spot("Ungoverned"))
    modes = {view.inputs.mode_of(policy) for view, policy in governing}
    summaries = {
        backend.service.ref: _backend_in(backend.view.inputs, backend.service) for backend in known if backend.service
    }
    profiles = [backend.profile for backend in known if backend.profile is not None]
    shown = Shown(
        point.ref.namespace,
        point.owner,
        (point.ref.kind,),
        tuple(map(str, point.addresses)),
        tuple(summaries[ref] for ref in sorted(summaries, key=str)),
        denied,
    )
    return build_exposure(
        shown,
        facts,
        profiles[0] if profiles else LOAD_BALANCERS.get(point.proxy.profile),
        # Equal ports of several Services are shown once, whatever their node ports.
        ports=(replace(backend.port, node_port=0) for backend in known if backend.port is not None),
        sources=tuple(dict.fromkeys(source for backend in known for source in backend.sources)),
        policy=governing[0][1].ref if governing else None,
        network_policies=(policy for backend in known for policy in backend.network_policies),
        blind_spots=blind_spots,
        mode=modes.pop() if len(modes) == 1 else "Enforce",
    )


def _routed_backend(
    point: IngressPoint, route: BackendRoute, view: NamespaceView, facts: ClusterFacts
) -> RoutedBackend:
    ref = route.backend.service
    service = next((service for service in view.inputs.services if service.name == ref.name), None)
    if service is None:
        return RoutedBackend(view, blind_spots=(_not_granted(route, ", which does not exist"),))
    governed = view.governed.get(service.name)
    profile = ingress_profile(route, service, facts) if point.proxy.kind == "cloud" else None
    backend = partial(RoutedBackend, view, service, governed, profile)
    why_not = _why_not_granted(route, governed, service)
    if governed is None:
        ungranted = view.default_deny or not route.permitted
        return backend(blind_spots=(_not_granted(route, f": {why_not}"),) if ungranted else ())
    if why_not:
        of_pods = governed.blind_spots if governed.pod_selector is None else ()
        return backend(blind_spots=(*of_pods, _not_granted(route, f": {why_not}")))
    to_service = Ref(ref.namespace, TO_SERVICE + ref.name)
    return backend(
        port=routed_port(service, route.backend.port),
        network_policies=tuple(policy for policy in view.network_policies_of(governed) if policy == to_service),
        sources=tuple(
            source
            for source in governed.sources
            if source.entry_point == point.ref.kind and source.kind is not SourceKind.PEERS and _is_proxy(source, route)
        ),
        blind_spots=tuple(reported for reported in governed.blind_spots if reported.reason not in OF_THE_SERVICE_ALONE),
    )


def _is_proxy(source: Source, route: BackendRoute) -> bool:
    """Whether this source of the backend stands for the proxy of the ingress point."""
    peer = route.proxy.peer
    return not source.peers if peer is None else peer in source.peers


def _not_granted(route: BackendRoute, why: str) -> BlindSpot:
    return blind_spot("BackendNotGranted", f"{route.route} leads to {route.backend.service}{why}.")


def _why_not_granted(route: BackendRoute, governed: GovernedService | None, service: Service) -> str:
    """Why the backend's policy does not open it to this route; "" where it does."""
    if not route.permitted:
        return "no ReferenceGrant permits it"
    if governed is None:
        return "no policy exposes it, and its namespace has a default deny"
    kind, policy = route.ingress_point.kind, governed.policy
    if kind not in policy.spec.selected_entry_points:
        return f"entryPoints of {policy.ref} do not list {kind}"
    if refusal := governed.refusals(kind):
        return refusal.rstrip(".")
    port = routed_port(service, route.backend.port)
    if port is None:
        return "the Service has no such port"
    if not any(ports.port == port and ports.targets for ports in governed.ports):
        return f"port {port.port} is not among the ports that {policy.ref} exposes"
    if route.proxy.kind in UNKNOWN_PROXIES:
        return "the proxy that calls it is not known"
    return ""


def _name_conflicts(view: NamespaceView, governed: GovernedService) -> tuple[BlindSpot, ...]:
    """NetworkPolicies of others that hold the names of ours."""
    inputs = view.inputs
    if inputs.mode_of(governed.policy) == "Audit":
        return ()
    holders = (inputs.network_policies.get(name) for name in view.names_for(governed))
    return tuple(
        blind_spot("ForeignPolicySameName", f"NetworkPolicy {policy.namespace}/{policy.name}.")
        for policy in holders
        if policy is not None and not policy.is_ours
    )


def _not_isolated(view: NamespaceView, governed: GovernedService) -> tuple[BlindSpot, ...]:
    if view.default_deny:
        return ()
    inputs = view.inputs
    if inputs.mode_of(governed.policy) != "Audit" or not inputs.isolation("Enforce", "Audit").ingress:
        return (blind_spot("NotIsolated", f"Namespace {inputs.name}."),)
    detail = f"Namespace {inputs.name}: in mode Audit, the operator plans its default deny and does not write it."
    cure = "Remove the annotation exposure.dev/mode from the namespace." if inputs.mode else "Set mode: Enforce."
    return (blind_spot("NotIsolated", detail, cure=cure),)


def _backend_in(inputs: NamespaceInputs, service: Service) -> BackendSummary:
    return _backend(service, inputs.slices.get(service.name, ()), service.selected(inputs.pods))


def _backend(service: Service, slices: Iterable[EndpointSlice], pods: Iterable[Pod]) -> BackendSummary:
    """Ready and known endpoints, each counted once. Without EndpointSlices, the pods of the Service are counted."""
    ready: set[str] = set()
    known: set[str] = set()
    for endpoint_slice in slices:
        for endpoint in endpoint_slice.endpoints:
            key = endpoint.pod or ",".join(endpoint.addresses)
            known.add(key)
            if endpoint.ready:
                ready.add(key)
    selector = service.pod_selector
    if selector is None:
        return BackendSummary(service.ref, "", len(ready), len(known))
    if not known:
        pods = list(pods)
        known, ready = {pod.name for pod in pods}, {pod.name for pod in pods if pod.ready}
    return BackendSummary(service.ref, str(selector), len(ready), len(known))
