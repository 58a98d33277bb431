"""Governed Services: each Service that a policy governs, and what the rules decided for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from exposure.addresses import Block, union
from exposure.catalog.decision_table import PEERS
from exposure.catalog.profile import LoadBalancerProfile
from exposure.grouping import grouped
from exposure.labels import EVERYTHING, LabelSelector
from exposure.model.exposures import BlindSpot, Source
from exposure.model.intent import MODES, Limits
from exposure.model.objects import EndpointSlice, Pod, Service
from exposure.networkpolicy.values import Peer, PolicyPort, Rule
from exposure.resolve.cache import ResolveCache
from exposure.resolve.clients import families_of
from exposure.resolve.delivery import Case, deliveries
from exposure.resolve.effective_policies import EffectivePolicy
from exposure.resolve.facts import ClusterFacts
from exposure.resolve.ingress_points import BackendRoute
from exposure.resolve.inputs import NamespaceInputs
from exposure.resolve.ports import ServicePorts, exposed_ports, target_ports
from exposure.resolve.profiles import profile_of
from exposure.resolve.rules import decide_access
from exposure.resolve.selected_pods import select_pods


@dataclass(frozen=True, slots=True)
class GovernedService:
    """`ingress` () admits no connection; `egress` None leaves it unrestricted. `refusal`: why nothing is opened;
    `closed`: the entry points that stay closed, each with its refusal.

    `pod_selector` None: no NetworkPolicy can select its pods. `ports` are the Service ports that the policy exposes.
    """

    service: Service
    policy: EffectivePolicy
    profile: LoadBalancerProfile
    pod_selector: LabelSelector | None
    pods: tuple[Pod, ...]
    ports: tuple[ServicePorts, ...]
    sources: tuple[Source, ...]
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...] | None
    blind_spots: tuple[BlindSpot, ...]
    refusal: str = ""
    closed: Mapping[str, str] = field(default_factory=dict)

    def refusals(self, *entry_points: str) -> str:
        """Why these entry points, or all where none is named, stay closed; "" where they are open."""
        closed = (self.closed.get(entry_point, "") for entry_point in entry_points or self.closed)
        return self.refusal or " ".join(filter(None, dict.fromkeys(closed)))

    @property
    def open_ports(self) -> tuple[ServicePorts, ...]:
        return tuple(ports for ports in self.ports if ports.targets) if self.ingress else ()


class ServiceInputs(NamedTuple):
    """Everything that decides about one governed Service: its outcome is cached by it. `pods`: all of the namespace.

    `same_namespace`: whether the Service's own policy admits the pods of its namespace.
    """

    service: Service
    policy: EffectivePolicy
    facts: ClusterFacts
    limits: Limits
    entry_points: frozenset[str]
    routes: tuple[BackendRoute, ...]
    slices: tuple[EndpointSlice, ...]
    pods: tuple[Pod, ...]
    same_namespace: bool


def governed_services(inputs: NamespaceInputs, facts: ClusterFacts, cache: ResolveCache) -> dict[str, GovernedService]:
    """The governed Services of a namespace, by name. Equal inputs are not worked out again."""
    isolation = {mode: inputs.isolation(mode, "Enforce") for mode in MODES}
    governed = {}
    for service in inputs.services:
        if service.name not in inputs.governing:
            continue
        policy = inputs.governing[service.name][0]
        # Where ingress is not isolated, no same-namespace policy admits ingress, so each Service's own policy does.
        isolated = isolation[policy.mode]
        own_inputs = ServiceInputs(
            service,
            policy,
            facts,
            inputs.limits,
            inputs.entry_points[service.name],
            facts.routes.get(service.ref, ()),
            inputs.slices.get(service.name, ()),
            inputs.pods,
            same_namespace=not isolated.ingress and bool(isolated.allow_same_namespace),
        )
        governed[service.name] = cache.get(_governed, service.ref, own_inputs)
    return governed


def _governed(inputs: ServiceInputs) -> GovernedService:
    """Deliveries, then the rules, then what the NetworkPolicy of the Service admits."""
    service, policy, facts = inputs.service, inputs.policy, inputs.facts
    selected = select_pods(service, inputs.pods, inputs.slices, facts)
    exposed = exposed_ports(service, policy.spec.ports, inputs.limits.ports)
    ports = target_ports(exposed, facts.cni, inputs.slices, selected.pods)
    case = Case(
        service,
        policy,
        facts,
        inputs.limits,
        inputs.entry_points,
        profile_of(service, policy.spec.load_balancer, facts),
        families_of(service, facts.pod_ranges.families),
        selected,
        ports,
        inputs.routes,
    )
    access = decide_access(replace(case, deliveries=deliveries(case)))
    sources = _sorted(_merged(access.sources), policy)
    return GovernedService(
        service=service,
        policy=policy,
        profile=case.profile,
        pod_selector=selected.selector if access.selectable else None,
        pods=selected.pods,
        ports=() if access.refusal else ports,
        sources=sources,
        ingress=() if access.refusal else _ingress(sources, inputs.same_namespace),
        egress=access.egress,
        blind_spots=tuple(dict.fromkeys(access.blind_spots)),
        refusal=access.refusal,
        closed=access.closed,
    )


def _merged(sources: Sequence[Source]) -> Sequence[Source]:
    """Sources that differ only in their ports become one."""
    if len({(source.kind, source.entry_point) for source in sources}) == len(sources):
        return sources
    by_source = grouped((replace(source, ports=()), source.ports) for source in sources)
    return [replace(source, ports=tuple(dict.fromkeys(chain(*ports)))) for source, ports in by_source.items()]


def _sorted(sources: Sequence[Source], policy: EffectivePolicy) -> tuple[Source, ...]:
    """By entry point, in the order in which the policy selects them; peers come last."""
    order = {entry_point: index for index, entry_point in enumerate(policy.spec.selected_entry_points)}
    return tuple(sorted(sources, key=lambda source: (source.row is PEERS, order.get(source.entry_point, len(order)))))


def _ingress(sources: tuple[Source, ...], same_namespace: bool) -> tuple[Rule, ...]:
    """The rules of the Service's policy: what arrives at its entry points, then the peers as they are written."""
    rules = [*source_rules(source for source in sources if source.row is not PEERS)]
    rules += [
        Rule(source.peers, tuple(sorted(source.ports, key=port_order))) for source in sources if source.row is PEERS
    ]
    if same_namespace:
        rules.append(Rule((Peer(pods=EVERYTHING),), None))
    return tuple(rules)


def source_rules(sources: Iterable[Source]) -> tuple[Rule, ...]:
    """The fewest rules that admit each source at its ports: ports that admit the same peers share one."""
    return _source_rules(tuple((source.blocks, source.peers, source.ports) for source in sources))


# Services that admit the same sources share their rules, in time and in memory.
@lru_cache(maxsize=4096)
def _source_rules(
    sources: tuple[tuple[tuple[Block, ...], tuple[Peer, ...], tuple[PolicyPort, ...]], ...],
) -> tuple[Rule, ...]:
    by_port: dict[PolicyPort, tuple[list[Block], list[Peer]]] = {}
    for blocks, peers, ports in sources:
        for port in ports:
            blocks_at_port, peers_at_port = by_port.setdefault(port, ([], []))
            blocks_at_port += blocks
            peers_at_port += peers
    by_peers: dict[tuple[Peer, ...], list[PolicyPort]] = {}
    for port, (blocks_at_port, peers_at_port) in by_port.items():
        from_blocks = (Peer(block) for block in union(blocks_at_port))
        admitted = (*from_blocks, *sorted(set(peers_at_port), key=str))
        if admitted:
            by_peers.setdefault(admitted, []).append(port)
    rules = [Rule(admitted, tuple(sorted(ports, key=port_order))) for admitted, ports in by_peers.items()]
    return tuple(sorted(rules, key=lambda rule: [port_order(port) for port in rule.ports or ()]))


def port_order(port: PolicyPort) -> tuple[str, bool, int, str]:
    """Sorts ports by protocol, numbers before names."""
    number = port.port if isinstance(port.port, int) else 0
    return port.protocol, isinstance(port.port, str), number, str(port.port)
