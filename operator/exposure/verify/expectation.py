"""What is expected of a connection: the row of the truth table, evaluated with the policies that should stand. Pure.

A connection may arrive in several ways: at one pod or another, under its own address or under a node's. If all of them
are admitted, it is allowed; if none is, denied. If it depends on what cannot be known from here, it is unsure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from exposure.addresses import address, covered, family, network
from exposure.catalog.decision_table import decide
from exposure.model.connection_ends import address_blocks, addresses_end, pods_end
from exposure.model.exposures import DecisionRow, SourceKind
from exposure.model.objects import Namespace, Pod, Service
from exposure.networkpolicy.evaluate import Decision, Evaluator
from exposure.networkpolicy.matching import ConnectionEnd, Match
from exposure.networkpolicy.values import NetworkPolicy, PolicyPort
from exposure.verify.context import VerificationContext, names
from exposure.verify.values import Expected, ReadyEndpoint, Target, Vantage

#: Public addresses far apart: a policy that admits all of them is assumed to admit every client.
PUBLIC_ADDRESSES = ("1.1.1.1", "93.184.215.14", "193.0.6.139", "2001:67c:2e8::1", "2606:4700::1111")
#: The kinds of entry point that the nodes or a load balancer serve, and not a proxy.
SERVICE_ENTRY_POINTS = ("LoadBalancer", "NodePort", "ExternalIP", "HostPort")

ADMITTED = "the policies admit {arrivals}{row}"
EVERY_CLIENT_ADMITTED = "the policies admit the client, whatever its address is{row}"
CLIENT_ADMITTED = "the policies admit this client{row}"
NOT_ADMITTED = "no policy admits {arrivals}{row}"
NOT_IN_SOURCE_RANGES = "loadBalancerSourceRanges of the Service exclude {address}, before any policy"
PROBE_RESTRICTED = "the egress of the probe pod is restricted by {policies}"
LOAD_BALANCER_UNKNOWN = (
    "the load balancer's own addresses are not known, so the source of the connection is not, either"
)
TRANSLATED = "the client's address is translated on the way, so the cluster sees another one: give it with --source"
ADMITTED_ONLY_AS = "it is admitted only as {arrivals}{reason}{row}"


@dataclass(frozen=True, slots=True)
class PossibleArrival:
    """One way to arrive at one backend: whom the CNI sees, as what kind of source; `always`: every CNI admits it."""

    backend: ReadyEndpoint
    sender: ConnectionEnd
    kind: SourceKind | None
    always: bool = False

    @property
    def address(self) -> str:
        """Of the sender; "" where it is not known."""
        return next((str(block.cidr.network_address) for block in self.sender.addresses), "")

    def __str__(self) -> str:
        if self.always:
            return "the pod's own node, which is always admitted"
        match self.kind:
            case SourceKind.NODES:
                return "a node's address"
            case SourceKind.LOAD_BALANCER:
                return "the load balancer's address"
            case kind:
                if self.sender.pod is Match.YES:
                    return f"pods of {self.sender.namespace}"
                client = "client " if kind is SourceKind.CLIENTS else ""
                return f"{client}{self.address}" if self.address else "the client"


def expected(context: VerificationContext, target: Target, vantage: Vantage) -> Expected:
    """The verdict that is expected, and why."""
    restricting = _restricting_probe(context, vantage)
    if restricting:
        return Expected("unsure", PROBE_RESTRICTED.format(policies=restricting))
    before_policies = _excluded_by_source_ranges(context, target, vantage)
    if before_policies is not None:
        return before_policies
    if hides_client(context, target, vantage):
        return _translated(context, target, vantage)
    possible = list(arrivals(context, target, vantage))
    if not possible:
        return Expected("unsure", LOAD_BALANCER_UNKNOWN)
    passing = [arrival for arrival in possible if is_intended(context, arrival, target)]
    row = _row_text(context, target, vantage)
    if len(passing) == len(possible):
        return Expected("allowed", ADMITTED.format(arrivals=_listed(passing), row=row))
    if not passing:
        return Expected("denied", NOT_ADMITTED.format(arrivals=_listed(possible), row=row))
    return _depends(context, target, possible, passing, row)


def is_intended(context: VerificationContext, arrival: PossibleArrival, target: Target) -> bool:
    """Whether the policies that should decide admit an arrival."""
    return admitted(context.intended(pod_of(arrival.backend, target)), arrival, target)


def _listed(several: Sequence[PossibleArrival]) -> str:
    return ", ".join(dict.fromkeys(map(str, several)))


def _translated(context: VerificationContext, target: Target, vantage: Vantage) -> Expected:
    """It arrives under a public address that is not known here: it is allowed where any would be."""
    # A host name has no address family. IPv4 has to do.
    for public in [public for public in PUBLIC_ADDRESSES if (":" in public) == (":" in target.address)]:
        possible = list(arrivals(context, target, replace(vantage, addresses=(public,))))
        if not possible or not all(is_intended(context, arrival, target) for arrival in possible):
            return Expected("unsure", TRANSLATED)
    return Expected("allowed", EVERY_CLIENT_ADMITTED.format(row=_row_text(context, target, vantage)))


def arrivals(context: VerificationContext, target: Target, vantage: Vantage) -> Iterator[PossibleArrival]:
    """Every way in which a connection from `vantage` may arrive."""
    for backend in target.backends:
        if vantage.place == "node":
            if not vantage.node or vantage.node == backend.node:
                yield PossibleArrival(backend, ConnectionEnd(), None, always=True)
            if vantage.node != backend.node:
                yield from _from_nodes(context, target, backend)
        elif vantage.place != "outside" or target.entry_point not in SERVICE_ENTRY_POINTS:
            yield PossibleArrival(backend, _own_end(context, target, vantage), None)
        else:
            yield from _from_outside(context, target, vantage, backend)


def _from_outside(
    context: VerificationContext, target: Target, vantage: Vantage, backend: ReadyEndpoint
) -> Iterator[PossibleArrival]:
    row = row_of(context, target)
    for kind in row.sources if row is not None else (SourceKind.CLIENTS,):
        match kind:
            case SourceKind.CLIENTS | SourceKind.OUTSIDE:
                yield PossibleArrival(backend, _own_end(context, target, vantage), SourceKind.CLIENTS)
            case SourceKind.NODES:
                yield from _from_nodes(context, target, backend)
                if context.facts.cni.position == "post":
                    yield PossibleArrival(backend, ConnectionEnd(), None, always=True)
            case SourceKind.LOAD_BALANCER:
                for load_balancer in _load_balancer_addresses(context, target):
                    sender = addresses_end(address_blocks([load_balancer]))
                    yield PossibleArrival(backend, sender, SourceKind.LOAD_BALANCER)


def _own_end(context: VerificationContext, target: Target, vantage: Vantage) -> ConnectionEnd:
    """The vantage itself, as it is where its address is kept."""
    own = next((own for own in vantage.addresses if (":" in own) == (":" in target.address)), "")
    if not vantage.namespace:
        return addresses_end(address_blocks([own]))
    namespace = context.snapshot.namespaces.get(vantage.namespace, Namespace(vantage.namespace))
    pod = Pod(vantage.namespace, "", vantage.labels, (own,))
    return pods_end([pod], namespace, dict(vantage.labels), ip_blocks=not context.matches_by_identity)


def _from_nodes(context: VerificationContext, target: Target, backend: ReadyEndpoint) -> Iterator[PossibleArrival]:
    """Through another node, which replaces the source by an address of its own."""
    own = address(backend.address or target.address)
    own_family = family(own) if own is not None else "IPv4"
    for snat in context.facts.snat:
        if family(snat) == own_family:
            node = address_blocks([str(snat.network_address)])
            sender = addresses_end(node, ip_blocks=not context.matches_by_identity)
            yield PossibleArrival(backend, sender, SourceKind.NODES)


def _load_balancer_addresses(context: VerificationContext, target: Target) -> list[str]:
    exposure = context.by_name.get(f"{target.namespace}/service-{target.service}")
    sources = exposure.sources if exposure else ()
    blocks = (block for source in sources if source.kind is SourceKind.LOAD_BALANCER for block in source.blocks)
    return [str(block.cidr.network_address) for block in blocks]


def row_of(context: VerificationContext, target: Target) -> DecisionRow | None:
    """The row of the decision table for an entry point; None where the pod is called without one."""
    if target.entry_point not in SERVICE_ENTRY_POINTS:
        return None
    exposure = context.by_name.get(f"{target.namespace}/service-{target.service}")
    for source in exposure.sources if exposure else ():
        if source.entry_point == target.entry_point and source.row.delivery is not None:
            return source.row
    service = _service(context, target)
    policy = "Local" if target.entry_point == "HostPort" or service is None else service.external_traffic_policy
    return decide("node", True, policy, context.facts.cni.position)


def admitted(
    policies: tuple[NetworkPolicy, ...], arrival: PossibleArrival, target: Target, port: int | None = None
) -> bool:
    """Whether `policies` admit an arrival, at the backend's port or at another one."""
    host_network = pod_of(arrival.backend, target).host_network
    return arrival.always or host_network or decision(policies, arrival, target, port).allowed


def decision(
    policies: tuple[NetworkPolicy, ...], arrival: PossibleArrival, target: Target, port: int | None = None
) -> Decision:
    """What `policies` say about an arrival at the backend's pod."""
    pod = pod_of(arrival.backend, target)
    receiver = pods_end([pod], Namespace(pod.namespace), dict(pod.labels))
    at_port = PolicyPort(target.protocol, port or arrival.backend.port)
    return Evaluator(policies).decide("ingress", receiver, arrival.sender, at_port)


def pod_of(backend: ReadyEndpoint, target: Target) -> Pod:
    return backend.pod or Pod(target.namespace, "", ips=(backend.address,))


def _row_text(context: VerificationContext, target: Target, vantage: Vantage) -> str:
    row = row_of(context, target) if vantage.place == "outside" else None
    return f"; {row.why}" if row is not None else ""


def _depends(
    context: VerificationContext,
    target: Target,
    possible: Sequence[PossibleArrival],
    passing: Sequence[PossibleArrival],
    row: str,
) -> Expected:
    """Some arrivals are admitted and some are not."""
    exposure = context.by_name.get(target.exposure)
    reported = {spot.reason for spot in exposure.blind_spots} if exposure else set()
    own = [arrival for arrival in possible if arrival.kind is SourceKind.CLIENTS]
    own_passing = [arrival for arrival in own if arrival in passing]
    if own and own_passing == own and "CrossNodeTrafficDropped" not in reported:
        # The policy names this client, so it must be admitted through every node: a policy without the nodes is wrong.
        return Expected("allowed", CLIENT_ADMITTED.format(row=row))
    reason = "SourceFilterLost" if own and not own_passing else "CrossNodeTrafficDropped"
    shown = f" ({reason})" if reason in reported else ""
    return Expected("unsure", ADMITTED_ONLY_AS.format(arrivals=_listed(passing), reason=shown, row=row))


def _restricting_probe(context: VerificationContext, vantage: Vantage) -> str:
    """The names of the policies that restrict what the probe pod itself may call."""
    if vantage.place not in ("other-namespace", "same-namespace"):
        return ""
    probe = pods_end((), Namespace(vantage.namespace), dict(vantage.labels))
    return names(Evaluator(context.live(vantage.namespace)).isolating("egress", probe))


def _excluded_by_source_ranges(context: VerificationContext, target: Target, vantage: Vantage) -> Expected | None:
    """kube-proxy enforces the field loadBalancerSourceRanges on addresses of load balancers that deliver to nodes."""
    service, own = _service(context, target), next(iter(vantage.addresses), "")
    if target.entry_point != "LoadBalancer" or vantage.place != "outside" or service is None or address(own) is None:
        return None
    row = row_of(context, target)
    ranges = [network(source_range) for source_range in service.source_ranges]
    if row is None or row.delivery != "node" or not ranges or hides_client(context, target, vantage):
        return None
    if SourceKind.LOAD_BALANCER in row.sources or covered(network(own), ranges):
        return None
    return Expected("denied", NOT_IN_SOURCE_RANGES.format(address=own))


def hides_client(context: VerificationContext, target: Target, vantage: Vantage) -> bool:
    """Whether the client's address is translated on the way: a private address calls a public one."""
    own, theirs = address(next(iter(vantage.addresses), "")), address(target.address)
    if vantage.place != "outside" or target.entry_point not in SERVICE_ENTRY_POINTS:
        return False
    return own is None or (own.is_private and (theirs is None or not theirs.is_private))


def _service(context: VerificationContext, target: Target) -> Service | None:
    return context.snapshot.services.get(target.namespace, {}).get(target.service)
