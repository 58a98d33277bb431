"""Sets of ports: the numbers and names in some rules, and the ranges between the numbers."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import TypeAlias

from exposure.networkpolicy.matching import LAST_PORT, ConnectionEnd, Match, ports_match
from exposure.networkpolicy.values import PolicyPort

PROTOCOLS = ("TCP", "UDP", "SCTP")
PortSet: TypeAlias = frozenset[PolicyPort]


class PortClasses:
    """Every port, in classes: no rule distinguishes the ports of one class."""

    def __init__(self, mentioned: Iterable[PolicyPort]) -> None:
        self._edges: dict[str, set[int]] = {protocol: {1, LAST_PORT + 1} for protocol in PROTOCOLS}
        self._names: set[tuple[str, str]] = set()
        for port in mentioned:
            if isinstance(port.port, str):
                self._names.add((port.protocol, port.port))
            elif port.port is not None and port.protocol in self._edges:
                self._edges[port.protocol] |= {port.port, (port.end_port or port.port) + 1}
        #: Every port of the pods that are called; a name that they resolve is its numbers.
        self.every = cache(self._classes)
        #: The ports that a rule certainly opens on the pods that are called.
        self.of = cache(self._opened)

    def _classes(self, receiver: ConnectionEnd) -> PortSet:
        resolved = {(protocol, name): receiver.numbers(protocol, name) for protocol, name in self._names}
        classes = {PolicyPort(*name) for name, numbers in resolved.items() if numbers is None}
        for protocol in PROTOCOLS:
            named = {n for (of, _), numbers in resolved.items() if of == protocol for n in numbers or ()}
            edges = sorted(self._edges[protocol] | named | {number + 1 for number in named})
            classes |= {
                PolicyPort(protocol, low, beyond - 1 if beyond - 1 > low else None) for low, beyond in pairwise(edges)
            }
        return frozenset(classes)

    def _opened(self, ports: tuple[PolicyPort, ...] | None, receiver: ConnectionEnd) -> PortSet:
        every = self.every(receiver)
        return every if ports is None else frozenset(p for p in every if ports_match(ports, p, receiver) is Match.YES)

    def text(self, ports: PortSet, receiver: ConnectionEnd) -> str:
        """`tcp/8443`, `every port`, or `every port but tcp/8443`, whichever is shortest."""
        missing = self.every(receiver) - ports
        if not missing:
            return "every port"
        return f"every port but {_listed(missing)}" if len(missing) < len(ports) else _listed(ports)


def _listed(ports: PortSet) -> str:
    """Whole protocols, then numbers, then names."""
    sizes: Counter[str] = Counter()
    for port in ports:
        if isinstance(port.port, int):
            sizes[port.protocol] += (port.end_port or port.port) - port.port + 1
    whole = [protocol for protocol in PROTOCOLS if sizes[protocol] == LAST_PORT]
    rest = [port for port in ports if port.protocol not in whole]
    rest.sort(key=lambda port: (isinstance(port.port, str), port.protocol, port.port))
    return " ".join(map(str, [*map(PolicyPort, whole), *rest]))
