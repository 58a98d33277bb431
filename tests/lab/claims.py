"""What an Exposure claims, read from its JSON alone: which addresses are admitted, as which kind of source."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.enforcer.objects import Address


@dataclass(frozen=True, slots=True)
class Source:
    """One line of `status.sources`. `ports` such as "tcp/8080"; `row` names the decision table's."""

    kind: str
    row: str
    cidrs: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    excepts: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    ports: frozenset[str]

    def admits(self, source: Address, port: int, protocol: str) -> bool:
        return (
            f"{protocol.lower()}/{port}" in self.ports
            and any(source in block for block in self.cidrs)
            and not any(source in block for block in self.excepts)
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """One Exposure: its sources, and the reasons of its blind spots by effect (Opens, Cuts, Unproven)."""

    sources: tuple[Source, ...]
    blind_spots: Mapping[str, frozenset[str]]

    def admitting(self, source: Address, port: int, protocol: str) -> tuple[Source, ...]:
        """The sources that admit a connection; none: it is not admitted."""
        return tuple(listed for listed in self.sources if listed.admits(source, port, protocol))

    def has(self, effect: str, *reasons: str) -> bool:
        """Whether one of these blind spots is reported with that effect."""
        return bool(self.blind_spots.get(effect, frozenset()) & set(reasons))


def claim_of(exposure: Mapping[str, Any]) -> Claim:
    """From the object as `kubectl get exposures -o json` prints it."""
    status = exposure.get("status") or {}
    blind_spots: dict[str, set[str]] = {}
    for blind_spot in status.get("blindSpots") or ():
        blind_spots.setdefault(blind_spot["effect"], set()).add(blind_spot["reason"])
    sources = tuple(
        Source(
            line["kind"],
            line["row"],
            tuple(map(ipaddress.ip_network, line.get("cidrs") or ())),
            tuple(map(ipaddress.ip_network, line.get("except") or ())),
            frozenset(line.get("ports") or ()),
        )
        for line in status.get("sources") or ()
    )
    return Claim(sources, {effect: frozenset(reasons) for effect, reasons in blind_spots.items()})
