"""What resolving gives: one `Exposure` for each entry point, with sources, ports, backends and blind spots."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

from exposure.addresses import Block
from exposure.model.objects import Namespaced, Ref, ServicePort
from exposure.networkpolicy.values import NetworkPolicy, Owner, Peer, PolicyPort


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """What no policy can enforce here. `effect` and `cure` are the catalog's, unless the case is special."""

    reason: str
    effect: str
    message: str
    cure: str = ""


class SourceKind(StrEnum):
    """Who it is that arrives at the pod's port. In a short cell, whom the policy asks for stands before all others."""

    CLIENTS = "Clients"
    OUTSIDE = "Outside"
    LOAD_BALANCER = "LoadBalancer"
    PROXY_PODS = "ProxyPods"
    PEERS = "Peers"
    NODES = "Nodes"
    HEALTH_CHECKS = "HealthChecks"


#: Whether a load balancer sends to pods, or to nodes that forward.
Destination: TypeAlias = Literal["pod", "node"]
#: Where a CNI filters: before or after SNAT, in a data plane that preserves addresses, or by identity (Cilium).
Position: TypeAlias = Literal["pre", "post", "preserving", "unknown", "identity-snat", "identity-dsr"]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A row of the decision table; None fits anything. `sources` are in the order in which they are shown.

    `delivery` None: a row beside the table, which fits nothing and names what else admits a source.
    """

    id: str
    delivery: Destination | None
    preserved: bool | None
    traffic_policy: str | None
    positions: tuple[Position, ...] | None
    sources: tuple[SourceKind, ...]
    why: str
    reference: str

    def fits(self, delivery: Destination, preserved: bool, traffic_policy: str, position: Position) -> bool:
        return (
            self.delivery == delivery
            and self.preserved in (None, preserved)
            and self.traffic_policy in (None, traffic_policy)
            and (self.positions is None or position in self.positions)
        )


@dataclass(frozen=True, slots=True)
class Source:
    """Addresses or pods that are admitted to `ports` of the pods, and the row that decided it.

    `explanation` is a sentence, `reference` the documentation behind it. `peers` are pods (blocks for peers that a
    policy names). `entry_point`: the kind of entry point by which the source arrives.
    """

    kind: SourceKind
    blocks: tuple[Block, ...]
    ports: tuple[PolicyPort, ...]
    row: DecisionRow
    explanation: str
    reference: str
    peers: tuple[Peer, ...] = ()
    entry_point: str = "LoadBalancer"


@dataclass(frozen=True, slots=True)
class BackendSummary:
    service: Ref
    selector: str
    ready: int
    total: int


@dataclass(frozen=True, slots=True)
class PolicyRef:
    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return self.name if self.kind == "ExposurePolicy" else f"{self.name} (cluster)"


@dataclass(frozen=True, slots=True)
class Exposure(Namespaced):
    """One entry point: what is open, from where, by which policy, and its blind spots.

    `name` is that of the object that shows it; `owner` is the object that is the entry point. `refusal`: why something
    stays closed. `default_deny`: whether a default deny of ours holds in the namespace.
    """

    owner: Owner
    entry_points: tuple[str, ...]
    addresses: tuple[str, ...]
    ports: tuple[ServicePort, ...] = ()
    sources: tuple[Source, ...] = ()
    backends: tuple[BackendSummary, ...] = ()
    policy: PolicyRef | None = None
    network_policies: tuple[Ref, ...] = ()
    blind_spots: tuple[BlindSpot, ...] = ()
    mode: str = "Enforce"
    profile: str = ""
    cni: str = ""
    delivery: Destination | None = None
    refusal: str = ""
    default_deny: bool = False


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """What became of a policy: accepted or not, with the reason, the field and the cure in the message."""

    accepted: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ServiceOutcome:
    name: str
    message: str
    governed: bool = True


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    policy: PolicyRef
    generation: int
    verdict: PolicyVerdict
    mode: str
    services: tuple[ServiceOutcome, ...] = ()
    uid: str = ""
    note: str = ""
    #: For a ClusterExposurePolicy: the namespaces that it covers.
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """Everything that follows for one namespace.

    `policies` are the NetworkPolicies that should exist; `frozen` names those that one policy's pause leaves as they
    are; `audited` are those that Audit mode only plans. `paused` leaves the whole namespace as it stands.
    """

    namespace: str
    policies: tuple[NetworkPolicy, ...]
    exposures: tuple[Exposure, ...]
    outcomes: tuple[PolicyOutcome, ...] = ()
    audited: tuple[NetworkPolicy, ...] = ()
    frozen: frozenset[str] = field(default=frozenset())
    paused: bool = False

    def written(self, live: Mapping[str, NetworkPolicy]) -> tuple[NetworkPolicy, ...]:
        """What the operator writes: without names that a pause freezes or that policies of others have."""
        foreign = {name for name, policy in live.items() if not policy.is_ours}
        untouched = foreign | self.frozen
        return () if self.paused else tuple(policy for policy in self.policies if policy.name not in untouched)
