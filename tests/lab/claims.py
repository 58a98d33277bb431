"""What an Exposure claims, read from its JSON alone: who is let in, by which letter of the truth table."""

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
            and any(source in each for each in self.cidrs)
            and not any(source in each for each in self.excepts)
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """One Exposure: its sources, and the reasons of its blind spots by effect (Opens, Cuts, Unproven)."""

    sources: tuple[Source, ...]
    spots: Mapping[str, frozenset[str]]

    def admitting(self, source: Address, port: int, protocol: str) -> tuple[Source, ...]:
        """The sources that let a connection in; none: it is not let in."""
        return tuple(each for each in self.sources if each.admits(source, port, protocol))

    def has(self, effect: str, *reasons: str) -> bool:
        """Whether one of the blind spots is said, with that effect."""
        return bool(self.spots.get(effect, frozenset()) & set(reasons))


def claim_of(exposure: Mapping[str, Any]) -> Claim:
    """From the object as `kubectl get exposures -o json` prints it."""
    status = exposure.get("status") or {}
    spots: dict[str, set[str]] = {}
    for spot in status.get("blindSpots") or ():
        spots.setdefault(spot["effect"], set()).add(spot["reason"])
    sources = tuple(
        Source(
            each["kind"],
            each["row"],
            tuple(map(ipaddress.ip_network, each.get("cidrs") or ())),
            tuple(map(ipaddress.ip_network, each.get("except") or ())),
            frozenset(each.get("ports") or ()),
        )
        for each in status.get("sources") or ()
    )
    return Claim(sources, {effect: frozenset(reasons) for effect, reasons in spots.items()})
