"""A reverse proxy between a client and the API server that causes faults on request.

    async with FaultyServer(cluster) as server:
        server.write_kubeconfig(path, token)      # for the operator
        server.answer(429, times=20, retry_after=1)
        server.break_watches()

It passes every request on as it is, with its Authorization header, and streams watches as they come, so that what a
fault interrupts is what a real network would interrupt.
"""

import asyncio
import json
import re
import ssl
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

from aiohttp import ClientSession, ClientTimeout, StreamReader, TCPConnector, web
from aiohttp.client_exceptions import ClientError
from yarl import URL

from tests.cluster.control_plane import ControlPlane

# Hop by hop (RFC 9110, 7.6.1), or recomputed by aiohttp.
_NOT_PASSED_ON = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"})


@dataclass(slots=True)
class Answer:
    """A fault for requests whose method and path-with-query match: `status` for the next `times` of them."""

    status: int
    times: int
    matching: re.Pattern[str]
    retry_after: int | None


class _Stop(Enum):
    END = "in good order"
    CUT = "in the middle"


@dataclass(frozen=True, slots=True)
class _Watch:
    path: str
    # What the API server sends and what a test adds go through one queue, so no line is torn apart.
    lines: asyncio.Queue[bytes | _Stop]


class FaultyServer:
    """The proxy. Without a fault set it changes nothing but the address.

    `url`       https://ADDRESS:PORT, under the certificate of the API server
    `requests`  Counter of (method, path without query) passed on or answered since the start
    """

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._answers: list[Answer] = []
        self._watches: list[_Watch] = []
        self._delay = 0.0
        self._delayed = re.compile("")
        self._refusing = False
        self._runner: web.AppRunner | None = None
        self._session: ClientSession | None = None
        self.requests: Counter[tuple[str, str]] = Counter()
        self.url = ""

    async def __aenter__(self) -> Self:
        trust = ssl.create_default_context(cafile=str(self._cluster.ca_file))
        self._session = ClientSession(
            connector=TCPConnector(ssl=trust, limit=0),
            timeout=ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
        )
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        # With the API server's own certificate, so that what a client trusts there it trusts here: kubectl, for one,
        # sends no token over plain HTTP.
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(self._cluster.ca_file, self._cluster.ca_file.with_suffix(".key"))
        site = web.TCPSite(self._runner, self._cluster.address, 0, ssl_context=own)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"https://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        assert self._session
        await self._runner.cleanup()
        await self._session.close()

    def write_kubeconfig(self, path: Path, token: str, *, namespace: str = "default") -> Path:
        """A kubeconfig that leads through this proxy."""
        return self._cluster.write_kubeconfig(path, token, server=self.url, namespace=namespace)

    @property
    def open_watches(self) -> list[str]:
        """Path and query of each watch that is open now."""
        return [watch.path for watch in self._watches]

    def answer(
        self, status: int, *, times: int = 1_000_000, matching: str = "", retry_after: int | None = None
    ) -> Answer:
        """Answers `status` instead of passing on, for the next `times` requests that match.

        `matching` is a regular expression searched in "METHOD /path?query", such as r"^PATCH .*/networkpolicies/" or
        "watch=true". Faults set first are tried first. `times` of the result is how many are left; 0 ends it.
        """
        fault = Answer(status, times, re.compile(matching), retry_after)
        self._answers.append(fault)
        return fault

    def delay(self, seconds: float, *, matching: str = "") -> None:
        """Holds each matching request back before it is passed on; 0 ends it."""
        self._delay, self._delayed = seconds, re.compile(matching)

    def refuse_connections(self, refusing: bool = True) -> None:
        """Cuts every connection without an answer, watches included, until called with False."""
        self._refusing = refusing
        if refusing:
            self.break_watches()

    def break_watches(self, matching: str = "") -> int:
        """Cuts the connection of each open watch whose path matches, without an end of the stream; returns how many."""
        return self._put([_Stop.CUT], matching)

    def end_watches(self, matching: str = "") -> int:
        """Ends each open watch that matches in good order, as the API server does when timeoutSeconds is over."""
        return self._put([_Stop.END], matching)

    def send_event(self, event: object, *, matching: str = "") -> int:
        """Puts any watch event, or a line of garbage given as str, into each open watch that matches; how many."""
        return self._put([_line(event)], matching)

    def send_error_event(
        self, code: int = 410, reason: str = "Expired", message: str = "too old resource version", *, matching: str = ""
    ) -> int:
        """Puts an ERROR event into each open watch that matches, then ends it, as the API server does; how many."""
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        event = {"type": "ERROR", "object": {**status, "message": message, "reason": reason, "code": code}}
        return self._put([_line(event), _Stop.END], matching)

    def _put(self, lines: list[bytes | _Stop], matching: str) -> int:
        chosen = [watch for watch in self._watches if re.search(matching, watch.path)]
        for watch in chosen:
            for line in lines:
                watch.lines.put_nowait(line)
        return len(chosen)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.method, request.path] += 1
        what = f"{request.method} {request.path_qs}"
        if self._refusing:
            return _hang_up(request)
        if fault := next(
            (answer for answer in self._answers if answer.times > 0 and answer.matching.search(what)), None
        ):
            fault.times -= 1
            return _refusal(fault)
        if self._delay and self._delayed.search(what):
            await asyncio.sleep(self._delay)
        try:
            return await self._pass_on(request)
        except (ClientError, OSError):
            # The API server is away. The client must see that too, not an answer of the proxy.
            return _hang_up(request)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        assert self._session
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        upstream = self._session.request(
            request.method,
            URL(f"{self._cluster.url}{request.raw_path}", encoded=True),
            headers=headers,
            data=await request.read() or None,
            allow_redirects=False,
        )
        async with upstream as answer:
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_ON}
            response = web.StreamResponse(status=answer.status, headers=passed)
            await response.prepare(request)
            if request.query.get("watch") not in ("true", "1"):
                await response.write(await answer.read())
                await response.write_eof()
                return response
            return await self._pass_on_watch(request, answer.content, response)

    async def _pass_on_watch(
        self, request: web.Request, content: StreamReader, response: web.StreamResponse
    ) -> web.StreamResponse:
        watch = _Watch(request.path_qs, asyncio.Queue())
        self._watches.append(watch)
        reading = asyncio.create_task(_read_lines(content, watch.lines))
        try:
            while isinstance(line := await watch.lines.get(), bytes):
                await response.write(line)
            if line is _Stop.CUT:
                _hang_up(request)
            else:
                await response.write_eof()
        finally:
            reading.cancel()
            # By identity: two watches of one path may be equal.
            self._watches = [other for other in self._watches if other is not watch]
        return response


async def _read_lines(content: StreamReader, lines: asyncio.Queue[bytes | _Stop]) -> None:
    rest = b""
    try:
        # Not line by line through aiohttp, which refuses lines above its buffer's size.
        async for chunk in content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                lines.put_nowait(line + b"\n")
        lines.put_nowait(_Stop.END)
    except (ClientError, OSError):
        lines.put_nowait(_Stop.CUT)


def _line(event: object) -> bytes:
    return (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n"


def _hang_up(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


def _refusal(fault: Answer) -> web.Response:
    reason = {429: "TooManyRequests", 410: "Expired", 409: "Conflict", 403: "Forbidden"}.get(
        fault.status, "InternalError"
    )
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body = {**status, "message": "a fault that the test set", "reason": reason, "code": fault.status}
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return web.json_response(body, status=fault.status, headers=headers)
