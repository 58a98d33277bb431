"""Ports as the policies at hand tell them apart: single numbers, the ranges between them, and names nobody resolves."""

from collections.abc import Iterable
from itertools import pairwise
from typing import TypeAlias

from exposure.networkpolicy.values import PolicyPort
from exposure.plan.parties import Party

PROTOCOLS = ("TCP", "UDP", "SCTP")
LAST = 65535
#: protocol, first and last number; or protocol, name and 0.
PortClass: TypeAlias = tuple[str, int | str, int]
PortSet: TypeAlias = frozenset[PortClass]


class Ports:
    """Every port, cut into classes that no rule at hand tells apart any further."""

    def __init__(self, mentioned: Iterable[PolicyPort]) -> None:
        edges: dict[str, set[int]] = {protocol: {1, LAST + 1} for protocol in PROTOCOLS}
        self.names: set[tuple[str, str]] = set()
        for port in mentioned:
            if isinstance(port.port, str):
                self.names.add((port.protocol, port.port))
            elif port.port is not None and port.protocol in edges:
                edges[port.protocol] |= {port.port, (port.end_port or port.port) + 1}
        self._edges = edges
        self._every: dict[Party, PortSet] = {}
        self.memory: dict[tuple[tuple[PolicyPort, ...], Party], PortSet] = {}

    def numbers(self, receiver: Party) -> Iterable[PortClass]:
        """The classes of numbers; a name that the receiver's pods resolve cuts out its number."""
        for protocol in PROTOCOLS:
            named = {n for (p, name) in self.names if p == protocol for n in receiver.resolve(protocol, name) or ()}
            edges = sorted(self._edges[protocol] | named | {n + 1 for n in named})
            yield from ((protocol, low, high - 1) for low, high in pairwise(edges))

    def every(self, receiver: Party) -> PortSet:
        if receiver not in self._every:
            named = ((p, name, 0) for p, name in self.names if receiver.resolve(p, name) is None)
            self._every[receiver] = frozenset((*self.numbers(receiver), *named))
        return self._every[receiver]

    def text(self, ports: PortSet, receiver: Party) -> str:
        """`tcp/8443`, `every port`, or `every port but tcp/8443`, whichever is shortest."""
        missing = self.every(receiver) - ports
        if not missing:
            return "every port"
        if len(missing) < len(ports):
            return f"every port but {_listed(missing)}"
        return _listed(ports)


def ports_of(ports: Ports, said: tuple[PolicyPort, ...] | None, receiver: Party) -> PortSet:
    """What a rule's ports mean on one receiver."""
    every = ports.every(receiver)
    if said is None:
        return every
    key = said, receiver
    if key not in ports.memory:
        ports.memory[key] = frozenset(each for each in every if any(_holds(port, each, receiver) for port in said))
    return ports.memory[key]


def _holds(port: PolicyPort, each: PortClass, receiver: Party) -> bool:
    protocol, low, _ = each
    if port.protocol != protocol:
        return False
    match port.port:
        case None:
            return True
        case str(name):
            return low == name or low in (receiver.resolve(protocol, name) or ())
        case number:
            return isinstance(low, int) and number <= low <= (port.end_port or number)


def _listed(ports: PortSet) -> str:
    whole = [p for p in PROTOCOLS if _is_whole(p, ports)]
    rest = sorted(each for each in ports if each[0] not in whole and isinstance(each[1], int))
    names = sorted(each for each in ports if each[0] not in whole and isinstance(each[1], str))
    return " ".join([*(f"{p.lower()}/*" for p in whole), *map(_shown, rest), *map(_shown, names)])


def _is_whole(protocol: str, ports: PortSet) -> bool:
    spans = [each[2] - each[1] + 1 for each in ports if each[0] == protocol and isinstance(each[1], int)]
    return sum(spans) == LAST


def _shown(each: PortClass) -> str:
    protocol, low, high = each
    return f"{protocol.lower()}/{low}" if isinstance(low, str) or low == high else f"{protocol.lower()}/{low}-{high}"
