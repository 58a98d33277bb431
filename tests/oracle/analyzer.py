"""network-config-analyzer as an oracle: the connections that NetworkPolicies allow, by an independent reader.

It differs from the API reference in one point, which is corrected here: to it an ipBlock means addresses outside the
cluster only, while the reference says "a particular CIDR that is allowed". So each direction is analyzed on its own,
for a pod as a pod and for its address as an address, and a connection passes if both ends allow it.

It also reads Exists and DoesNotExist in a peer's podSelector as if the peer had no namespaceSelector (2.1.0,
K8sPolicyYamlParser.parse_label_selector_requirement). So these are written as In and NotIn of all the pods' values.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tests.lab.oracle import executable
from tests.plan.evaluator import Party

Manifest = dict[str, Any]
_LINE = re.compile(r"^(\S+) => (\S+) : (.+)$", re.MULTILINE)
_CUBE = re.compile(r"protocols:([A-Z-]+(?:, ?[A-Z-]+)*)(?:, ?dst_ports:([0-9-]+(?:, ?[0-9-]+)*))?")


@dataclass(frozen=True)
class Cube:
    """Some protocols, at some ports (None: all)."""

    protocols: frozenset[str]
    ports: tuple[tuple[int, int], ...] | None

    def holds(self, protocol: str, port: int) -> bool:
        at_port = self.ports is None or any(low <= port <= high for low, high in self.ports)
        return protocol in self.protocols and at_port


@dataclass(frozen=True)
class Line:
    """One line of nca's: from an end to an end, as cubes of protocols and ports (None: everything)."""

    ends: tuple[str, str]
    cubes: tuple[Cube, ...] | None

    def holds(self, protocol: str, port: int) -> bool:
        return self.cubes is None or any(cube.holds(protocol, port) for cube in self.cubes)

    def is_end(self, side: int, name: str | None, address: str) -> bool:
        end = self.ends[side]
        if "/" in end:
            return end == name
        low, _, high = end.partition("-")
        first, last, parsed = ip_address(low), ip_address(high or low), ip_address(address)
        return first.version == parsed.version and int(first) <= int(parsed) <= int(last)


class Nca:
    """One process for many clusters, until `close`."""

    def __init__(self) -> None:
        python = Path(executable()).with_name("python")
        server = Path(__file__).with_name("server.py")
        self._process = subprocess.Popen(
            [python, server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self._process.communicate(timeout=20)

    def read(self, namespaces: Sequence[Manifest], pods: Sequence[Manifest], policies: Sequence[Manifest]) -> Allowed:
        """What these objects allow."""
        names = {pod["status"]["podIP"]: f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods}
        lines = []
        for direction in ("Egress", "Ingress"):
            kept = [_spelled_out(policy, pods) for policy in _only(policies, direction)]
            lines.append(self._analyze([*namespaces, *pods, *kept]) if kept else None)
        return Allowed(names, (lines[0], lines[1]))

    def _analyze(self, manifests: list[Manifest]) -> list[Line]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(manifests) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the oracle ended: {self._process.communicate()[1][-2000:]}")
        return [_line(*match) for match in _LINE.findall(json.loads(answer))]


@dataclass(frozen=True)
class Allowed:
    """`names` of pods by address; what nca allows by egress and by ingress (None: no policy has that direction)."""

    names: dict[str, str]
    lines: tuple[list[Line] | None, list[Line] | None]

    def allows(self, source: Party, destination: Party, protocol: str, port: int) -> bool:
        parties = (source, destination)
        names = [self.names.get(party.address) for party in parties]
        for side, lines in enumerate(self.lines):
            if lines is None or names[side] is None or names[0] == names[1]:
                continue
            other = 1 - side
            if not any(
                line.ends[side] == names[side]
                and line.is_end(other, names[other], parties[other].address)
                and line.holds(protocol, port)
                for line in lines
            ):
                return False
        return True


def _only(policies: Iterable[Manifest], direction: str) -> Iterable[Manifest]:
    """The policies that have a direction, with only that direction."""
    for policy in policies:
        spec = policy["spec"]
        types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        if direction in types:
            way = direction.lower()
            kept = {"podSelector": spec["podSelector"], "policyTypes": [direction], way: spec.get(way) or []}
            yield {**policy, "spec": kept}


def _name(metadata: Manifest) -> str:
    return f"{metadata['namespace']}/{metadata['name']}"


def _spelled_out(policy: Manifest, pods: Sequence[Manifest]) -> Manifest:
    """The same policy, its peers' podSelectors without Exists and DoesNotExist."""
    changed: Manifest = copy.deepcopy(policy)
    for rule in (*(changed["spec"].get("ingress") or ()), *(changed["spec"].get("egress") or ())):
        for peer in (*(rule.get("from") or ()), *(rule.get("to") or ())):
            for need in peer.get("podSelector", {}).get("matchExpressions", ()):
                other = {"Exists": "In", "DoesNotExist": "NotIn"}.get(need["operator"])
                if other:
                    values = {pod["metadata"]["labels"].get(need["key"], "no-pod-has-this") for pod in pods}
                    need |= {"operator": other, "values": sorted(values)}
    return changed


def _line(source: str, destination: str, what: str) -> Line:
    if what == "All connections":
        return Line((source, destination), None)
    cubes = _CUBE.findall(what)
    if not cubes or re.sub(r"[{}\s,;]", "", _CUBE.sub("", what)):
        raise RuntimeError(f"the oracle describes connections in an unknown form: {what}")
    return Line((source, destination), tuple(_cube(*cube) for cube in cubes))


def _cube(protocols: str, ports: str) -> Cube:
    pairs = (pair.strip().partition("-") for pair in ports.split(",") if pair)
    ranges = tuple((int(low), int(high or low)) for low, _, high in pairs)
    return Cube(frozenset(protocol.strip() for protocol in protocols.split(",")), ranges or None)
