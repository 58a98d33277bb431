"""What was worked out for a Service is kept, so that a changed Service costs one Service, and not its namespace."""

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from exposure.model.objects import Ref

T = TypeVar("T")
Inputs = TypeVar("Inputs")


class ResolveCache:
    """Results by namespace, by what makes them, and by Service.

    One is made from its inputs alone, and used again where they are equal, so the cache changes no outcome. Equal
    inputs are mostly the same objects, so the comparison costs little.
    """

    def __init__(self) -> None:
        self.entries: dict[str, dict[tuple[Callable[..., Any], str], tuple[Any, Any]]] = {}

    def get(self, make: Callable[[Inputs], T], service: Ref, inputs: Inputs) -> T:
        """What `make` returns for these inputs, or has returned where they were equal."""
        here = self.entries.setdefault(service.namespace, {})
        entry = here.get((make, service.name))
        if entry is None or (entry[0] is not inputs and entry[0] != inputs):
            entry = here[make, service.name] = (inputs, make(inputs))
        result: T = entry[1]
        return result

    def keep(self, namespace: str, services: Collection[str]) -> None:
        """Forgets Services that no longer exist."""
        here = self.entries.get(namespace, {})
        if len({name for _, name in here}) > len(services):
            self.entries[namespace] = {key: entry for key, entry in here.items() if key[1] in services}

    def forget(self, namespace: str) -> None:
        self.entries.pop(namespace, None)
