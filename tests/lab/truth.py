"""Truth from packets: what the operator's policies really admit, against the oracle and the Exposure's claim.

Each case is an ExposurePolicy that the operator carries out in the lab. Then every sender tries every entry point of
every backend, in both families and protocols. A cell is right when four agree: the packets, the oracle on the policies
that were written, the Exposure's sources, and what the case intends (except where a blind spot reports otherwise).
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.lab import cells
from tests.lab.cells import Cell, Stage
from tests.lab.claims import Claim, Source, claim_of
from tests.lab.entry_points import EntryPoint
from tests.lab.lab import Lab
from tests.lab.network import ALLOWED_CLIENTS
from tests.lab.operated import Operator
from tests.lab.oracle import Oracle
from tests.lab.pods import LabPod
from tests.lab.policies import BANK, SHOP, TARGET
from tests.lab.relay import Balancer
from tests.lab.traffic import Probe, ProbeResult

#: By position: a CNI profile with the SNAT addresses of the lab's nodes, which are their InternalIPs.
CNI = {"pre": "kube-router", "post": "aws-vpc-cni"}
BALANCER = ("192.0.2.100", "2001:db8::64")
PROBER = ("192.0.2.104", "2001:db8::68")
DROPPED = "CrossNodeTrafficDropped"

Manifest = dict[str, Any]


def _hosts(addresses: Sequence[str]) -> list[str]:
    return [f"{address}/{128 if ':' in address else 32}" for address in addresses]


_EVERY_ENTRY_POINT = ["LoadBalancer", "NodePort", "ExternalIP"]
_CLIENTS = {"cidrs": list(ALLOWED_CLIENTS)}
_PROXY = {"cidrs": _hosts(BALANCER), "healthCheckCIDRs": _hosts(PROBER)}
_BANK = [{"namespaceSelector": {"matchLabels": {"team": "bank"}}}]


@dataclass(frozen=True, slots=True)
class Case:
    """One ExposurePolicy, and whom it intends to admit: senders, and the entry points that each may use.

    `admits` names senders (`pods of NAMESPACE` for pods). A sender that is not named is admitted at no entry point.
    `protocols` are those of the Service ports that it exposes; `source_ranges` the Services' loadBalancerSourceRanges.
    """

    name: str
    spec: Mapping[str, Any]
    admits: Mapping[str, frozenset[EntryPoint]] = field(default_factory=dict)
    protocols: frozenset[str] = frozenset(cells.PROTOCOLS)
    source_ranges: tuple[str, ...] = ()

    @property
    def clients(self) -> tuple[str, ...]:
        """The ranges of its clients; none: everyone."""
        return tuple((self.spec.get("clients") or {}).get("cidrs") or self.source_ranges)


_DIRECT = frozenset({EntryPoint.BALANCER, EntryPoint.NODE_PORT, EntryPoint.EXTERNAL})
_INSIDE = frozenset({EntryPoint.POD, EntryPoint.CLUSTER})
_NODE_PORT, _POD = frozenset({EntryPoint.NODE_PORT}), frozenset({EntryPoint.POD})

CASES = (
    Case("clients", {"entryPoints": _EVERY_ENTRY_POINT, "clients": _CLIENTS}, {"allowed": _DIRECT}),
    Case(
        "everyone",
        {"entryPoints": _EVERY_ENTRY_POINT},
        dict.fromkeys(("allowed", "stranger", "balancer", "prober"), _DIRECT),
    ),
    Case(
        "unenforceable denied",
        {"entryPoints": _EVERY_ENTRY_POINT, "clients": {**_CLIENTS, "unenforceable": "Deny"}},
        {"allowed": _DIRECT},
    ),
    Case("one port", {"entryPoints": _EVERY_ENTRY_POINT, "clients": _CLIENTS, "ports": ["tcp"]}, {"allowed": _DIRECT},
         frozenset({"TCP"})),
    Case("peers", {"clients": _CLIENTS, "peers": _BANK}, {"allowed": frozenset({EntryPoint.BALANCER}),
                                                         f"pods of {BANK}": _INSIDE}),
    Case("neighbours", {"clients": _CLIENTS, "isolation": {"allowSameNamespace": True}},
         {"allowed": frozenset({EntryPoint.BALANCER}), f"pods of {SHOP}": _INSIDE}),
    Case("proxied to nodes", {"loadBalancer": {"profile": "aws-classic", **_PROXY}},
         {"balancer": _NODE_PORT, "prober": _NODE_PORT}, frozenset({"TCP"})),
    Case(
        "source ranges", {}, {"allowed": frozenset({EntryPoint.BALANCER})}, source_ranges=ALLOWED_CLIENTS
    ),
    # The same load balancer keeps the client's address for UDP: https://docs.aws.amazon.com/elasticloadbalancing
    Case("to pods", {"clients": _CLIENTS, "loadBalancer": {"profile": "aws-nlb-ip", **_PROXY}},
         {"balancer": _POD, "prober": _POD}, frozenset({"TCP"})),
)  # fmt: skip
SHORT = tuple(case for case in CASES if case.name in ("clients", "everyone", "proxied to nodes", "to pods"))


@dataclass(frozen=True, slots=True)
class Wrong:
    """A cell on which packets, oracle, Exposure and intent do not agree, and why."""

    cell: Cell
    result: ProbeResult
    why: str

    def __str__(self) -> str:
        return f"{self.why}: {cells.Wrong(self.cell, self.result)}"


@dataclass(slots=True)
class Result:
    """`rows`: connections that were admitted, by the row of the decision table that admits them.

    `as_node`: how many were admitted though not intended, because a node's SNAT replaces their address, and the
    Exposure lists that it admits node addresses.
    """

    cells: int = 0
    passed: int = 0
    wrong: list[Wrong] = field(default_factory=list)
    by_entry_point: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    as_node: int = 0

    def add(self, other: Result) -> None:
        self.cells += other.cells
        self.passed += other.passed
        self.as_node += other.as_node
        self.wrong += other.wrong
        self.by_entry_point += other.by_entry_point
        self.rows += other.rows


class OperatedStage:
    """The stage of the packet cells with an operator in charge, a load balancer that proxies, and a health checker."""

    def __init__(self, lab: Lab, operator: Operator, families: Sequence[int] = (0, 1)) -> None:
        self.lab, self.operator = lab, operator
        self.balancer = Balancer(lab.traffic, lab.add_client("balancer", BALANCER))
        lab.add_client("prober", PROBER)
        self.stage = Stage(lab, families, apart=True)
        self._nodes = {address for node in lab.nodes.values() for address in node.addresses}

    def close(self) -> None:
        self.balancer.close()

    def run(self, cases: Sequence[Case]) -> Result:
        """Every case in turn, every cell of it."""
        result = Result()
        for case in cases:
            self._set_source_ranges(case.source_ranges)
            self.lab.apply(
                {
                    "apiVersion": "exposure.dev/v1alpha1",
                    "kind": "ExposurePolicy",
                    "metadata": {"namespace": SHOP, "name": "edge"},
                    "spec": dict(case.spec),
                }
            )
            self.operator.wait_quiet()
            result.add(self._run(case))
        return result

    def _set_source_ranges(self, ranges: tuple[str, ...]) -> None:
        if ranges != self.stage.source_ranges:
            self.lab.api.delete("ExposurePolicy", SHOP, "edge")
            self.operator.wait_quiet()
            self.stage.set_source_ranges(ranges)

    def _run(self, case: Case) -> Result:
        cluster = self.stage.generated([_policy(live) for live in self.lab.api.list("NetworkPolicy")])
        claims = {exposure["metadata"]["name"]: claim_of(exposure) for exposure in self.lab.api.list("Exposure", SHOP)}
        tried = list(self.stage.cells(case.name, cluster, Oracle(cluster)))
        results = self.lab.probe([self._probe(cell) for cell in tried])
        result = Result(cells=len(tried))
        for cell, cell_result in zip(tried, results, strict=True):
            result.passed += cell_result.passed
            result.by_entry_point[cell.way.entry_point.value] += 1
            claim = claims.get(f"service-{cell.service}", Claim((), {}))
            admitting = self._admitting(cell, claim)
            result.wrong += [
                Wrong(cell, cell_result, why) for why in self._complaints(case, cell, cell_result, claim, admitting)
            ]
            if cell_result.passed:
                # Where less is admitted than the row has, its packets do not show the row.
                result.rows.update({source.row for source in admitting if not claim.has("Cuts", DROPPED)})
                result.as_node += self._hidden(cell, admitting) and not self._intended(case, cell)
        return result

    def _probe(self, cell: Cell) -> Probe:
        """The connection of a cell. Through the proxying load balancer, the client connects to the load balancer."""
        if cell.sender != "balancer" or cell.protocol != "TCP":
            return self.stage.probe(cell)
        port = self.balancer.listen(cell.way.address, cell.way.port)
        return Probe(self.lab.clients["allowed"].netns, BALANCER[cell.way.family], port, timeout=4.0)

    def _admitting(self, cell: Cell, claim: Claim) -> tuple[Source, ...]:
        if cell.arrives is None:
            return ()
        return claim.admitting(ipaddress.ip_address(cell.arrives.judged_from), TARGET, cell.protocol)

    def _complaints(
        self, case: Case, cell: Cell, result: ProbeResult, claim: Claim, admitting: Sequence[Source]
    ) -> Iterator[str]:
        if result.passed != cell.expected:
            yield "the oracle expects otherwise"
        if result.passed and result.peer != cell.logged_from:
            yield "the server saw another source address"
        if cell.arrives is None:
            return
        own_node = cell.arrives.from_own_node
        stated = bool(admitting) or own_node or self._is_peer(case, cell)
        if result.passed != stated:
            yield "the Exposure claims otherwise"
        if (
            result.passed
            and cell.arrives.judged_from in self._nodes
            and not (own_node or self._hidden(cell, admitting))
        ):
            yield "a node's address was admitted, and the Exposure lists no source of kind Nodes"
        if self._intended(case, cell) and not result.passed and not claim.has("Cuts", DROPPED):
            yield "cut, and no blind spot reports it"
        if not self._intended(case, cell) and result.passed and not self._explained(case, cell, claim, admitting):
            yield "admitted without intent, and no blind spot reports it"

    def _intended(self, case: Case, cell: Cell) -> bool:
        return cell.protocol in case.protocols and cell.way.entry_point in case.admits.get(self._who(cell), frozenset())

    def _explained(self, case: Case, cell: Cell, claim: Claim, admitting: Sequence[Source]) -> bool:
        """Whether a sender may be admitted without intent: by another entry point's address, or by a blind spot."""
        assert cell.arrives is not None
        if cell.arrives.from_own_node:
            # Every CNI admits the pod's own node. Where it filters after SNAT, a blind spot reports what that opens.
            return self.lab.position == "post" and bool(claim.blind_spots.get("Opens"))
        if self._is_peer(case, cell):
            return True
        if self._hidden(cell, admitting):
            return True
        sender = self.stage.senders[cell.sender]
        own = sender.host.addresses if isinstance(sender, LabPod) else sender.addresses
        if cell.arrives.judged_from not in own:
            return False
        if isinstance(sender, LabPod):
            return claim.has("Opens", "EastWestOpen")
        # A NetworkPolicy knows addresses, not entry points: a client that one entry point admits may use any.
        kinds = {source.kind for source in admitting}
        return bool(kinds & {"LoadBalancer", "HealthChecks"}) or ("Clients" in kinds and self._is_client(case, cell))

    def _is_client(self, case: Case, cell: Cell) -> bool:
        assert cell.arrives is not None
        source = ipaddress.ip_address(cell.arrives.judged_from)
        return not case.clients or any(source in ipaddress.ip_network(cidr) for cidr in case.clients)

    def _hidden(self, cell: Cell, admitting: Sequence[Source]) -> bool:
        """Whether a node's address was admitted, and the Exposure lists it: as kind Nodes, or within all addresses."""
        assert cell.arrives is not None
        everyone = any(cidr.prefixlen == 0 for source in admitting for cidr in source.cidrs if source.kind == "Clients")
        return cell.arrives.judged_from in self._nodes and (
            everyone or "Nodes" in {source.kind for source in admitting}
        )

    def _is_peer(self, case: Case, cell: Cell) -> bool:
        """Whether it arrives with the address of a pod that the case admits as a pod (by `peers`, not by sources)."""
        sender = self.stage.senders[cell.sender]
        assert cell.arrives is not None
        if not isinstance(sender, LabPod) or cell.arrives.judged_from not in sender.host.addresses:
            return False
        return sender.host is self._backend(cell).host or (
            self._who(cell) in case.admits and cell.protocol in case.protocols
        )

    def _backend(self, cell: Cell) -> LabPod:
        return next(service.backend for service in self.stage.services if service.name == cell.service)

    def _who(self, cell: Cell) -> str:
        sender = self.stage.senders[cell.sender]
        return f"pods of {sender.spec.namespace}" if isinstance(sender, LabPod) else cell.sender


def _policy(live: Mapping[str, Any]) -> Manifest:
    metadata = {"name": live["metadata"]["name"], "namespace": live["metadata"]["namespace"]}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    return {**kind, "metadata": metadata, "spec": live["spec"]}
