"""What was worked out for one Service is kept, so that a change costs one Service and not its namespace."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from exposure.model.exposures import Exposure
from exposure.model.objects import Ref
from exposure.networkpolicy.values import NetworkPolicy
from exposure.resolve.grants import Grant

T = TypeVar("T")
#: Inputs, and what came of them.
Known: TypeAlias = tuple[tuple[Any, ...], T]


@dataclass(slots=True)
class Memo:
    """What was worked out before, by Service: used again only where every input is equal, so it never shows."""

    grants: "dict[Ref, Known[Grant]]" = field(default_factory=dict)
    policies: "dict[Ref, Known[NetworkPolicy | None]]" = field(default_factory=dict)
    exposures: "dict[Ref, Known[Exposure]]" = field(default_factory=dict)

    def forget(self, namespace: str) -> None:
        for table in (self.grants, self.policies, self.exposures):
            for ref in [ref for ref in table if ref.namespace == namespace]:
                del table[ref]


def known(table: "dict[Ref, Known[T]]", ref: Ref, inputs: tuple[Any, ...], make: Callable[[], T]) -> T:
    """What `make` made of equal inputs before. Equal values are mostly the same objects, so comparing costs little."""
    before = table.get(ref)
    if before is not None and before[0] == inputs:
        return before[1]
    made = make()
    table[ref] = (inputs, made)
    return made
