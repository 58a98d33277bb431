"""The faulty server between a client and the API server causes the faults that a test sets, and no others."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import ClientError, ClientResponse, ClientSession, TCPConnector

from tests.cluster.control_plane import ControlPlane
from tests.cluster.faults import FaultyServer

Result = TypeVar("Result")

CONFIGMAPS = "/api/v1/namespaces/{}/configmaps"


def test_without_a_fault_it_is_the_api_server(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """kubectl reads and writes through it as itself, and the API server still knows the user."""

    async def script(server: FaultyServer, _: ClientSession) -> str:
        config = server.write_kubeconfig(tmp_path / "config", control_plane.admin_token, namespace=namespace)
        call = ("--kubeconfig", str(config), "create", "configmap", "made-through-it", "-o", "name")
        return await asyncio.to_thread(control_plane.kubectl, *call)

    mark = control_plane.audit_mark()
    assert "configmap/made-through-it\n" == _run(control_plane, script)
    assert ["made-through-it"] == [
        event["objectRef"]["name"]
        for event in control_plane.writes("admin", since=mark)
        if event["objectRef"]["resource"] == "configmaps"
    ]


@pytest.mark.parametrize(
    "stop, ends_well",
    [
        pytest.param(lambda server: server.end_watches("configmaps"), True, id="ended-in-good-order"),
        pytest.param(lambda server: server.break_watches("configmaps"), False, id="cut"),
    ],
)
def test_watches_can_be_ended_or_cut(
    control_plane: ControlPlane, namespace: str, stop: Callable[[FaultyServer], int], ends_well: bool
) -> None:
    """A watch can be ended as at its timeout, or cut as by a network; what came before it has arrived."""

    async def script(server: FaultyServer, session: ClientSession) -> tuple[int, bool, list[str]]:
        async with _watching(server, session, namespace) as watch:
            first = json.loads(await watch.content.readline())
            stopped = stop(server)
            try:
                await watch.content.read()
            except ClientError:
                return stopped, False, [first["type"], *server.open_watches]
            return stopped, True, [first["type"], *server.open_watches]

    assert (1, ends_well, ["ADDED"]) == _run(control_plane, script)


def test_an_error_event_ends_a_watch(control_plane: ControlPlane, namespace: str) -> None:
    """An ERROR event arrives as the API server would send it, and the watch ends after it."""

    async def script(server: FaultyServer, session: ClientSession) -> tuple[str, int]:
        async with _watching(server, session, namespace) as watch:
            await watch.content.readline()
            server.send_error_event(500, "InternalError", "etcd is away")
            *_, last = [json.loads(line) async for line in watch.content]
            return last["type"], last["object"]["code"]

    assert ("ERROR", 500) == _run(control_plane, script)


def test_refusals_are_counted(control_plane: ControlPlane, namespace: str) -> None:
    """Matching requests are refused as often as set, with Retry-After. Then every request passes again."""
    path = CONFIGMAPS.format(namespace)

    async def script(server: FaultyServer, session: ClientSession) -> list[tuple[int, str | None]]:
        server.answer(429, times=2, matching="^GET .*/configmaps", retry_after=1)
        statuses = []
        for requested in ("/readyz", path, path, path):
            async with session.get(server.url + requested) as answer:
                statuses.append((answer.status, answer.headers.get("Retry-After")))
        return statuses

    assert [(200, None), (429, "1"), (429, "1"), (200, None)] == _run(control_plane, script)


def test_refused_connections_have_no_answer(control_plane: ControlPlane) -> None:
    """While connections are refused, a client has an error of the connection, not a status."""

    async def script(server: FaultyServer, session: ClientSession) -> list[str]:
        server.refuse_connections()
        statuses = [await _status(session, server.url + "/readyz")]
        server.refuse_connections(False)
        return [*statuses, await _status(session, server.url + "/readyz")]

    assert ["no answer", "200"] == _run(control_plane, script)


def test_answers_can_be_delayed(control_plane: ControlPlane) -> None:
    """A delay holds back what matches."""

    async def script(server: FaultyServer, session: ClientSession) -> bool:
        server.delay(0.3, matching="/readyz")
        began = asyncio.get_running_loop().time()
        await _status(session, server.url + "/readyz")
        return asyncio.get_running_loop().time() - began >= 0.3

    assert _run(control_plane, script)


def _run(cluster: ControlPlane, script: Callable[[FaultyServer, ClientSession], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        headers = {"Authorization": f"Bearer {cluster.admin_token}"}
        trusting = TCPConnector(ssl=ssl.create_default_context(cafile=str(cluster.ca_file)))
        async with FaultyServer(cluster) as server, ClientSession(headers=headers, connector=trusting) as session:
            async with asyncio.timeout(20):
                return await script(server, session)

    return asyncio.run(run())


@asynccontextmanager
async def _watching(server: FaultyServer, session: ClientSession, namespace: str) -> AsyncIterator[ClientResponse]:
    path = CONFIGMAPS.format(namespace)
    async with session.post(server.url + path, json={"metadata": {"name": "first"}}) as made:
        assert 201 == made.status
    async with session.get(f"{server.url}{path}?watch=true") as watch:
        yield watch


async def _status(session: ClientSession, url: str) -> str:
    try:
        async with session.get(url) as answer:
            return str(answer.status)
    except ClientError:
        return "no answer"
