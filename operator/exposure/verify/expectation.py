"""What must come of a connection: the truth table's row for the entry point, asked of the policies that should stand. Pure.

A connection may arrive in several ways: at this pod or at that one, under its own address or under a node's. Where all
of them pass it must pass, where none does it must not, and where it depends nobody can tell from here: `unsure`.
"""

from collections.abc import Iterator
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
from exposure.verify.values import Backend, Expected, Target, Vantage

#: Public addresses far apart: what admits them all admits, as far as anybody can tell, every client.
STRANGERS = ("1.1.1.1", "93.184.215.14", "193.0.6.139", "2001:67c:2e8::1", "2606:4700::1111")
CARRIERS = ("LoadBalancer", "NodePort", "ExternalIP", "HostPort")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One way to arrive at one backend: whom the CNI sees, as what kind of source; `always`: every CNI admits it."""

    backend: Backend
    sender: ConnectionEnd
    kind: SourceKind | None
    always: bool = False

    @property
    def address(self) -> str:
        """Of the sender; "" where it is not known."""
        return next((str(block.cidr.network_address) for block in self.sender.addresses), "")


def expected(context: VerificationContext, target: Target, vantage: Vantage) -> Expected:
    """The verdict that must come true, and the sentence that explains it."""
    limits = _own_limits(context, vantage)
    if limits:
        return Expected("unsure", f"the probe itself may not call everybody, by {limits}")
    held = _held_before(context, target, vantage)
    if held is not None:
        return held
    if hides_client(context, target, vantage):
        return _translated(context, target, vantage)
    found = list(arrivals(context, target, vantage))
    if not found:
        return Expected("unsure", "the load balancer's own addresses are not known, so nobody can say who arrives")
    passing = [each for each in found if admitted(context.intended(pod_of(each.backend, target)), each, target)]
    why = _row_text(context, target, vantage)
    who = ", ".join(dict.fromkeys(_who(each) for each in found))
    if len(passing) == len(found):
        letters = ", ".join(dict.fromkeys(_who(each) for each in passing))
        return Expected("allowed", f"let in: {letters}{why}")
    if not passing:
        return Expected("denied", f"kept out: no rule admits {who}{why}")
    return _depends(context, target, found, passing, why)


def _translated(context: VerificationContext, target: Target, vantage: Vantage) -> Expected:
    """It arrives under some public address that nobody here knows: it must pass where any would."""
    # A host name says no family: then IPv4 has to do.
    for address_ in [each for each in STRANGERS if (":" in each) == (":" in target.address)]:
        found = list(arrivals(context, target, replace(vantage, addresses=(address_,))))
        if not found or not all(admitted(context.intended(pod_of(e.backend, target)), e, target) for e in found):
            return Expected("unsure", "addresses are translated on the way: nobody here knows who arrives (--source)")
    return Expected("allowed", f"admitted: the client, whatever its address is{_row_text(context, target, vantage)}")


def arrivals(context: VerificationContext, target: Target, vantage: Vantage) -> Iterator[Arrival]:
    """Every way in which a connection from `vantage` may arrive."""
    for backend in target.backends:
        if vantage.place == "node":
            if not vantage.node or vantage.node == backend.node:
                yield Arrival(backend, ConnectionEnd(), None, always=True)
            if vantage.node != backend.node:
                yield from _nodes(context, target, backend)
        elif vantage.place != "outside" or target.entry_point not in CARRIERS:
            yield Arrival(backend, _own(context, target, vantage), None)
        else:
            yield from _from_outside(context, target, vantage, backend)


def _from_outside(
    context: VerificationContext, target: Target, vantage: Vantage, backend: Backend
) -> Iterator[Arrival]:
    row = row_of(context, target)
    after_snat = context.facts.cni.position == "post"
    for kind in row.sources if row is not None else (SourceKind.CLIENTS,):
        match kind:
            case SourceKind.CLIENTS | SourceKind.OUTSIDE:
                yield Arrival(backend, _own(context, target, vantage), SourceKind.CLIENTS)
            case SourceKind.NODES:
                yield from _nodes(context, target, backend)
                if after_snat:
                    yield Arrival(backend, ConnectionEnd(), None, always=True)
            case SourceKind.LOAD_BALANCER:
                yield from (
                    Arrival(backend, addresses_end(address_blocks([each])), SourceKind.LOAD_BALANCER)
                    for each in _balancers(context, target)
                )


def _own(context: VerificationContext, target: Target, vantage: Vantage) -> ConnectionEnd:
    own = next((each for each in vantage.addresses if (":" in each) == (":" in target.address)), "")
    if not vantage.namespace:
        return addresses_end(address_blocks([own]))
    namespace = context.snapshot.namespaces.get(vantage.namespace, Namespace(vantage.namespace))
    pod = Pod(vantage.namespace, "", vantage.labels, (own,))
    return pods_end([pod], namespace, dict(vantage.labels), ip_blocks=not context.matches_by_identity)


def _nodes(context: VerificationContext, target: Target, backend: Backend) -> Iterator[Arrival]:
    wanted = family(own) if (own := address(backend.address or target.address)) is not None else "IPv4"
    for each in context.facts.snat:
        if family(each) == wanted:
            node = address_blocks([str(each.network_address)])
            sender = addresses_end(node, ip_blocks=not context.matches_by_identity)
            yield Arrival(backend, sender, SourceKind.NODES)


def _balancers(context: VerificationContext, target: Target) -> list[str]:
    exposure = context.by_name.get(f"{target.namespace}/service-{target.service}")
    sources = exposure.sources if exposure else ()
    return [
        str(each.cidr.network_address)
        for source in sources
        if source.kind is SourceKind.LOAD_BALANCER
        for each in source.blocks
    ]


def row_of(context: VerificationContext, target: Target) -> DecisionRow | None:
    """The row of the decision table for an entry point; None where the pod is called without one."""
    if target.entry_point not in CARRIERS:
        return None
    exposure = context.by_name.get(f"{target.namespace}/service-{target.service}")
    for source in exposure.sources if exposure else ():
        if source.entry_point == target.entry_point and source.row.delivery is not None:
            return source.row
    service = _service(context, target)
    policy = "Local" if target.entry_point == "HostPort" or service is None else service.external_traffic_policy
    return decide("node", True, policy, context.facts.cni.position)


def admitted(policies: tuple[NetworkPolicy, ...], arrival: Arrival, target: Target, port: int | None = None) -> bool:
    """Whether `policies` let an arrival in, at the backend's port or at another one."""
    pod = pod_of(arrival.backend, target)
    return arrival.always or pod.host_network or decision(policies, arrival, target, port).allowed


def decision(
    policies: tuple[NetworkPolicy, ...], arrival: Arrival, target: Target, port: int | None = None
) -> Decision:
    """What `policies` say about an arrival at the backend's pod."""
    pod = pod_of(arrival.backend, target)
    receiver = pods_end([pod], Namespace(pod.namespace), dict(pod.labels))
    asked = PolicyPort(target.protocol, port or arrival.backend.port)
    return Evaluator(policies).decide("ingress", receiver, arrival.sender, asked)


def pod_of(backend: Backend, target: Target) -> Pod:
    return backend.pod or Pod(target.namespace, "", ips=(backend.address,))


def _who(arrival: Arrival) -> str:
    if arrival.always:
        return "the pod's own node, which is always admitted"
    match arrival.kind:
        case SourceKind.NODES:
            return "a node's address"
        case SourceKind.LOAD_BALANCER:
            return "the load balancer's address"
        case kind:
            if arrival.sender.pod is Match.YES:
                return f"pods of {arrival.sender.namespace}"
            client = "client " if kind is SourceKind.CLIENTS else ""
            return f"{client}{arrival.address}" if arrival.address else "the client"


def _row_text(context: VerificationContext, target: Target, vantage: Vantage) -> str:
    row = row_of(context, target) if vantage.place == "outside" else None
    return f"; {row.why}" if row is not None else ""


def _depends(
    context: VerificationContext, target: Target, found: list[Arrival], passing: list[Arrival], why: str
) -> Expected:
    """Some ways pass and some do not: whose wish is it?"""
    exposure = context.by_name.get(target.exposure)
    reasons = {spot.reason for spot in exposure.blind_spots} if exposure else set()
    own = [each for each in found if each.kind is SourceKind.CLIENTS]
    if own and all(each in passing for each in own) and "CrossNodeTrafficDropped" not in reasons:
        # A client that is asked for must get in by whatever node: a policy that forgets N is a mistake, no doubt.
        return Expected("allowed", f"the policy admits this client{why}")
    admitted_as = ", ".join(dict.fromkeys(_who(each) for each in passing))
    named = "SourceFilterLost" if own and not any(each in passing for each in own) else "CrossNodeTrafficDropped"
    note = f" ({named})" if named in reasons else ""
    return Expected("unsure", f"it passes only as {admitted_as}{note}{why}")


def _own_limits(context: VerificationContext, vantage: Vantage) -> str:
    if vantage.place not in ("other-namespace", "same-namespace"):
        return ""
    probe = pods_end((), Namespace(vantage.namespace), dict(vantage.labels))
    return names(Evaluator(context.live(vantage.namespace)).isolating("egress", probe))


def _held_before(context: VerificationContext, target: Target, vantage: Vantage) -> Expected | None:
    """kube-proxy enforces the field loadBalancerSourceRanges on addresses of load balancers that deliver to nodes."""
    service, own = _service(context, target), next(iter(vantage.addresses), "")
    if target.entry_point != "LoadBalancer" or vantage.place != "outside" or service is None or address(own) is None:
        return None
    row = row_of(context, target)
    ranges = [network(each) for each in service.source_ranges]
    if row is None or row.delivery != "node" or not ranges or hides_client(context, target, vantage):
        return None
    if SourceKind.LOAD_BALANCER in row.sources or covered(network(own), ranges):
        return None
    return Expected("denied", f"kept out before any policy: {own} is not in the Service's loadBalancerSourceRanges")


def hides_client(context: VerificationContext, target: Target, vantage: Vantage) -> bool:
    """A private address that calls a public one is translated somewhere on the way."""
    own, theirs = address(next(iter(vantage.addresses), "")), address(target.address)
    if vantage.place != "outside" or target.entry_point not in CARRIERS:
        return False
    return own is None or (own.is_private and (theirs is None or not theirs.is_private))


def _service(context: VerificationContext, target: Target) -> Service | None:
    return context.snapshot.services.get(target.namespace, {}).get(target.service)
