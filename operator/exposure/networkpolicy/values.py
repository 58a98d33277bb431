"""NetworkPolicies as values, in the terms of networking.k8s.io/v1.

`None` and `()` differ as in the API: a rule whose peers are None allows every peer, a direction that is None is not
restricted, and a direction that is `()` allows nothing.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from exposure.addresses import Block
from exposure.labels import LabelSelector, Pairs

#: The label of the NetworkPolicies that the operator writes.
MANAGED_BY = ("app.kubernetes.io/managed-by", "exposure-operator")

Direction: TypeAlias = Literal["ingress", "egress"]
DIRECTIONS: tuple[Direction, Direction] = ("ingress", "egress")


@dataclass(frozen=True, slots=True)
class Owner:
    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Peer:
    """An ipBlock, or pods: `pods` in `namespaces`; without `namespaces`, pods of the policy's own namespace."""

    block: Block | None = None
    pods: LabelSelector | None = None
    namespaces: LabelSelector | None = None

    def __str__(self) -> str:
        if self.block is not None:
            return str(self.block)
        pods = "every pod" if self.pods is None or self.pods.empty else f"pods {self.pods}"
        if self.namespaces is None:
            return f"{pods} of this namespace"
        where = "every namespace" if self.namespaces.empty else f"namespaces {self.namespaces}"
        return f"{pods} in {where}"


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """Ports that a pod listens on: a number, a range up to `end_port`, or a name. None: every port of the protocol."""

    protocol: str
    port: int | str | None = None
    end_port: int | None = None

    def __str__(self) -> str:
        end = "" if self.end_port is None else f"-{self.end_port}"
        return f"{self.protocol.lower()}/{'*' if self.port is None else self.port}{end}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which peers (None: all) may use which ports (None: all). An ingress rule's `from` or an egress rule's `to`."""

    peers: tuple[Peer, ...] | None
    ports: tuple[PolicyPort, ...] | None


@dataclass(frozen=True, slots=True)
class PolicySpec:
    pod_selector: LabelSelector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        return self.ingress if direction == "ingress" else self.egress


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    namespace: str
    name: str
    spec: PolicySpec
    labels: Pairs = ()
    annotations: Pairs = ()
    owners: tuple[Owner, ...] = ()
    uid: str = field(default="", compare=False)
    deleting: bool = field(default=False, compare=False)

    @property
    def is_ours(self) -> bool:
        """Whether the operator wrote this NetworkPolicy. Only then may it be changed or deleted."""
        return MANAGED_BY in self.labels
