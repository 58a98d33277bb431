"""Intent: ExposurePolicies and ClusterExposurePolicies, as Kopf's handlers bring them, and a list of our own.

Kopf forgets what was deleted while its watch was broken. So both kinds are also listed, whole, once at the start and
every ten seconds, and what the list does not hold is gone. Which of the two ways was faster is decided by each
object's resourceVersion (see `Table`).
"""

import asyncio
import random
from collections.abc import Sequence

from exposure.controller.client import Client
from exposure.controller.discovery import Discovery
from exposure.controller.metrics import Metrics
from exposure.controller.reflector import Reflector
from exposure.controller.tables import Table
from exposure.fields import Raw

RELIST_SECONDS = 10.0


class Intents:
    """`take` is called with each watch event; `run` lists. `synced` is set once both kinds were listed."""

    def __init__(self, client: Client, tables: Sequence[Table], discovery: Discovery, metrics: Metrics) -> None:
        self.synced = asyncio.Event()
        self._due = asyncio.Event()
        self._lists = [Reflector(client, table, discovery, metrics) for table in tables]
        self._tables = {table.kind.kind: table for table in tables}
        self._metrics = metrics

    def take(self, kind: str, what: str | None, raw: Raw) -> None:
        """One event: `what` is None (listed), ADDED, MODIFIED or DELETED."""
        table = self._tables[kind]
        self._metrics.events[table.kind.plural] += 1
        if what == "DELETED":
            table.remove(raw)
        else:
            table.put(raw)

    async def run(self) -> None:
        while True:
            await asyncio.gather(*(each.fill() for each in self._lists))
            self.synced.set()
            self._due.clear()
            try:
                await asyncio.wait_for(self._due.wait(), RELIST_SECONDS * random.uniform(0.8, 1.2))
            except TimeoutError:
                continue

    def list_now(self) -> None:
        """Something was missed: do not wait for the next list."""
        self._due.set()
