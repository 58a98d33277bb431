"""What each entry point delivers to a Service: at which ports, for whom, and how the traffic arrives at the pods."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from exposure.addresses import Family
from exposure.catalog.decision_table import NODES_PROXY, PODS_PROXY, decide
from exposure.catalog.profile import LoadBalancerProfile
from exposure.catalog.providers import NO_LOAD_BALANCER
from exposure.model.exposures import DecisionRow, SourceKind
from exposure.model.intent import LoadBalancerOverrides
from exposure.model.objects import Service
from exposure.networkpolicy.values import PolicyPort
from exposure.resolve.arrival import Arrival, arrival
from exposure.resolve.clients import ClientRanges, client_ranges
from exposure.resolve.effective_policies import EffectivePolicy
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.ingress_points import BackendRoute
from exposure.resolve.inputs import NamespaceInputs
from exposure.resolve.ports import ServicePorts, routed_port
from exposure.resolve.profiles import ingress_profile
from exposure.resolve.selected_pods import SelectedPods

HIDES_CLIENTS = frozenset({SourceKind.NODES, SourceKind.OUTSIDE})


@dataclass(frozen=True, slots=True)
class Delivery:
    """Traffic that arrives alike, through one entry point at some ports of a Service.

    `row` is the row of the decision table that fits, `kinds` the sources that are admitted by it. They are fewer than
    the row's where `withheld`: clients.unenforceable is Deny, and the row would admit what hides the client.
    `route`: the way from an Ingress or Gateway; `arrival` and `row` are None where a proxy in the cluster calls.
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
        return tuple(target for ports in self.ports for target in ports.targets)

    @property
    def hides_clients(self) -> bool:
        """Whether node addresses or a whole family are admitted, among which no client can be recognized."""
        return not HIDES_CLIENTS.isdisjoint(self.kinds)


@dataclass(frozen=True, slots=True)
class DeliveryInputs:
    """What the deliveries of one governed Service depend on. `ports`: the exposed ports whose target is known."""

    service: Service
    policy: EffectivePolicy
    inputs: NamespaceInputs
    facts: ClusterFacts
    profile: LoadBalancerProfile
    families: tuple[Family, ...]
    ports: tuple[ServicePorts, ...]
    routes: tuple[BackendRoute, ...]
    selected: SelectedPods


def deliveries(of: DeliveryInputs) -> tuple[Delivery, ...]:
    """Every delivery, in the order of the entry points that the policy selects."""
    available = of.inputs.entry_points[of.service.name]
    return tuple(
        delivery
        for entry_point in of.policy.spec.selected_entry_points
        if entry_point in available
        for delivery in (
            _through_ingress_point(of, entry_point)
            if entry_point in ("Ingress", "Gateway")
            else _to_the_service(of, entry_point)
        )
    )


def _to_the_service(of: DeliveryInputs, entry_point: str) -> Iterator[Delivery]:
    """Deliveries through an entry point that is the Service itself; one without ports where it exposes none."""
    profile, overrides, service = of.profile, of.policy.spec.load_balancer, of.service
    if entry_point != "LoadBalancer":
        profile = NO_LOAD_BALANCER
        overrides = LoadBalancerOverrides(health_check_cidrs=overrides.health_check_cidrs)
    if entry_point == "HostPort":
        # The pod's own node answers, whatever externalTrafficPolicy the Service has.
        service = replace(service, external_traffic_policy="Local")
    clients = _clients(of, entry_point, profile)
    alike: dict[tuple[str, Arrival], list[ServicePorts]] = {}
    for ports in _ports_at(of, entry_point):
        how = arrival(profile, service, ports.port, overrides, of.facts, of.families)
        alike.setdefault((ports.port.protocol, how), []).append(ports)
    if not alike:
        yield Delivery(entry_point, service, profile, clients)
    for (_, how), grouped in alike.items():
        yield _by_decision_table(of, entry_point, service, clients, tuple(grouped), how, None)


def _through_ingress_point(of: DeliveryInputs, entry_point: str) -> Iterator[Delivery]:
    """Deliveries along the routes that lead from Ingresses or Gateways to ports that the policy exposes."""
    clients = _clients(of, entry_point, NO_LOAD_BALANCER)
    for route in of.routes:
        port = routed_port(of.service, route.backend.port)
        ports = next((exposed for exposed in of.ports if exposed.port == port), None)
        if route.ingress_point.kind != entry_point or ports is None:
            continue
        match route.proxy.kind:
            case "pods" | "nodes" as kind:
                row = PODS_PROXY if kind == "pods" else NODES_PROXY
                yield Delivery(entry_point, of.service, NO_LOAD_BALANCER, clients, (ports,), None, row, route=route)
            case "cloud":
                annotations = dict(route.ingress_point.annotations)
                profile = ingress_profile(route, of.service, of.facts)
                overrides = of.policy.spec.load_balancer
                how = arrival(profile, of.service, ports.port, overrides, of.facts, of.families, (), annotations)
                yield _by_decision_table(of, entry_point, of.service, clients, (ports,), how, route)


def _by_decision_table(
    of: DeliveryInputs,
    entry_point: str,
    service: Service,
    clients: ClientRanges,
    ports: tuple[ServicePorts, ...],
    how: Arrival,
    route: BackendRoute | None,
) -> Delivery:
    profile = how.profile
    row = decide(profile.delivery, how.preserved, service.external_traffic_policy, of.facts.cni.position)
    denies = of.policy.spec.clients.unenforceable == "Deny" and clients.narrow
    withheld = denies and not HIDES_CLIENTS.isdisjoint(row.sources)
    enforceable = SourceKind.CLIENTS if how.preserved else SourceKind.LOAD_BALANCER
    kinds = (enforceable, SourceKind.HEALTH_CHECKS) if withheld else row.sources
    return Delivery(entry_point, service, profile, clients, ports, how, row, kinds, withheld, route)


def _clients(of: DeliveryInputs, entry_point: str, profile: LoadBalancerProfile) -> ClientRanges:
    return client_ranges(of.service, entry_point, profile, of.policy.spec.clients, of.inputs.limits, of.families)


def _ports_at(of: DeliveryInputs, entry_point: str) -> Iterable[ServicePorts]:
    """The exposed ports; at a HostPort, only those whose target is a hostPort of the pods."""
    if entry_point != "HostPort":
        return of.ports
    host_ports = {
        (port.protocol, key)
        for pod in of.selected.pods
        for port in pod.ports
        if port.host_port
        for key in (port.port, port.name)
    }
    return [ports for ports in of.ports if any((port.protocol, port.port) in host_ports for port in ports.targets)]
