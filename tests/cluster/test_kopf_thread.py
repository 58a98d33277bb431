"""How Kopf's loop and the operator's meet. Everything else about Kopf is tested on a real API server."""

import asyncio
import contextlib
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.aio.client import Configuration

from exposure.controller import kopf_handlers
from exposure.controller.kopf_thread import run_kopf


async def running() -> "asyncio.Task[None]":
    """`run_kopf` with intents that have been listed."""
    intents: Any = SimpleNamespace(synced=asyncio.Event())
    intents.synced.set()
    return asyncio.create_task(run_kopf(Configuration(), intents))


def test_a_failure_of_its_thread_ends_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the operator fails, and the container starts again."""

    async def serve(*_: Any) -> None:
        raise ValueError("no Kopf here")

    async def failed() -> None:
        await (await running())

    monkeypatch.setattr(kopf_handlers, "serve", serve)
    with pytest.raises(ValueError, match="no Kopf here"):
        asyncio.run(failed())


def test_a_stop_ends_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kopf may still clean up. Nothing of it is left when the part has ended."""
    began, cleaned_up = threading.Event(), threading.Event()

    async def serve(*_: Any) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned_up.set()

    async def stopped() -> list[str]:
        task = await running()
        assert await asyncio.to_thread(began.wait, 5)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return [thread.name for thread in threading.enumerate()]

    monkeypatch.setattr(kopf_handlers, "serve", serve)
    assert "kopf" not in asyncio.run(stopped())
    assert cleaned_up.is_set()
