"""What is tried, from where, what must come of it, and what came."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from exposure.labels import Pairs
from exposure.model.objects import Pod

Place: TypeAlias = Literal["outside", "other-namespace", "same-namespace", "node"]
PLACES: tuple[Place, ...] = ("outside", "other-namespace", "same-namespace", "node")
#: What became of one connection: it stood; it was reset; ICMP said no; silence; it cannot be tried from here.
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
class Backend:
    """A ready endpoint: an address of a pod, the number it listens on, and the node it runs on."""

    address: str
    port: int
    node: str = ""
    pod: Pod | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One address and port to connect to.

    `entry point`       LoadBalancer, NodePort, ExternalIP, HostPort, Ingress, Gateway; ClusterIP or Pod inside
    `exposure`   namespace/name of the Exposure it belongs to; of the pod's Service where no entry point leads to it
    `backends`   who may answer: every ready endpoint behind it
    `ports`      the Service port behind it, and its node port (0: none)
    """

    exposure: str
    namespace: str
    service: str
    entry_point: str
    address: str
    port: int
    protocol: str
    backends: tuple[Backend, ...]
    service_port: int = 0
    node_port: int = 0

    @property
    def place(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol.lower()}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Expected:
    """`unsure` is never a failure: `why` says what cannot be told from here."""

    verdict: Literal["allowed", "denied", "unsure"]
    why: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The outcomes of the connections to one target, in order, and the address that they were made from."""

    outcomes: tuple[Outcome, ...]
    source: str = ""

    @property
    def passed(self) -> int:
        return self.outcomes.count("open")

    def __str__(self) -> str:
        counted = dict.fromkeys(self.outcomes)
        if len(counted) == 1:
            return self.outcomes[0]
        return ", ".join(f"{self.outcomes.count(each)}× {each}" for each in counted)


@dataclass(frozen=True, slots=True)
class Finding:
    """Why it came otherwise than expected: a reason, a sentence, and what to do."""

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
    seen: Seen | None = None
    finding: Finding | None = None
    notes: tuple[str, ...] = field(default=())
