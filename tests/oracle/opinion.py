"""network-config-analyzer as an oracle: who may connect to whom under NetworkPolicies that we did not read ourselves.

It differs from the API reference in one point, which is put right here: it takes an ipBlock for addresses outside the
cluster only, while the reference says "a particular CIDR that is allowed". So each direction is asked by itself, for a
pod as a pod and for its address as an address, and a connection passes if both ends let it.

It also reads Exists and DoesNotExist in a peer's podSelector as if the peer had no namespaceSelector (2.1.0,
K8sPolicyYamlParser.parse_label_selector_requirement). So these are asked as In and NotIn all values that pods have.
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
        first, last, asked = ip_address(low), ip_address(high or low), ip_address(address)
        return first.version == asked.version and int(first) <= int(asked) <= int(last)


class Nca:
    """One process for many clusters; to be closed."""

    def __init__(self) -> None:
        python = Path(executable()).with_name("python")
        server = Path(__file__).with_name("server.py")
        self._process = subprocess.Popen(
            [python, server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self._process.communicate(timeout=20)

    def read(self, namespaces: Sequence[Manifest], pods: Sequence[Manifest], policies: Sequence[Manifest]) -> Opinion:
        """What these objects allow."""
        names = {
            each["status"]["podIP"]: f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in pods
        }
        said = []
        for direction in ("Egress", "Ingress"):
            speaking = [_spelled_out(each, pods) for each in _only(policies, direction)]
            said.append(self._ask([*namespaces, *pods, *speaking]) if speaking else None)
        return Opinion(names, (said[0], said[1]))

    def _ask(self, manifests: list[Manifest]) -> list[Line]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(manifests) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the oracle died: {self._process.communicate()[1][-2000:]}")
        return [_line(*found) for found in _LINE.findall(json.loads(answer))]


@dataclass(frozen=True)
class Opinion:
    """`names` of pods by address; what nca says about egress and about ingress alone (None: nothing is closed)."""

    names: dict[str, str]
    said: tuple[list[Line] | None, list[Line] | None]

    def allows(self, source: Party, destination: Party, protocol: str, port: int) -> bool:
        parties = (source, destination)
        names = [self.names.get(each.address) for each in parties]
        for side, lines in enumerate(self.said):
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
    """The policies as far as they speak about one direction."""
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
    found: Manifest = copy.deepcopy(policy)
    for rule in (*(found["spec"].get("ingress") or ()), *(found["spec"].get("egress") or ())):
        for peer in (*(rule.get("from") or ()), *(rule.get("to") or ())):
            for need in peer.get("podSelector", {}).get("matchExpressions", ()):
                other = {"Exists": "In", "DoesNotExist": "NotIn"}.get(need["operator"])
                if other:
                    values = {pod["metadata"]["labels"].get(need["key"], "nobody-has-this") for pod in pods}
                    need |= {"operator": other, "values": sorted(values)}
    return found


def _line(source: str, destination: str, what: str) -> Line:
    if what == "All connections":
        return Line((source, destination), None)
    cubes = _CUBE.findall(what)
    if not cubes or re.sub(r"[{}\s,;]", "", _CUBE.sub("", what)):
        raise RuntimeError(f"the oracle speaks of connections in a way we do not know: {what}")
    return Line((source, destination), tuple(_cube(*each) for each in cubes))


def _cube(protocols: str, ports: str) -> Cube:
    pairs = (each.strip().partition("-") for each in ports.split(",") if each)
    ranges = tuple((int(low), int(high or low)) for low, _, high in pairs)
    return Cube(frozenset(each.strip() for each in protocols.split(",")), ranges or None)
