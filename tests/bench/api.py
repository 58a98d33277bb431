"""The API server from one event loop: many requests at once, and a watch that remembers when each object came."""

import asyncio
import json
import ssl
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.cluster.control_plane import ControlPlane

Object = dict[str, Any]
Key = tuple[str, str]

AT_ONCE = 64
APPLY = "application/apply-patch+yaml"
NETWORK_POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"


def clock() -> float:
    """Seconds since boot: the clock that /proc gives the start of a process in."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Api:
    """The cluster's administrator, in an `async with` block."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession(
            self._cluster.url,
            connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=str(self._cluster.ca_file))),
            headers={"Authorization": f"Bearer {self._cluster.admin_token}"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    async def call(
        self, method: str, path: str, body: Object | None = None, content: str = "application/json"
    ) -> Object:
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(20):
            async with self.session.request(method, path, data=data, headers={"Content-Type": content}) as answer:
                text = await answer.read()
                # A kind that has just been installed: "storage is (re)initializing".
                if answer.status == 429 and attempt < 19:
                    await asyncio.sleep(0.5)
                    continue
                if answer.status >= 300:
                    raise RuntimeError(f"{method} {path}: {answer.status} {text[:400].decode(errors='replace')}")
                parsed: Object = json.loads(text)
                return parsed
        raise AssertionError("the last attempt returns or raises")

    async def all(self, method: str, requests: Iterable[tuple[str, Object | None]]) -> None:
        """Every (path, body), at most `AT_ONCE` at a time."""
        waiting = iter(requests)

        async def worker() -> None:
            for path, body in waiting:
                await self.call(method, path, body)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(worker())

    async def items(self, path: str) -> list[Object]:
        objects: list[Object] = (await self.call("GET", path))["items"]
        return objects


class Watch:
    """Follows one collection; `seen` maps each object that exists to the time when it came, on `clock`."""

    def __init__(self, api: Api, path: str) -> None:
        self.seen: dict[Key, float] = {}
        self._api = api
        self._path = path
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        listed = await self._api.call("GET", self._path)
        self.seen = {_key(item): clock() for item in listed["items"]}
        self._task = asyncio.create_task(self._follow(listed["metadata"]["resourceVersion"]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, count: int, seconds: float) -> float:
        """When there were exactly `count` objects; TimeoutError after so many seconds."""
        await self._wait(lambda: len(self.seen) == count, seconds, f"{count} objects at {self._path}")
        return max(self.seen.values(), default=clock())

    async def until_seen(self, keys: Sequence[Key], seconds: float) -> float:
        await self._wait(lambda: all(key in self.seen for key in keys), seconds, f"{keys} at {self._path}")
        return max(self.seen[key] for key in keys)

    async def _wait(self, check: Any, seconds: float, what: str) -> None:
        try:
            async with asyncio.timeout(seconds), self._news:
                while not check():
                    assert self._task
                    if self._task.done():
                        raise RuntimeError(f"the watch of {self._path} has ended") from self._task.exception()
                    await self._news.wait()
        except TimeoutError as error:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}; there are {len(self.seen)}") from error

    async def _follow(self, version: str) -> None:
        # The server ends watches of a kind that has just been installed: it begins once more with the kind's storage.
        for _ in range(20):
            query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3600"}
            timeout = aiohttp.ClientTimeout(total=None)
            async with self._api.session.get(self._path, params=query, timeout=timeout) as stream:
                rest = b""
                async for chunk in stream.content.iter_any():
                    now = clock()
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        version = self._take(json.loads(line), now)
                    if lines:
                        async with self._news:
                            self._news.notify_all()
            await asyncio.sleep(0.1)

    def _take(self, event: Object, now: float) -> str:
        """Takes one event in and returns the version it brought."""
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self.seen[_key(event["object"])] = now
            case "DELETED":
                self.seen.pop(_key(event["object"]), None)
            case other:
                raise RuntimeError(f"{other} event: {event['object']}")
        version: str = event["object"]["metadata"]["resourceVersion"]
        return version


def _key(of: Object) -> Key:
    return of["metadata"]["namespace"], of["metadata"]["name"]
