"""What each entry point delivers to a Service: at which ports, for whom, and how the traffic arrives at the pods."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from exposure.addresses import Family
from exposure.catalog.decision_table import NODES_PROXY, PODS_PROXY, decide
from exposure.catalog.profile import LoadBalancerProfile
from exposure.catalog.providers import NO_LOAD_BALANCER
from exposure.grouping import grouped
from exposure.model.exposures import DecisionRow, SourceKind
from exposure.model.intent import Limits, LoadBalancerOverrides
from exposure.model.objects import Service
from exposure.networkpolicy.values import PolicyPort
from exposure.resolve.arrival import Arrival, LoadBalancer
from exposure.resolve.clients import ClientRanges, client_ranges
from exposure.resolve.effective_policies import EffectivePolicy
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.ingress_points import BackendRoute
from exposure.resolve.ports import ServicePorts, routed_port
from exposure.resolve.profiles import ingress_profile
from exposure.resolve.selected_pods import SelectedPods

HIDES_CLIENTS = frozenset({SourceKind.NODES, SourceKind.OUTSIDE})


@dataclass(frozen=True, slots=True)
class Delivery:
    """Traffic that arrives in one way: through one entry point, at some ports of a Service.

    `row` is the row of the decision table that fits, None where no port is exposed. `kinds` are the sources that are
    admitted: those of the row or, if `withheld`, those that can be enforced. It is withheld if clients.unenforceable is
    Deny and the row would admit what hides the client. `route`: the way from an Ingress or Gateway. `arrival` is None
    where a proxy in the cluster calls.
    """

    entry_point: str
    service: Service
    profile: LoadBalancerProfile
    clients: ClientRanges
    ports: tuple[ServicePorts, ...] = ()
    arrival: Arrival | None = None
    row: DecisionRow | None = None
    kinds: tuple[SourceKind, ...] = ()
    withheld: bool = False
    route: BackendRoute | None = None

    @property
    def protocol(self) -> str:
        return self.ports[0].port.protocol

    @property
    def targets(self) -> tuple[PolicyPort, ...]:
        return tuple(dict.fromkeys(target for ports in self.ports for target in ports.targets))

    @property
    def calls_from_nodes(self) -> bool:
        """Whether a proxy that uses hostNetwork calls the pods."""
        return self.route is not None and self.route.proxy.kind == "nodes"

    @property
    def hidden_by_proxy_pods(self) -> bool:
        """Whether pods that masquerade, and enforce only the Service's own ranges, hide narrower clients."""
        narrower = not self.clients.narrowed_by.isdisjoint({"policy", "limits"})
        return narrower and bool(self.ports) and self.profile.proxy_pods is not None

    @property
    def hides_clients(self) -> bool:
        """Whether node addresses or a whole family are admitted, so that clients cannot be distinguished."""
        return not HIDES_CLIENTS.isdisjoint(self.kinds)


@dataclass(frozen=True, slots=True)
class Case:
    """One governed Service and everything that decides who reaches it. `ports`: the Service ports that it exposes."""

    service: Service
    policy: EffectivePolicy
    facts: ClusterFacts
    limits: Limits
    entry_points: frozenset[str]
    profile: LoadBalancerProfile
    families: tuple[Family, ...]
    selected: SelectedPods
    ports: tuple[ServicePorts, ...]
    routes: tuple[BackendRoute, ...]
    deliveries: tuple[Delivery, ...] = ()

    @property
    def denies_unenforceable(self) -> bool:
        return self.policy.spec.clients.unenforceable == "Deny"


def deliveries(case: Case) -> tuple[Delivery, ...]:
    """Every delivery, in the order of the entry points that the policy selects."""
    return tuple(
        delivery
        for entry_point in case.policy.spec.selected_entry_points
        if entry_point in case.entry_points
        for delivery in (
            _through_ingress_point(case, entry_point)
            if entry_point in ("Ingress", "Gateway")
            else _to_the_service(case, entry_point)
        )
    )


def _to_the_service(case: Case, entry_point: str) -> Iterator[Delivery]:
    """Deliveries through an entry point that is the Service itself; one without ports where it exposes none."""
    profile, overrides, service = case.profile, case.policy.spec.load_balancer, case.service
    if entry_point != "LoadBalancer":
        profile = NO_LOAD_BALANCER
        overrides = LoadBalancerOverrides(health_check_cidrs=overrides.health_check_cidrs)
    if entry_point == "HostPort":
        # The pod's own node answers, whatever externalTrafficPolicy the Service has.
        service = replace(service, external_traffic_policy="Local")
    clients = _clients(case, entry_point, profile)
    annotations = dict(service.annotations)
    balancer = LoadBalancer(profile, service, overrides, case.facts, case.families, service.published, annotations)
    alike = grouped(
        ((ports.port.protocol, balancer.arrival(ports.port)), ports) for ports in _ports_at(case, entry_point)
    )
    if not alike:
        yield Delivery(entry_point, service, profile, clients)
    for (_, how), ports_alike in alike.items():
        yield _by_decision_table(case, entry_point, service, clients, ports_alike, how, None)


def _through_ingress_point(case: Case, entry_point: str) -> Iterator[Delivery]:
    """Deliveries along the routes that lead from Ingresses or Gateways to ports that the policy exposes."""
    clients = _clients(case, entry_point, NO_LOAD_BALANCER)
    for route in case.routes:
        port = routed_port(case.service, route.backend.port)
        ports = next((exposed for exposed in case.ports if exposed.targets and exposed.port == port), None)
        if route.ingress_point.kind != entry_point or ports is None:
            continue
        match route.proxy.kind:
            case "pods" | "nodes" as kind:
                row = PODS_PROXY if kind == "pods" else NODES_PROXY
                yield Delivery(entry_point, case.service, NO_LOAD_BALANCER, clients, (ports,), None, row, route=route)
            case "cloud":
                annotations = dict(route.ingress_point.annotations)
                profile = ingress_profile(route, case.service, case.facts)
                overrides = case.policy.spec.load_balancer
                balancer = LoadBalancer(profile, case.service, overrides, case.facts, case.families, (), annotations)
                how = balancer.arrival(ports.port)
                yield _by_decision_table(case, entry_point, case.service, clients, (ports,), how, route)


def _by_decision_table(
    case: Case,
    entry_point: str,
    service: Service,
    clients: ClientRanges,
    ports: tuple[ServicePorts, ...],
    how: Arrival,
    route: BackendRoute | None,
) -> Delivery:
    profile = how.profile
    row = decide(profile.delivery, how.preserved, service.external_traffic_policy, case.facts.cni.position)
    denies = case.denies_unenforceable and clients.narrow
    withheld = denies and not HIDES_CLIENTS.isdisjoint(row.sources)
    enforceable = SourceKind.CLIENTS if how.preserved else SourceKind.LOAD_BALANCER
    kinds = (enforceable, SourceKind.HEALTH_CHECKS) if withheld else row.sources
    return Delivery(entry_point, service, profile, clients, ports, how, row, kinds, withheld, route)


def _clients(case: Case, entry_point: str, profile: LoadBalancerProfile) -> ClientRanges:
    return client_ranges(case.service, entry_point, profile, case.policy.spec.clients, case.limits, case.families)


def _ports_at(case: Case, entry_point: str) -> Iterable[ServicePorts]:
    """The exposed ports whose target is known; at a HostPort, only those whose target is a hostPort of the pods."""
    if entry_point != "HostPort":
        return [ports for ports in case.ports if ports.targets]
    host_ports = {
        (port.protocol, key)
        for pod in case.selected.pods
        for port in pod.ports
        if port.host_port
        for key in (port.port, port.name)
    }
    return [ports for ports in case.ports if any((port.protocol, port.port) in host_ports for port in ports.targets)]
