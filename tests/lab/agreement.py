"""The enforcer's model against the oracle, cell by cell: source, destination, port, protocol."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from tests.lab.enforcer.model import Model, compile_model, evaluate
from tests.lab.enforcer.objects import Address, Cluster, parse_pod, parse_policy
from tests.lab.generate import NUMBERS, OUTSIDE, PROTOCOLS, Generated, generate
from tests.lab.oracle import Oracle

PORTS = (*NUMBERS, 1, 65535)


@dataclass(frozen=True, slots=True)
class Cell:
    """One question, for one seed's cluster."""

    seed: int
    source: Address
    destination: Address
    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many cells were compared, how many of them the oracle allows, and on which the two differ."""

    cells: int
    allowed: int
    wrong: tuple[Cell, ...]


def model_of(cluster: Generated) -> Model:
    """What the enforcer makes of generated manifests."""
    return compile_model(
        Cluster(
            {namespace["metadata"]["name"]: namespace["metadata"]["labels"] for namespace in cluster.namespaces},
            tuple(map(parse_pod, cluster.pods)),
            tuple(map(parse_policy, cluster.policies)),
        )
    )


def questions(seed: int, cluster: Generated) -> Iterator[Cell]:
    """Every pair with a pod in it, within one family, on every port that a policy may name and two others."""
    pods = [ipaddress.ip_address(entry["ip"]) for pod in cluster.pods for entry in pod["status"]["podIPs"]]
    everyone = [*pods, *map(ipaddress.ip_address, OUTSIDE)]
    inside = set(pods)
    for source, destination in itertools.product(everyone, everyone):
        if source.version == destination.version and source != destination and inside & {source, destination}:
            for port, protocol in itertools.product(PORTS, PROTOCOLS):
                yield Cell(seed, source, destination, port, protocol)


def compare(seed: int) -> Agreement:
    """One seed's cluster, every cell."""
    cluster = generate(seed)
    model, oracle = model_of(cluster), Oracle(cluster)
    cells = allowed = 0
    wrong = []
    for cell in questions(seed, cluster):
        connection = (cell.source, cell.destination, cell.port, cell.protocol)
        expected = oracle.allows(*connection)
        cells += 1
        allowed += expected
        if evaluate(model, *connection) != expected:
            wrong.append(cell)
    return Agreement(cells, allowed, tuple(wrong))


def compare_all(seeds: range) -> Agreement:
    """Several seeds, added up."""
    parts = [compare(seed) for seed in seeds]
    return Agreement(
        sum(part.cells for part in parts),
        sum(part.allowed for part in parts),
        tuple(cell for part in parts for cell in part.wrong),
    )
