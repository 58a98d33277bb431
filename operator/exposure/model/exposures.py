"""What follows: one `Exposure` for each entry point, with its sources, ports, backends and blind spots."""

from dataclasses import dataclass, field
from enum import StrEnum

from exposure.addresses import Block
from exposure.model.objects import Ref
from exposure.networkpolicy.values import NetworkPolicy, Owner, Peer, PolicyPort


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """What no policy can hold here. `effect` and `cure` are the catalogue's, unless the case is special."""

    reason: str
    effect: str
    message: str
    cure: str = ""


class SourceKind(StrEnum):
    """Who it is that arrives at the pod's port."""

    CLIENTS = "Clients"
    LOAD_BALANCER = "LoadBalancer"
    HEALTH_CHECKS = "HealthChecks"
    NODES = "Nodes"
    OUTSIDE = "Outside"
    PROXY_PODS = "ProxyPods"
    PEERS = "Peers"


@dataclass(frozen=True, slots=True)
class Source:
    """Addresses or pods that arrive, what they are, the row or rule that decided it, and why."""

    kind: SourceKind
    blocks: tuple[Block, ...]
    ports: tuple[PolicyPort, ...]
    row: str
    explanation: str
    reference: str
    peers: tuple[Peer, ...] = ()
    entry_point: str = "LoadBalancer"


@dataclass(frozen=True, slots=True)
class OpenPort:
    name: str
    port: int
    target: int | str
    protocol: str


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
class Exposure:
    namespace: str
    name: str
    owner: Owner
    entry_points: tuple[str, ...]
    addresses: tuple[str, ...]
    ports: tuple[OpenPort, ...]
    sources: tuple[Source, ...]
    backends: tuple[BackendSummary, ...]
    policy: PolicyRef | None
    network_policies: tuple[Ref, ...]
    blind_spots: tuple[BlindSpot, ...]
    mode: str = "Enforce"
    profile: str = ""
    cni: str = ""
    refusal: str = ""
    default_deny: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
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
    verdict: Verdict
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
