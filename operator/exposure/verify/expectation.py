"""What is expected of a connection: the row of the truth table, evaluated with the policies that should stand. Pure.

A connection may arrive in several ways: at one pod or another, under its own address or under a node's. If all of them
are admitted, it is allowed; if none is, denied. If it depends on what cannot be known from here, it is unsure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from exposure.addresses import address, covered, family, network
from exposure.catalog.decision_table import decide
from exposure.fields import is_network
from exposure.model.connection_ends import address_blocks, addresses_end, pods_end
from exposure.model.exposures import DecisionRow, Source, SourceKind
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
    """One way to arrive at one backend: the sender that the CNI sees, and its kind. `always`: every CNI admits it."""

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


@dataclass(frozen=True)
class Connection:
    """One connection from `vantage` to `target`, of which the context says what is expected."""

    context: VerificationContext
    target: Target
    vantage: Vantage

    def expected(self) -> Expected:
        """The verdict that is expected, and why."""
        restricting = self._restricting_probe()
        if restricting:
            return Expected("unsure", f"NetworkPolicies restrict the egress of the probe pod: {restricting}")
        if self._is_excluded_by_source_ranges():
            own = self.vantage.addresses[0]
            return Expected(
                "denied", f"loadBalancerSourceRanges of the Service exclude {own} before any policy applies"
            )
        row = f"; {self.row.why}" if self.vantage.place == "outside" else ""
        if self._hides_client():
            return self._translated(row)
        possible = list(self.arrivals())
        if not possible:
            return Expected(
                "unsure",
                "the load balancer's own addresses are not known, so the source address is not known",
            )
        passing = [arrival for arrival in possible if arrival.is_intended(self.context)]
        if len(passing) == len(possible):
            return Expected("allowed", f"the policies admit {_listed(passing)}{row}")
        if not passing:
            return Expected("denied", f"no policy admits {_listed(possible)}{row}")
        return self._depends(possible, passing, row)

    def arrivals(self) -> Iterator[PossibleArrival]:
        """Every way in which the connection may arrive."""
        node = self.vantage.node
        for backend in self.target.backends:
            match self.vantage.place:
                case "outside":
                    yield from self._from_outside(backend)
                case "node":
                    if not node or node == backend.node:
                        yield PossibleArrival(backend, ConnectionEnd(), always=True)
                    if node != backend.node:
                        yield from self._from_nodes(backend)
                case _:
                    yield PossibleArrival(backend, self._own_end())

    @cached_property
    def row(self) -> DecisionRow:
        """The row of the decision table for a target that is connected to from outside."""
        for source in self._sources():
            if source.entry_point == self.target.entry_point and source.row.delivery is not None:
                return source.row
        local = self.target.entry_point == "HostPort"
        policy = "Local" if local else self.target.service.external_traffic_policy
        return decide("node", True, policy, self.context.facts.cni.position)

    def _sources(self) -> tuple[Source, ...]:
        """The sources of the Service's own Exposure, also for a target behind an Ingress or a Gateway."""
        service = self.target.service
        exposure = self.context.by_name.get(f"{service.namespace}/service-{service.name}")
        return exposure.sources if exposure is not None else ()

    def _from_outside(self, backend: ReadyEndpoint) -> Iterator[PossibleArrival]:
        for kind in self.row.sources:
            match kind:
                case SourceKind.CLIENTS | SourceKind.OUTSIDE:
                    yield PossibleArrival(backend, self._own_end(), SourceKind.CLIENTS)
                case SourceKind.NODES:
                    yield from self._from_nodes(backend)
                    if self.context.facts.cni.position == "post":
                        yield PossibleArrival(backend, ConnectionEnd(), always=True)
                case SourceKind.LOAD_BALANCER:
                    own = (source for source in self._sources() if source.kind is SourceKind.LOAD_BALANCER)
                    for block in (block for source in own for block in source.blocks):
                        sender = addresses_end(address_blocks([str(block.cidr.network_address)]))
                        yield PossibleArrival(backend, sender, SourceKind.LOAD_BALANCER)

    def _own_end(self) -> ConnectionEnd:
        """The vantage itself, as it is where its address is kept."""
        vantage = self.vantage
        own = next((own for own in vantage.addresses if (":" in own) == (":" in self.target.address)), "")
        if not vantage.namespace:
            return addresses_end(address_blocks([own]))
        namespace = self.context.snapshot.namespaces.get(vantage.namespace, Namespace(vantage.namespace))
        pod = Pod(vantage.namespace, "", vantage.labels, (own,))
        return pods_end([pod], namespace, vantage.labels, ip_blocks=not self.context.matches_by_identity)

    def _from_nodes(self, backend: ReadyEndpoint) -> Iterator[PossibleArrival]:
        """Through another node, which replaces the source address with its own."""
        own = address(backend.address or self.target.address)
        own_family = family(own) if own is not None else "IPv4"
        for snat in self.context.facts.snat:
            if family(snat) == own_family:
                node = address_blocks([str(snat.network_address)])
                sender = addresses_end(node, ip_blocks=not self.context.matches_by_identity)
                yield PossibleArrival(backend, sender, SourceKind.NODES)

    def _translated(self, row: str) -> Expected:
        """It arrives with an unknown public address. It is allowed if every public address would be."""
        # A host name has no address family. IPv4 has to do.
        for public in [public for public in PUBLIC_ADDRESSES if (":" in public) == (":" in self.target.address)]:
            possible = list(replace(self, vantage=replace(self.vantage, addresses=(public,))).arrivals())
            if not possible or not all(arrival.is_intended(self.context) for arrival in possible):
                return Expected(
                    "unsure",
                    "NAT changes the client's address, so the cluster sees another one. Set it with --source",
                )
        return Expected("allowed", f"the policies admit the client, whatever its address is{row}")

    def _depends(self, possible: Sequence[PossibleArrival], passing: Sequence[PossibleArrival], row: str) -> Expected:
        """Some arrivals are admitted and some are not."""
        exposure = self.context.by_name.get(self.target.exposure)
        reported = {spot.reason for spot in exposure.blind_spots} if exposure else set()
        own = [arrival for arrival in possible if arrival.kind is SourceKind.CLIENTS]
        own_passing = [arrival for arrival in own if arrival in passing]
        if own and own_passing == own and "CrossNodeTrafficDropped" not in reported:
            # The policy names this client, so it must be admitted through every node: a policy without the nodes is
            # wrong.
            return Expected("allowed", f"the policies admit this client{row}")
        reason = "SourceFilterLost" if own and not own_passing else "CrossNodeTrafficDropped"
        shown = f" ({reason})" if reason in reported else ""
        return Expected("unsure", f"admitted only from {_listed(passing)}{shown}{row}")

    def _restricting_probe(self) -> str:
        """The names of the policies that restrict what the probe pod itself may call."""
        vantage = self.vantage
        if vantage.place not in ("other-namespace", "same-namespace"):
            return ""
        probe = pods_end((), Namespace(vantage.namespace), vantage.labels)
        return names(Evaluator(self.context.live(vantage.namespace)).isolating("egress", probe))

    def _is_excluded_by_source_ranges(self) -> bool:
        """kube-proxy enforces loadBalancerSourceRanges on addresses of load balancers that deliver to nodes."""
        own = next(iter(self.vantage.addresses), "")
        if self.target.entry_point != "LoadBalancer" or address(own) is None or self._hides_client():
            return False
        written = self.target.service.source_ranges
        at_node = self.row.delivery == "node" and SourceKind.LOAD_BALANCER not in self.row.sources
        return at_node and bool(written) and not covered(network(own), map(network, filter(is_network, written)))

    def _hides_client(self) -> bool:
        """Whether NAT changes the client's address: a private address calls a public one."""
        own, theirs = address(next(iter(self.vantage.addresses), "")), address(self.target.address)
        if self.vantage.place != "outside":
            return False
        return own is None or (own.is_private and (theirs is None or not theirs.is_private))


def _listed(several: Sequence[PossibleArrival]) -> str:
    return ", ".join(dict.fromkeys(map(str, several)))
