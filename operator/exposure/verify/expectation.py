"""What is expected of a connection: the row of the truth table, evaluated with the policies that should stand. Pure.

A connection may arrive in several ways: at one pod or another, under its own address or under a node's. If all of them
are admitted, it is allowed; if none is, denied. If it depends on what cannot be known from here, it is unsure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from exposure.addresses import address, covered, family, network
from exposure.catalog.decision_table import decide
from exposure.model.connection_ends import address_blocks, addresses_end, pods_end
from exposure.model.exposures import DecisionRow, Exposure, SourceKind
from exposure.model.objects import Namespace, Pod
from exposure.networkpolicy.evaluate import Decision, Evaluator
from exposure.networkpolicy.matching import ConnectionEnd, Match
from exposure.networkpolicy.values import NetworkPolicy, PolicyPort
from exposure.verify.context import VerificationContext, names
from exposure.verify.values import Expected, ReadyEndpoint, Target, Vantage

#: Public addresses far apart: a policy that admits all of them is assumed to admit every client.
PUBLIC_ADDRESSES = ("1.1.1.1", "93.184.215.14", "193.0.6.139", "2001:67c:2e8::1", "2606:4700::1111")


@dataclass(frozen=True, slots=True)
class PossibleArrival:
    """One way to arrive at one backend: whom the CNI sees, as what kind of source; `always`: every CNI admits it."""

    backend: ReadyEndpoint
    sender: ConnectionEnd
    kind: SourceKind | None = None
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

    def decision(self, policies: Iterable[NetworkPolicy], port: int | None = None) -> Decision:
        """What `policies` say about it, at the backend's port or at another one."""
        pod = self.backend.pod
        receiver = pods_end([pod], Namespace(pod.namespace), pod.labels)
        at_port = PolicyPort(self.backend.protocol, port or self.backend.port)
        return Evaluator(policies).decide("ingress", receiver, self.sender, at_port)

    def is_admitted(self, policies: Iterable[NetworkPolicy], port: int | None = None) -> bool:
        return self.always or self.backend.pod.host_network or self.decision(policies, port).allowed

    def is_intended(self, context: VerificationContext) -> bool:
        """Whether the policies that should decide admit it."""
        return self.is_admitted(context.intended(self.backend.pod))


def expected(context: VerificationContext, target: Target, vantage: Vantage) -> Expected:
    """The verdict that is expected, and why."""
    restricting = _restricting_probe(context, vantage)
    if restricting:
        return Expected("unsure", f"the egress of the probe pod is restricted by {restricting}")
    own = next(iter(vantage.addresses), "")
    if _is_excluded_by_source_ranges(context, target, vantage):
        return Expected("denied", f"loadBalancerSourceRanges of the Service exclude {own}, before any policy")
    row = f"; {row_of(context, target).why}" if vantage.place == "outside" else ""
    if _hides_client(target, vantage):
        return _translated(context, target, vantage, row)
    possible = list(arrivals(context, target, vantage))
    if not possible:
        return Expected(
            "unsure", "the load balancer's own addresses are not known, so the source of the connection is not, either"
        )
    passing = [arrival for arrival in possible if arrival.is_intended(context)]
    if len(passing) == len(possible):
        return Expected("allowed", f"the policies admit {_listed(passing)}{row}")
    if not passing:
        return Expected("denied", f"no policy admits {_listed(possible)}{row}")
    return _depends(context, target, possible, passing, row)


def _listed(several: Sequence[PossibleArrival]) -> str:
    return ", ".join(dict.fromkeys(map(str, several)))


def _translated(context: VerificationContext, target: Target, vantage: Vantage, row: str) -> Expected:
    """It arrives under a public address that is not known here: it is allowed where any would be."""
    # A host name has no address family. IPv4 has to do.
    for public in [public for public in PUBLIC_ADDRESSES if (":" in public) == (":" in target.address)]:
        possible = list(arrivals(context, target, replace(vantage, addresses=(public,))))
        if not possible or not all(arrival.is_intended(context) for arrival in possible):
            return Expected(
                "unsure",
                "the client's address is translated on the way, so the cluster sees another one: give it with --source",
            )
    return Expected("allowed", f"the policies admit the client, whatever its address is{row}")


def arrivals(context: VerificationContext, target: Target, vantage: Vantage) -> Iterator[PossibleArrival]:
    """Every way in which a connection from `vantage` may arrive."""
    for backend in target.backends:
        match vantage.place:
            case "outside":
                yield from _from_outside(context, target, vantage, backend)
            case "node":
                if not vantage.node or vantage.node == backend.node:
                    yield PossibleArrival(backend, ConnectionEnd(), always=True)
                if vantage.node != backend.node:
                    yield from _from_nodes(context, target, backend)
            case _:
                yield PossibleArrival(backend, _own_end(context, target, vantage))


def _from_outside(
    context: VerificationContext, target: Target, vantage: Vantage, backend: ReadyEndpoint
) -> Iterator[PossibleArrival]:
    for kind in row_of(context, target).sources:
        match kind:
            case SourceKind.CLIENTS | SourceKind.OUTSIDE:
                yield PossibleArrival(backend, _own_end(context, target, vantage), SourceKind.CLIENTS)
            case SourceKind.NODES:
                yield from _from_nodes(context, target, backend)
                if context.facts.cni.position == "post":
                    yield PossibleArrival(backend, ConnectionEnd(), always=True)
            case SourceKind.LOAD_BALANCER:
                exposure = _exposure_of_service(context, target)
                for source in exposure.sources if exposure is not None else ():
                    if source.kind is SourceKind.LOAD_BALANCER:
                        for block in source.blocks:
                            sender = addresses_end(address_blocks([str(block.cidr.network_address)]))
                            yield PossibleArrival(backend, sender, SourceKind.LOAD_BALANCER)


def _own_end(context: VerificationContext, target: Target, vantage: Vantage) -> ConnectionEnd:
    """The vantage itself, as it is where its address is kept."""
    own = next((own for own in vantage.addresses if (":" in own) == (":" in target.address)), "")
    if not vantage.namespace:
        return addresses_end(address_blocks([own]))
    namespace = context.snapshot.namespaces.get(vantage.namespace, Namespace(vantage.namespace))
    pod = Pod(vantage.namespace, "", vantage.labels, (own,))
    return pods_end([pod], namespace, vantage.labels, ip_blocks=not context.matches_by_identity)


def _from_nodes(context: VerificationContext, target: Target, backend: ReadyEndpoint) -> Iterator[PossibleArrival]:
    """Through another node, which replaces the source by an address of its own."""
    own = address(backend.address or target.address)
    own_family = family(own) if own is not None else "IPv4"
    for snat in context.facts.snat:
        if family(snat) == own_family:
            node = address_blocks([str(snat.network_address)])
            sender = addresses_end(node, ip_blocks=not context.matches_by_identity)
            yield PossibleArrival(backend, sender, SourceKind.NODES)


def _exposure_of_service(context: VerificationContext, target: Target) -> Exposure | None:
    """That of the Service itself, which an Ingress or a Gateway may stand before."""
    return context.by_name.get(f"{target.service.namespace}/service-{target.service.name}")


def row_of(context: VerificationContext, target: Target) -> DecisionRow:
    """The row of the decision table for a target that is connected to from outside."""
    exposure = _exposure_of_service(context, target)
    for source in exposure.sources if exposure is not None else ():
        if source.entry_point == target.entry_point and source.row.delivery is not None:
            return source.row
    policy = "Local" if target.entry_point == "HostPort" else target.service.external_traffic_policy
    return decide("node", True, policy, context.facts.cni.position)


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
        return Expected("allowed", f"the policies admit this client{row}")
    reason = "SourceFilterLost" if own and not own_passing else "CrossNodeTrafficDropped"
    shown = f" ({reason})" if reason in reported else ""
    return Expected("unsure", f"it is admitted only as {_listed(passing)}{shown}{row}")


def _restricting_probe(context: VerificationContext, vantage: Vantage) -> str:
    """The names of the policies that restrict what the probe pod itself may call."""
    if vantage.place not in ("other-namespace", "same-namespace"):
        return ""
    probe = pods_end((), Namespace(vantage.namespace), vantage.labels)
    return names(Evaluator(context.live(vantage.namespace)).isolating("egress", probe))


def _is_excluded_by_source_ranges(context: VerificationContext, target: Target, vantage: Vantage) -> bool:
    """kube-proxy enforces the field loadBalancerSourceRanges on addresses of load balancers that deliver to nodes."""
    own = next(iter(vantage.addresses), "")
    if target.entry_point != "LoadBalancer" or address(own) is None or _hides_client(target, vantage):
        return False
    row, ranges = row_of(context, target), [network(text) for text in target.service.source_ranges]
    at_node = row.delivery == "node" and SourceKind.LOAD_BALANCER not in row.sources
    return at_node and bool(ranges) and not covered(network(own), ranges)


def _hides_client(target: Target, vantage: Vantage) -> bool:
    """Whether the client's address is translated on the way: a private address calls a public one."""
    own, theirs = address(next(iter(vantage.addresses), "")), address(target.address)
    if vantage.place != "outside":
        return False
    return own is None or (own.is_private and (theirs is None or not theirs.is_private))
