"""Results by Service, so that a change costs the work for one Service and not for its namespace."""

from collections.abc import Callable
from typing import Any, TypeVar

from exposure.model.objects import Ref

T = TypeVar("T")
Inputs = TypeVar("Inputs")


class ResolveCache:
    """Results by their function and Service. Each depends only on its inputs, and is used again if they are equal.

    So the cache changes no outcome. Equal inputs are mostly the same objects, so the comparison costs little.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[Callable[..., Any], Ref], tuple[Any, Any]] = {}

    def get(self, make: Callable[[Inputs], T], service: Ref, inputs: Inputs) -> T:
        """What `make` returns for these inputs, or has returned where they were equal."""
        entry = self.entries.get((make, service))
        if entry is None or (entry[0] is not inputs and entry[0] != inputs):
            entry = self.entries[make, service] = (inputs, make(inputs))
        result: T = entry[1]
        return result

    def forget(self, namespace: str) -> None:
        self.entries = {key: entry for key, entry in self.entries.items() if key[1].namespace != namespace}
