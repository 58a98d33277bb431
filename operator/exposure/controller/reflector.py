"""List and watch of one kind: its table is kept equal to what the API server holds, however a watch ends.

List in pages → `replace`, which finds what vanished → watch with bookmarks from that resourceVersion. Where the version
has expired or the server reports any other error in the stream, list again after a short random delay. A connection
that only broke or fell silent goes on where it was.
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
from exposure.controller.tables import ListedObject, ObjectTable
from exposure.paging import Pager
from exposure.parse.kinds import API_GROUP

KNOWN_EVENTS = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})
#: The range from which the length of a watch is drawn, so that watches do not all end together.
WATCH_SECONDS = (240, 300)
LONGEST_DELAY_SECONDS = 10.0
LONGEST_SERVER_DELAY_SECONDS = 60.0
#: After so many failed attempts in a row the version itself is suspect: the server may have been restored.
ATTEMPTS_BEFORE_RELIST = 5
log = logging.getLogger(__name__)


class ErrorEvent(Exception):
    """The server reports an error in the stream of a watch."""


class Reflector:
    """`synced` is set once the table has been filled, or the kind has turned out not to be installed."""

    def __init__(self, client: Client, table: ObjectTable, discovery: Discovery, metrics: Metrics) -> None:
        self.table = table
        self.kind = table.kind
        self.synced = asyncio.Event()
        self._client = client
        self._discovery = discovery
        self._metrics = metrics
        self._failures = 0

    async def run(self, *, once: bool = False) -> None:
        """Lists and watches until it is cancelled or, with `once`, only lists until a list has succeeded."""
        while True:
            path = self.kind.path(await self._version())
            try:
                version = await self._list(path)
                if once:
                    return
                await self._watch(path, version)
            except NotFound:
                await self._look_again()
            except ApiError as error:
                await self._delay(error)
            except Exception:
                # Nothing in one object or one answer may end the reading of all others.
                log.exception("reading %s failed and starts again", self.kind.plural)
                await asyncio.sleep(random.uniform(1, 2))

    async def _version(self) -> str:
        """The version at which the kind is served. Waits until it is installed, where that may not be so yet."""
        if self.kind.optional or self.kind.group == API_GROUP:
            return await self._discovery.version_of(self.kind, self._not_installed)
        return self.kind.versions[0]

    def _not_installed(self) -> None:
        if self.kind.optional:
            self.table.replace((), 0)
            self.synced.set()
        else:
            log.warning("%s.%s is not installed. Apply crds/.", self.kind.plural, self.kind.group)

    async def _look_again(self) -> None:
        """The server knows no such collection: it may have been uninstalled."""
        if self.kind.optional:
            self._not_installed()
        try:
            await self._discovery.look()
        except ApiError as error:
            log.info("%s: %s", self.kind.plural, error)
        await asyncio.sleep(random.uniform(0.5, 1.5))

    async def _list(self, path: str) -> str:
        """Fills the table and returns the version to watch from."""
        started = time.monotonic()
        pager: Pager[ListedObject] = Pager(self.kind.kind, self.table.listed)
        while pager.query is not None:
            try:
                pager.add(await self._client.get(path, pager.query))
            except Gone:
                if not pager.expired():
                    raise
                self._metrics.relists.labels(self.kind.plural, "continue token expired").inc()
        version = pager.resource_version
        self.table.replace(pager.items, int(version) if version.isdigit() else 0)
        self._failures = 0
        self.synced.set()
        self._metrics.objects.labels(self.kind.plural).set(len(self.table))
        self._metrics.list_seconds.labels(self.kind.plural).set(time.monotonic() - started)
        self._metrics.last_sync.labels(self.kind.plural).set_to_current_time()
        return version

    async def _watch(self, path: str, version: str) -> None:
        """Follows the stream from a version. Returns when a list is needed."""
        attempts = 0
        while True:
            try:
                async for line in self._client.watch(path, version, random.randint(*WATCH_SECONDS)):
                    try:
                        event = json.loads(line)
                        event_type, raw = event["type"], event["object"]
                        newest = raw["metadata"].get("resourceVersion")
                    except (ValueError, KeyError, TypeError, AttributeError):
                        log.warning("a line in the watch of %s is not an event", self.kind.plural)
                        break
                    if event_type == "ERROR":
                        raise ErrorEvent(f"ERROR event {raw.get('code')} {raw.get('reason')}: {raw.get('message')}")
                    if event_type not in KNOWN_EVENTS or not newest:
                        continue
                    attempts, version = 0, newest
                    if event_type == "DELETED":
                        self.table.remove(raw)
                    elif event_type != "BOOKMARK":
                        self.table.put(raw)
                    self._metrics.events[self.kind.plural] += 1
                self._metrics.watch_restarts.labels(self.kind.plural).inc()
            except (Gone, ErrorEvent) as error:
                self._log_relist(str(error))
                await asyncio.sleep(random.uniform(0, 0.5))
                return
            except NotFound:
                raise
            except ApiError as error:
                self._metrics.watch_restarts.labels(self.kind.plural).inc()
                if attempts >= ATTEMPTS_BEFORE_RELIST:
                    self._log_relist(str(error))
                    return
                log.info("the watch of %s broke and resumes at version %s: %s", self.kind.plural, version, error)
                await self._delay(error)
            # A stream that ends at once, again and again, must not become a storm of requests.
            if attempts:
                await asyncio.sleep(min(0.1 * 2**attempts, LONGEST_DELAY_SECONDS) * random.random())
            attempts += 1

    def _log_relist(self, reason: str) -> None:
        log.info("%s are listed again: %s", self.kind.plural, reason)
        self._metrics.relists.labels(self.kind.plural, "watch").inc()

    async def _delay(self, error: ApiError) -> None:
        self._failures += 1
        seconds = min(0.1 * 2 ** min(self._failures, 10), LONGEST_DELAY_SECONDS) * random.uniform(0.5, 1.0)
        if error.retry_after is not None:
            seconds = max(seconds, min(error.retry_after, LONGEST_SERVER_DELAY_SECONDS) * random.uniform(1.0, 1.2))
        level = logging.ERROR if error.status in (401, 403) else logging.INFO
        log.log(level, "%s: %s; next attempt in %.1f s", self.kind.plural, error, seconds)
        await asyncio.sleep(seconds)
