"""The independent oracle: network-config-analyzer, called by its CLI (https://github.com/np-guard).

Where it and the API reference differ, the input is written so that the difference does not matter:

- To it an ipBlock means addresses outside the cluster only. The reference says "a particular CIDR that is allowed", and
  every CNI that filters by address admits a pod whose address lies in it. So each direction is analyzed on its own,
  once for the pod as a pod and once for its address as an address. The answers are combined as the reference says: a
  rule allows what any of its peers names, and a connection has to be allowed at both ends.
- `Exists` and `DoesNotExist` in a podSelector beside a namespaceSelector select from the policy's own namespace only
  (its get_peers_with_key is given that namespace). The reference: "the pods matching podSelector in the namespaces
  selected by namespaceSelector". So they are written as In and NotIn of every value that occurs.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.enforcer.objects import Address
from tests.lab.generate import Generated, Manifest

VARIABLE = "ORACLE_NCA"
DEFAULT = Path(__file__).resolve().parents[2] / ".venv-oracle" / "bin" / "nca"
ORACLE_SECONDS = 120

_LINE = re.compile(r"^(\S+) => (\S+) : (.+)$")
_SOME = re.compile(r"\{protocols:([A-Z]+(?:, [A-Z]+)*)(?:,dst_ports:([0-9,-]+))?\}")


@dataclass(frozen=True, slots=True)
class _Connections:
    """What one line allows: all of it, or protocols with port ranges (None: every port)."""

    protocols: frozenset[str] | None
    ports: tuple[tuple[int, int], ...] | None

    def __contains__(self, what: tuple[int, str]) -> bool:
        port, protocol = what
        if self.protocols is not None and protocol not in self.protocols:
            return False
        return self.ports is None or any(low <= port <= high for low, high in self.ports)


@dataclass(frozen=True, slots=True)
class _End:
    """One side of a line: a pod, or a range of addresses."""

    pod: str = ""
    version: int = 0
    low: int = 0
    high: int = 0

    def is_pod(self, name: str) -> bool:
        return self.pod == name

    def holds(self, address: Address) -> bool:
        return self.version == address.version and self.low <= int(address) <= self.high


_Lines = list[tuple[_End, _End, _Connections]]


def executable() -> str:
    """The oracle's command line: $ORACLE_NCA, else the virtual environment that `make` sets up for it."""
    return os.environ.get(VARIABLE) or str(DEFAULT)


class Oracle:
    """What the oracle allows in one cluster."""

    def __init__(self, cluster: Generated) -> None:
        """Runs the oracle. Raises RuntimeError with its message where it refuses the manifests."""
        self._pods: Mapping[Address, str] = {
            ipaddress.ip_address(entry["ip"]): f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for pod in cluster.pods
            for entry in pod["status"]["podIPs"]
        }
        with ThreadPoolExecutor(2) as both:
            ingress, egress = both.map(lambda direction: _lines_of(cluster, direction), ("Ingress", "Egress"))
        self._ingress = None if ingress is None else _by_pod(ingress, 1)
        self._egress = None if egress is None else _by_pod(egress, 0)

    def allows(self, source: Address, destination: Address, port: int, protocol: str) -> bool:
        """Whether a new connection between two addresses passes."""
        what = (source, destination, port, protocol)
        return self.leaves(*what) and self.enters(*what)

    def leaves(self, source: Address, destination: Address, port: int, protocol: str) -> bool:
        """Whether the sender's egress allows it."""
        sender, receiver = self._pods.get(source), self._pods.get(destination)
        if self._egress is None or sender is None or sender == receiver:
            return True
        return _allowed(self._egress.get(sender, []), receiver, destination, (port, protocol), 1)

    def enters(self, source: Address, destination: Address, port: int, protocol: str) -> bool:
        """Whether the receiver's ingress allows it."""
        sender, receiver = self._pods.get(source), self._pods.get(destination)
        if self._ingress is None or receiver is None or sender == receiver:
            return True
        return _allowed(self._ingress.get(receiver, []), sender, source, (port, protocol), 0)


def _allowed(lines: _Lines, peer: str | None, address: Address, what: tuple[int, str], side: int) -> bool:
    for line in lines:
        end = line[side]
        assert isinstance(end, _End)
        if what in line[2] and (end.holds(address) or (peer is not None and end.is_pod(peer))):
            return True
    return False


def _by_pod(lines: _Lines, side: int) -> dict[str, _Lines]:
    by_pod: dict[str, _Lines] = {}
    for line in lines:
        end = line[side]
        assert isinstance(end, _End)
        if end.pod:
            by_pod.setdefault(end.pod, []).append(line)
    return by_pod


def _only(cluster: Generated, direction: str) -> list[Manifest]:
    """The same policies with one direction only; those that do not have it are left out."""
    values: dict[str, set[str]] = {}
    for pod in cluster.pods:
        for key, value in (pod["metadata"].get("labels") or {}).items():
            values.setdefault(key, set()).add(value)
    kept = []
    for policy in cluster.policies:
        spec: dict[str, Any] = policy["spec"]
        types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        if direction in types:
            section = direction.lower()
            peers = "from" if direction == "Ingress" else "to"
            rules = [
                {**rule, **({peers: [_spelled_out(peer, values) for peer in rule[peers]]} if rule.get(peers) else {})}
                for rule in spec.get(section) or []
            ]
            only = {"podSelector": spec["podSelector"], "policyTypes": [direction], section: rules}
            kept.append({**policy, "spec": only})
    return kept


def _spelled_out(peer: Manifest, values: Mapping[str, set[str]]) -> Manifest:
    expressions = (peer.get("podSelector") or {}).get("matchExpressions")
    if not expressions or "namespaceSelector" not in peer:
        return peer
    spelled = [
        {
            "key": expression["key"],
            "operator": operator,
            "values": sorted(values.get(expression["key"]) or {"no-pod-has-it"}),
        }
        if (operator := {"Exists": "In", "DoesNotExist": "NotIn"}.get(expression["operator"]))
        else expression
        for expression in expressions
    ]
    return {**peer, "podSelector": {**peer["podSelector"], "matchExpressions": spelled}}


def _lines_of(cluster: Generated, direction: str) -> _Lines | None:
    """None: no policy has this direction, so nothing is denied in it."""
    policies = _only(cluster, direction)
    return _run([*cluster.namespaces, *cluster.pods, *policies]) if policies else None


def _run(manifests: list[Manifest]) -> _Lines:
    with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
        file = Path(folder, "cluster.yaml")
        file.write_text("\n---\n".join(json.dumps(manifest) for manifest in manifests))
        ran = subprocess.run(
            [executable(), "--connectivity", "-r", str(file), "--print_ipv6",
             "--output_format", "txt_no_fw_rules", "--output_endpoints", "pods"],
            capture_output=True, text=True, timeout=ORACLE_SECONDS, check=False,
        )  # fmt: skip
    if ran.returncode != 0 or "rror" in ran.stderr:
        raise RuntimeError(f"{executable()}: exit status {ran.returncode}: {ran.stderr[-2000:]}")
    lines: _Lines = []
    for text in ran.stdout.splitlines():
        if match := _LINE.match(text):
            lines.append((_end(match[1]), _end(match[2]), _connections(match[3])))
    if not lines and "unique endpoints" not in ran.stdout:
        raise RuntimeError(f"{executable()} printed nothing that can be read: {ran.stdout[-2000:]}")
    return lines


def _end(text: str) -> _End:
    if "/" in text:
        return _End(pod=text)
    low, _, high = text.partition("-")
    first, last = ipaddress.ip_address(low), ipaddress.ip_address(high or low)
    return _End(version=first.version, low=int(first), high=int(last))


def _connections(text: str) -> _Connections:
    if text == "All connections":
        return _Connections(None, None)
    match = _SOME.fullmatch(text)
    if match is None:
        raise RuntimeError(f"the oracle describes connections in an unknown form: {text}")
    ranges = None
    if match[2]:
        ranges = tuple(
            (int(low), int(high or low)) for low, _, high in (part.partition("-") for part in match[2].split(","))
        )
    return _Connections(frozenset(match[1].split(", ")), ranges)
