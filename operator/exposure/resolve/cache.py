"""Results by Service, so that a change costs the work for one Service and not for its namespace."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from exposure.model.exposures import Exposure
from exposure.model.objects import Ref
from exposure.networkpolicy.values import NetworkPolicy

if TYPE_CHECKING:
    from exposure.resolve.governed import GovernedService

T = TypeVar("T")
Inputs = TypeVar("Inputs")
#: The inputs of a result, and the result.
Entry: TypeAlias = tuple[Any, T]


@dataclass(slots=True)
class ResolveCache:
    """Results by Service. Each depends only on its inputs and is used again only if they are equal, so the cache
    changes no outcome."""

    governed: "dict[Ref, Entry[GovernedService]]" = field(default_factory=dict)
    policies: "dict[Ref, Entry[NetworkPolicy | None]]" = field(default_factory=dict)
    exposures: "dict[Ref, Entry[Exposure]]" = field(default_factory=dict)

    def forget(self, namespace: str) -> None:
        for table in (self.governed, self.policies, self.exposures):
            for ref in [ref for ref in table if ref.namespace == namespace]:
                del table[ref]


def cached(table: "dict[Ref, Entry[T]]", ref: Ref, inputs: Inputs, make: Callable[[Inputs], T]) -> T:
    """The cached result for `ref` where its inputs equal `inputs`, else what `make` returns for them.

    Equal inputs are mostly the same objects, so the comparison costs little.
    """
    entry = table.get(ref)
    if entry is not None and (entry[0] is inputs or entry[0] == inputs):
        return entry[1]
    result = make(inputs)
    table[ref] = (inputs, result)
    return result
