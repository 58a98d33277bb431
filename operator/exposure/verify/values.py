"""What is tried, from where, what is expected, and what was observed."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from exposure.labels import Pairs
from exposure.model.objects import Pod

Place: TypeAlias = Literal["outside", "other-namespace", "same-namespace", "node"]
PLACES: tuple[Place, ...] = ("outside", "other-namespace", "same-namespace", "node")
#: What became of one connection: it was established; it was reset; ICMP rejected it; nothing came back; it cannot be
#: tried from here.
Outcome: TypeAlias = Literal["open", "refused", "unreachable", "silent", "untried"]


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where connections start. `addresses` are its own, as far as known; a pod also has a namespace and labels."""

    place: Place
    addresses: tuple[str, ...] = ()
    namespace: str = ""
    labels: Pairs = ()
    node: str = ""

    def __str__(self) -> str:
        match self.place:
            case "outside":
                where = "outside"
            case "node":
                where = f"node {self.node}" if self.node else "a node"
            case _:
                where = f"a pod in {self.namespace}"
        return f"{where} ({', '.join(self.addresses)})" if self.addresses else where


@dataclass(frozen=True, slots=True)
class ReadyEndpoint:
    """An address of a pod that is ready, the number of the port it listens on, and its node.

    `address` empty: no pod is ready, and this one stands for the pods that the Service selects.
    """

    address: str
    port: int
    node: str = ""
    pod: Pod | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One address and port to connect to.

    `exposure`: namespace/name of its Exposure; `namespace/(no entry point)` where no entry point leads to it
    `entry_point`: LoadBalancer, NodePort, ExternalIP or HostPort from outside; ClusterIP or Pod from inside
    `backends`: the ready endpoints behind it, any of which may answer
    `service_port`, `node_port`: the port of the Service that leads to it, and its node port; 0 where there is none
    """

    exposure: str
    namespace: str
    service: str
    entry_point: str
    address: str
    port: int
    protocol: str
    backends: tuple[ReadyEndpoint, ...]
    service_port: int = 0
    node_port: int = 0

    @property
    def place(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol.lower()}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Expected:
    """`unsure` is never a failure: `why` says what cannot be known from here."""

    verdict: Literal["allowed", "denied", "unsure"]
    why: str


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What became of the connections to one target, in order, and the address that they were made from."""

    outcomes: tuple[Outcome, ...]
    source: str = ""

    @property
    def passed(self) -> int:
        return self.outcomes.count("open")

    def __str__(self) -> str:
        distinct = dict.fromkeys(self.outcomes)
        if len(distinct) == 1:
            return self.outcomes[0]
        return ", ".join(f"{self.outcomes.count(outcome)}× {outcome}" for outcome in distinct)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a connection did not come out as expected: a reason, a message, and what to do."""

    reason: str
    message: str
    cure: str = ""


Result: TypeAlias = Literal["as expected", "mismatch", "not judged"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `target` None: a comparison of the live policies with the plan."""

    exposure: str
    vantage: Vantage | None
    target: Target | None
    expected: Expected
    result: Result
    observed: ProbeOutcome | None = None
    cause: Cause | None = None
    notes: tuple[str, ...] = ()
