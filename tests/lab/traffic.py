"""Real connections: servers that answer with the address that they saw, and probes that report the outcome.

One thread serves and probes for every host of the lab. A socket belongs to the namespace in which it was made, so the
thread steps inside only to make it, and then drives all of them from one event loop: thousands of connections a second.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import itertools
import socket
import struct
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from tests.lab.netns import Netns

AT_ONCE = 200
_TURNS = 10
_T = TypeVar("_T")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_TYPES = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


class Outcome(Enum):
    """What became of one connection."""

    ANSWERED = "answered"
    REFUSED = "refused"  # reset: by a firewall, or because no server listens on the port
    DENIED = "denied"  # an ICMP error on the way said that it may not pass
    SILENT = "silent"  # nothing came back in time


@dataclass(frozen=True, slots=True)
class Probe:
    """One connection to make: from a host, to an address (literal), a port and a protocol (TCP or UDP)."""

    source: Netns
    address: str
    port: int
    protocol: str = "TCP"
    timeout: float = 1.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe met. `server` and `peer` (the address the server saw) are empty unless it was answered."""

    outcome: Outcome
    server: str = ""
    peer: str = ""
    started: float = 0.0  # time.monotonic()
    ended: float = 0.0

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.ANSWERED


def _plain(address: str) -> str:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def _outcome(error: OSError) -> Outcome:
    match error.errno:
        case errno.ECONNREFUSED | errno.ECONNRESET:
            return Outcome.REFUSED
        case errno.EHOSTUNREACH | errno.ENETUNREACH | errno.EACCES | errno.EPERM:
            return Outcome.DENIED
        case errno.ETIMEDOUT:
            return Outcome.SILENT
        case _:
            raise error


class Traffic:
    """The thread that serves and probes. Close it to close every socket it made."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab-traffic", daemon=True)
        self._thread.start()
        self._servers: dict[Netns, list[socket.socket]] = {}
        self._ports: dict[Netns, Iterator[int]] = {}

    def __enter__(self) -> Traffic:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Runs work to its end, on the thread that serves and probes."""
        return self.start(work).result()

    def start(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Begin work on the thread that serves and probes."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def serve(self, host: Netns, who: str, port: int, protocol: str = "TCP") -> None:
        """Answer on every address of the host, both families, with `who` and the address the connection came from."""
        self.run(self._serve(host, who, port, protocol))

    def stop_serving(self, host: Netns) -> None:
        """Close every server of a host."""
        self.run(self._stop_serving(host))

    def probe(self, probes: Iterable[Probe], at_once: int = AT_ONCE) -> list[ProbeResult]:
        """Make the connections, at most `at_once` at a time, and say what became of each, in the order given."""
        return self.run(self._probe_all(list(probes), at_once))

    def close(self) -> None:
        """Close every server and end the thread."""
        for host in list(self._servers):
            self.stop_serving(host)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _serve(self, host: Netns, who: str, port: int, protocol: str) -> None:
        with host.inside():
            server = socket.socket(socket.AF_INET6, _TYPES[protocol])
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.setblocking(False)
        server.bind(("::", port))
        name = who.encode()
        if protocol == "TCP":
            server.listen(1024)
            self._loop.add_reader(server, _accept, server, name)
        else:
            # The answer must leave from the address that was called, or the client's kernel does not know it.
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            self._loop.add_reader(server, _reply, server, name)
        self._servers.setdefault(host, []).append(server)

    async def _stop_serving(self, host: Netns) -> None:
        for server in self._servers.pop(host, []):
            self._loop.remove_reader(server)
            server.close()

    async def _probe_all(self, probes: Sequence[Probe], at_once: int) -> list[ProbeResult]:
        results: list[ProbeResult] = [ProbeResult(Outcome.SILENT)] * len(probes)
        waiting = iter(range(len(probes)))

        async def work() -> None:
            for index in waiting:
                results[index] = await self.connect(probes[index])

        await asyncio.gather(*(work() for _ in range(min(at_once, len(probes)))))
        return results

    async def connect(self, probe: Probe) -> ProbeResult:
        """Make one connection; only on this object's own thread (see `run`)."""
        family = socket.AF_INET6 if ":" in probe.address else socket.AF_INET
        with probe.source.inside():
            client = socket.socket(family, _TYPES[probe.protocol])
        client.setblocking(False)
        if probe.protocol == "UDP":
            self._bind(client, probe.source)
        started = time.monotonic()
        talk = asyncio.ensure_future(self._talk(client, probe))
        try:
            # The clock counts turns of this loop rather than seconds: on a machine so busy that the loop stands still,
            # an answer that is there already must not count as silence.
            for _ in range(_TURNS):
                await asyncio.wait({talk}, timeout=probe.timeout / _TURNS)
                if talk.done():
                    server, _, peer = talk.result().partition(" ")
                    return ProbeResult(Outcome.ANSWERED, server, peer, started, time.monotonic())
            return ProbeResult(Outcome.SILENT, started=started, ended=time.monotonic())
        except OSError as error:
            return ProbeResult(_outcome(error), started=started, ended=time.monotonic())
        finally:
            talk.cancel()
            await asyncio.wait({talk})  # the loop lets go of the socket before it is closed
            if probe.protocol == "TCP":
                # Thousands of closed connections must not hold their ports for a minute each.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            client.close()

    async def _talk(self, client: socket.socket, probe: Probe) -> str:
        await self._loop.sock_connect(client, (probe.address, probe.port))
        if probe.protocol == "UDP":
            await self._loop.sock_sendall(client, b"?")
        return (await self._loop.sock_recv(client, 512)).decode()

    def _bind(self, client: socket.socket, source: Netns) -> None:
        """A source port not used for long: connection tracking on the way would take an old one for established."""
        ports = self._ports.setdefault(source, itertools.cycle(range(20000, 60000)))
        for port in itertools.islice(ports, 100):
            try:
                client.bind(("", port))
                return
            except OSError:  # in use by another socket
                continue
        raise RuntimeError(f"{source}: 100 source ports in a row are in use")


def _accept(server: socket.socket, name: bytes) -> None:
    for _ in range(256):
        try:
            connection, peer = server.accept()
        except BlockingIOError:
            return
        except OSError:  # the client went away before it was accepted
            continue
        with connection, suppress(OSError):  # the client may have gone away; its probe counts that
            connection.send(name + b" " + _plain(peer[0]).encode())


def _reply(server: socket.socket, name: bytes) -> None:
    for _ in range(256):
        try:
            _, control, _, peer = server.recvmsg(512, 256)
        except BlockingIOError:
            return
        except OSError:
            continue
        with suppress(OSError):  # no way back to this client
            server.sendmsg([name + b" " + _plain(peer[0]).encode()], control, 0, peer)
