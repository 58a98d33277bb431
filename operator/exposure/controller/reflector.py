"""List and watch of one kind: a table is kept equal to what the API server holds, whichever way a watch ends.

Paginated list → replace, which finds what vanished → watch with bookmarks from that resourceVersion → list anew, after
a moment of chance, when the version has expired or the server reports any other error in the stream. A connection
that merely broke or fell silent goes on where it was.
"""

import asyncio
import json
import logging
import random
import time

from exposure.controller.client import Client
from exposure.controller.discovery import Discovery
from exposure.controller.errors import ApiError, Gone, NotFound
from exposure.controller.metrics import Metrics
from exposure.controller.tables import Listed, Table
from exposure.parse.kinds import API_GROUP

PAGE = 500
KNOWN_EVENTS = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})
WATCH_SECONDS = (240, 300)
LONGEST_PAUSE_SECONDS = 10.0
#: So many attempts in a row that fail, and the version itself is suspect: the server may have been restored.
ATTEMPTS_BEFORE_RELIST = 5
log = logging.getLogger(__name__)


class Reflector:
    """Runs until cancelled. `synced` is set once the table has been filled, or the kind found not installed."""

    def __init__(self, client: Client, table: Table, discovery: Discovery, metrics: Metrics) -> None:
        self.table = table
        self.kind = table.kind
        self.synced = asyncio.Event()
        self._client = client
        self._discovery = discovery
        self._metrics = metrics
        self._failures = 0

    async def run(self) -> None:
        while True:
            path = self.kind.path(await self._version())
            try:
                await self._watch(path, await self._list(path))
            except NotFound:
                await self._uninstalled()
            except ApiError as error:
                await self._pause(error)
            except Exception:
                # Nothing that one object or answer holds may end the reading of all others.
                log.exception("reading %s failed; listing anew", self.kind.plural)
                await asyncio.sleep(random.uniform(1, 2))

    async def fill(self) -> None:
        """One list, however long it takes to get it."""
        while True:
            try:
                await self._list(self.kind.path(await self._version()))
                return
            except NotFound:
                await self._uninstalled()
            except ApiError as error:
                await self._pause(error)
            except Exception:
                log.exception("reading %s failed; listing anew", self.kind.plural)
                await asyncio.sleep(random.uniform(1, 2))

    async def _version(self) -> str:
        return await self._installed() if self.kind.optional or self.kind.group == API_GROUP else self.kind.versions[0]

    async def _installed(self) -> str:
        await self._discovery.wait_for_look()
        found = self._discovery.version_of(self.kind)
        if found is None:
            if self.kind.optional:
                self.table.replace((), 0)
                self.synced.set()
            else:
                log.warning("%s.%s is not installed: apply crds/", self.kind.plural, self.kind.group)
            found = await self._discovery.wait_for_version(self.kind)
        return found

    async def _uninstalled(self) -> None:
        if self.kind.optional:
            self.table.replace((), 0)
            self.synced.set()
        try:
            await self._discovery.look()
        except ApiError as error:
            log.info("%s: %s", self.kind.plural, error)
        await asyncio.sleep(random.uniform(0.5, 1.5))

    async def _list(self, path: str) -> str:
        """Fills the table and answers the version to watch from."""
        started = time.monotonic()
        limit, token = PAGE, ""
        found: list[Listed] = []
        while True:
            try:
                page = await self._client.list_page(path, limit, token)
            except Gone:
                # The continue token was compacted away between two pages. Begin again, and take all at once.
                if limit == 0:
                    raise
                limit, token, found = 0, "", []
                self._metrics.relists.labels(self.kind.plural, "continue token expired").inc()
                continue
            for raw in page.get("items") or ():
                raw.setdefault("kind", self.kind.kind)
                raw.setdefault("apiVersion", page.get("apiVersion", ""))
                found.append(self.table.read(raw))
            token = page["metadata"].get("continue", "")
            if not token:
                break
        version: str = page["metadata"]["resourceVersion"]
        self.table.replace(found, int(version) if version.isdigit() else 0)
        self._report_refused()
        self._failures = 0
        self.synced.set()
        self._metrics.listed(self.kind.plural, len(self.table), time.monotonic() - started)
        return version

    async def _watch(self, path: str, version: str) -> None:
        """Follows the stream; returns when a list is needed."""
        attempts = 0
        while True:
            try:
                async for line in self._client.watch(path, version, random.randint(*WATCH_SECONDS)):
                    try:
                        event = json.loads(line)
                        what, raw = event["type"], event["object"]
                        code, head = raw.get("code"), raw["metadata"]
                    except (ValueError, KeyError, TypeError, AttributeError):
                        log.warning("a line in the watch of %s is no event", self.kind.plural)
                        break
                    if what == "ERROR":
                        self._relist(f"ERROR event {code} {raw.get('reason')}: {raw.get('message')}")
                        await asyncio.sleep(random.uniform(0, 0.5))
                        return
                    if what not in KNOWN_EVENTS or not head.get("resourceVersion"):
                        continue
                    attempts = 0
                    version = head["resourceVersion"]
                    if what == "DELETED":
                        self.table.remove(raw)
                    elif what != "BOOKMARK":
                        self.table.put(raw)
                    self._metrics.events[self.kind.plural] += 1
                    if self.table.refused:
                        self._report_refused()
                self._metrics.watch_restarts.labels(self.kind.plural).inc()
                if not attempts:
                    attempts += 1
                    continue
            except Gone as error:
                self._relist(str(error))
                await asyncio.sleep(random.uniform(0, 0.5))
                return
            except NotFound:
                raise
            except ApiError as error:
                self._metrics.watch_restarts.labels(self.kind.plural).inc()
                if attempts >= ATTEMPTS_BEFORE_RELIST:
                    self._relist(str(error))
                    return
                log.info("watch of %s broke, going on from %s: %s", self.kind.plural, version, error)
                await self._pause(error)
            attempts += 1
            # A stream that ends at once, again and again, must not become a storm.
            await asyncio.sleep(min(0.05 * 2**attempts, LONGEST_PAUSE_SECONDS) * random.random())

    def _relist(self, why: str) -> None:
        log.info("listing %s anew: %s", self.kind.plural, why)
        self._metrics.relists.labels(self.kind.plural, "watch").inc()

    async def _pause(self, error: ApiError) -> None:
        self._failures += 1
        pause = min(0.1 * 2 ** min(self._failures, 10), LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)
        if error.retry_after is not None:
            pause = max(pause, min(error.retry_after, 60.0) * random.uniform(1.0, 1.2))
        level = logging.ERROR if error.status in (401, 403) else logging.INFO
        log.log(level, "%s: %s; next attempt in %.1f s", self.kind.plural, error, pause)
        await asyncio.sleep(pause)

    def _report_refused(self) -> None:
        for (namespace, name), error in self.table.refused.items():
            log.warning("%s %s/%s is passed over: %s", self.kind.kind, namespace, name, error)
        self.table.refused.clear()
