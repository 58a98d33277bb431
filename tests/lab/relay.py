"""A load balancer that proxies: it accepts a client's connection and makes another, from its own address."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from tests.lab.network import Host
from tests.lab.traffic import Traffic

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_SECONDS = 3.0


class Balancer:
    """TCP only. `listen` gives a port of the host for each target; where none answers, the client is reset."""

    def __init__(self, traffic: Traffic, host: Host) -> None:
        self.host = host
        self._traffic = traffic
        self._ports: dict[tuple[str, int], int] = {}
        self._listening: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, address: str, port: int) -> int:
        """The port on which connections are passed on to an address and port; the same for the same target."""
        if (address, port) not in self._ports:
            self._ports[address, port] = self._traffic.run(self._listen(address, port))
        return self._ports[address, port]

    def close(self) -> None:
        self._traffic.run(self._close())

    async def _listen(self, address: str, port: int) -> int:
        with self.host.netns.inside():
            server = socket.create_server(("::", 0), family=socket.AF_INET6, backlog=256, dualstack_ipv6=True)
        server.setblocking(False)
        self._listening.append(server)
        self._start(self._accept(server, address, port))
        return int(server.getsockname()[1])

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, server: socket.socket, address: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:  # until closed
            client, _ = await loop.sock_accept(server)
            self._start(self._pass_on(client, address, port))

    async def _pass_on(self, client: socket.socket, address: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        with self.host.netns.inside():
            onward = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        with client, onward, suppress(OSError, TimeoutError):
            onward.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            async with asyncio.timeout(_SECONDS):
                await loop.sock_connect(onward, (address, port))
                answer = await loop.sock_recv(onward, 512)
            onward.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            await loop.sock_sendall(client, answer)
            # Closed in good order, or the reset would overtake the answer.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))

    async def _close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._listening:
            server.close()
