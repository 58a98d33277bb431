"""Intent: ExposurePolicies and ClusterExposurePolicies, from Kopf's events and from lists of our own.

Kopf misses what is deleted while its watch is broken. So both kinds are also listed whole, once at the start and then
about every ten seconds, and what a list does not have is gone. Where an event and a list overtake each other, the
resourceVersion of every object decides (see `ObjectTable`).
"""

import asyncio
import random
from collections.abc import Sequence

from exposure.controller.metrics import Metrics
from exposure.controller.reflector import Reflector
from exposure.fields import Raw
from exposure.parse.kinds import Kind

LIST_EVERY_SECONDS = 10.0


class Intents:
    """`take` is called with every event of Kopf's watches. `synced` is set once both kinds have been listed."""

    def __init__(self, reflectors: Sequence[Reflector], metrics: Metrics) -> None:
        self.kinds = [reflector.kind for reflector in reflectors]
        self.synced = asyncio.Event()
        self._list_now = asyncio.Event()
        self._reflectors = reflectors
        self._tables = {reflector.kind.kind: reflector.table for reflector in reflectors}
        self._metrics = metrics

    def take(self, kind: Kind, event_type: str | None, raw: Raw) -> None:
        """One event. Its type is ADDED, MODIFIED, DELETED, or None for an object of Kopf's own list."""
        table = self._tables[kind.kind]
        self._metrics.events[kind.plural] += 1
        if event_type == "DELETED":
            table.remove(raw)
        else:
            table.put(raw)

    def list_now(self) -> None:
        """Events may have been missed: does not wait for the next list."""
        self._list_now.set()

    async def run(self) -> None:
        while True:
            self._list_now.clear()
            await asyncio.gather(*(reflector.run(once=True) for reflector in self._reflectors))
            self.synced.set()
            try:
                await asyncio.wait_for(self._list_now.wait(), LIST_EVERY_SECONDS * random.uniform(0.8, 1.2))
            except TimeoutError:
                continue
