"""What must come of a connection: the truth table's row for the door, asked of the policies that should stand. Pure.

A connection may arrive in several ways: at this pod or at that one, under its own address or under a node's. Where all
of them pass it must pass, where none does it must not, and where it depends nobody can tell from here: `unsure`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from exposure.facts.decision import ROWS, Row, decide
from exposure.values.addresses import address, covered, family, network
from exposure.values.labels import Labels
from exposure.values.network_policy import NetworkPolicy
from exposure.values.objects import Pod, Service
from exposure.verify.ground import Ground, names
from exposure.verify.rules import Sender, egress_is_limited, ingress
from exposure.verify.values import Backend, Expected, Target, Vantage

#: Public addresses far apart: what admits them all admits, as far as anybody can tell, every client.
STRANGERS = ("1.1.1.1", "93.184.215.14", "193.0.6.139", "2001:67c:2e8::1", "2606:4700::1111")
CARRIERS = ("LoadBalancer", "NodePort", "ExternalIP", "HostPort")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One way to arrive at one backend: whom the CNI sees, by which letter; `always`: every CNI admits it."""

    backend: Backend
    sender: Sender
    letter: str
    always: bool = False


def expected(ground: Ground, target: Target, vantage: Vantage) -> Expected:
    """The verdict that must come true, and the sentence that explains it."""
    limits = _own_limits(ground, vantage)
    if limits:
        return Expected("unsure", f"the probe itself may not call everybody, by {limits}")
    held = _held_before(ground, target, vantage)
    if held is not None:
        return held
    if hides_client(ground, target, vantage):
        return _translated(ground, target, vantage)
    found = list(arrivals(ground, target, vantage))
    if not found:
        return Expected("unsure", "the load balancer's own addresses are not known, so nobody can say who arrives")
    passing = [each for each in found if admitted(ground.intended(pod_of(each.backend, target)), each, target)]
    why = _row_text(ground, target, vantage)
    who = ", ".join(dict.fromkeys(_who(each) for each in found))
    if len(passing) == len(found):
        letters = ", ".join(dict.fromkeys(_who(each) for each in passing))
        return Expected("allowed", f"let in: {letters}{why}")
    if not passing:
        return Expected("denied", f"kept out: no rule admits {who}{why}")
    return _depends(ground, target, found, passing, why)


def _translated(ground: Ground, target: Target, vantage: Vantage) -> Expected:
    """It arrives under some public address that nobody here knows: it must pass where any would."""
    # A host name says no family: then IPv4 has to do.
    for address_ in [each for each in STRANGERS if (":" in each) == (":" in target.address)]:
        found = list(arrivals(ground, target, replace(vantage, addresses=(address_,))))
        if not found or not all(admitted(ground.intended(pod_of(e.backend, target)), e, target) for e in found):
            return Expected("unsure", "addresses are translated on the way: nobody here knows who arrives (--source)")
    return Expected("allowed", f"let in: C, whoever it is{_row_text(ground, target, vantage)}")


def arrivals(ground: Ground, target: Target, vantage: Vantage) -> Iterator[Arrival]:
    """Every way in which a connection from `vantage` may arrive."""
    for backend in target.backends:
        if vantage.place == "node":
            if not vantage.node or vantage.node == backend.node:
                yield Arrival(backend, Sender(), "own node", always=True)
            if vantage.node != backend.node:
                yield from _nodes(ground, target, backend)
        elif vantage.place != "outside" or target.door not in CARRIERS:
            yield Arrival(backend, _own(ground, target, vantage), "own")
        else:
            yield from _from_outside(ground, target, vantage, backend)


def _from_outside(ground: Ground, target: Target, vantage: Vantage, backend: Backend) -> Iterator[Arrival]:
    row = row_of(ground, target)
    after_snat = ground.survey.cni.position == "post"
    for letter in row.sources if row is not None else "C":
        match letter:
            case "C" | "E":
                yield Arrival(backend, _own(ground, target, vantage), "C")
            case "N":
                yield from _nodes(ground, target, backend)
                if after_snat:
                    yield Arrival(backend, Sender(), "own node", always=True)
            case "L":
                yield from (Arrival(backend, Sender(each), "L") for each in _balancers(ground, target))


def _own(ground: Ground, target: Target, vantage: Vantage) -> Sender:
    address = next((each for each in vantage.addresses if (":" in each) == (":" in target.address)), "")
    if not vantage.namespace:
        return Sender(address)
    labels: Labels = dict(vantage.labels)
    by_identity = ground.survey.cni.pod_ranges == "matched-by-identity"
    return Sender(address, vantage.namespace, labels, ground.namespace_labels(vantage.namespace), not by_identity)


def _nodes(ground: Ground, target: Target, backend: Backend) -> Iterator[Arrival]:
    wanted = family(own) if (own := address(backend.address or target.address)) is not None else "IPv4"
    for each in ground.survey.snat:
        if family(each) == wanted:
            blocks = ground.survey.cni.pod_ranges != "matched-by-identity"
            yield Arrival(backend, Sender(str(each.network_address), blocks=blocks), "N")


def _balancers(ground: Ground, target: Target) -> list[str]:
    exposure = ground.by_name.get(f"{target.namespace}/service-{target.service}")
    sources = exposure.sources if exposure else ()
    return [str(each.cidr.network_address) for source in sources if source.letter == "L" for each in source.blocks]


def row_of(ground: Ground, target: Target) -> Row | None:
    """The row of the decision table for a door; None where the pod is called without one."""
    if target.door not in CARRIERS:
        return None
    exposure = ground.by_name.get(f"{target.namespace}/service-{target.service}")
    for source in exposure.sources if exposure else ():
        if source.door == target.door:
            for row in ROWS:
                if row.id == source.row:
                    return row
    service = _service(ground, target)
    policy = "Local" if target.door == "HostPort" or service is None else service.external_traffic_policy
    return decide("node", True, policy, ground.survey.cni.position)


def admitted(policies: tuple[NetworkPolicy, ...], arrival: Arrival, target: Target, port: int | None = None) -> bool:
    """Whether `policies` let an arrival in, at the backend's port or at another one."""
    pod = pod_of(arrival.backend, target)
    if arrival.always or pod.host_network:
        return True
    return ingress(policies, pod, arrival.sender, target.protocol, port or arrival.backend.port).allowed


def pod_of(backend: Backend, target: Target) -> Pod:
    return backend.pod or Pod(target.namespace, "", ips=(backend.address,))


def _who(arrival: Arrival) -> str:
    match arrival.letter:
        case "N":
            return "N (a node's address)"
        case "own node":
            return "the pod's own node, which is always admitted"
        case "own" | "C":
            sender = arrival.sender
            letter = "C, " if arrival.letter == "C" else ""
            return (
                f"{letter}{sender.address or 'the client'}" if sender.labels is None else f"pods of {sender.namespace}"
            )
        case letter:
            return f"{letter} (the load balancer)"


def _row_text(ground: Ground, target: Target, vantage: Vantage) -> str:
    row = row_of(ground, target) if vantage.place == "outside" else None
    return f"; {row.why}" if row is not None else ""


def _depends(ground: Ground, target: Target, found: list[Arrival], passing: list[Arrival], why: str) -> Expected:
    """Some ways pass and some do not: whose wish is it?"""
    exposure = ground.by_name.get(target.exposure)
    reasons = {spot.reason for spot in exposure.blind_spots} if exposure else set()
    own = [each for each in found if each.letter == "C"]
    if own and all(each in passing for each in own) and "CrossNodeTrafficDropped" not in reasons:
        # A client that is asked for must get in by whatever node: a policy that forgets N is a mistake, no doubt.
        return Expected("allowed", f"C: the policy lets this client in{why}")
    admitted_as = ", ".join(dict.fromkeys(_who(each) for each in passing))
    named = "SourceFilterLost" if own and not any(each in passing for each in own) else "CrossNodeTrafficDropped"
    note = f" ({named})" if named in reasons else ""
    return Expected("unsure", f"it passes only as {admitted_as}{note}{why}")


def _own_limits(ground: Ground, vantage: Vantage) -> str:
    if vantage.place not in ("other-namespace", "same-namespace"):
        return ""
    return names(egress_is_limited(ground.live(vantage.namespace), vantage.namespace, dict(vantage.labels)))


def _held_before(ground: Ground, target: Target, vantage: Vantage) -> Expected | None:
    """kube-proxy enforces the field loadBalancerSourceRanges on addresses of load balancers that deliver to nodes."""
    service, own = _service(ground, target), next(iter(vantage.addresses), "")
    if target.door != "LoadBalancer" or vantage.place != "outside" or service is None or address(own) is None:
        return None
    row = row_of(ground, target)
    ranges = [network(each) for each in service.source_ranges]
    if row is None or row.delivery != "node" or not ranges or hides_client(ground, target, vantage):
        return None
    if "L" in row.sources or covered(network(own), ranges):
        return None
    return Expected("denied", f"kept out before any policy: {own} is not in the Service's loadBalancerSourceRanges")


def hides_client(ground: Ground, target: Target, vantage: Vantage) -> bool:
    """A private address that calls a public one is translated somewhere on the way."""
    own, theirs = address(next(iter(vantage.addresses), "")), address(target.address)
    if vantage.place != "outside" or target.door not in CARRIERS:
        return False
    return own is None or (own.is_private and (theirs is None or not theirs.is_private))


def _service(ground: Ground, target: Target) -> Service | None:
    return ground.world.services.get(target.namespace, {}).get(target.service)
