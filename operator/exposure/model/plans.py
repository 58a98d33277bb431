"""A plan: the ordered changes that lead from what is live to what should be."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from exposure.networkpolicy.values import NetworkPolicy

Verb: TypeAlias = Literal["create", "update", "keep", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """One write, or a `keep`. `policy` is what will be live afterwards; for a delete, what was live before.

    `interim` marks a write that a later change of the same plan narrows again: for the moment in between, it also
    allows what other policies that are not written yet (or already deleted) allow for the same pods.
    """

    verb: Verb
    policy: NetworkPolicy
    reason: str = ""
    live: NetworkPolicy | None = None
    interim: bool = False
    #: Writes of one step are independent of each other; the next step begins when all of them are done.
    step: int = 0

    @property
    def name(self) -> str:
        return self.policy.name


@dataclass(frozen=True, slots=True)
class Plan:
    namespace: str
    changes: tuple[Change, ...]
    #: Names that the operator needs and that policies of others have. They are reported, never overwritten.
    name_conflicts: tuple[str, ...] = ()

    @property
    def writes(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.verb != "keep")
