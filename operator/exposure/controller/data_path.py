"""The thread of the operator's own loop, beside Kopf's."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import Any

from exposure.controller.operator import Operator, Options, make


class DataPath:
    """The thread of the operator's own loop. `ended` is called on it when it is over, for whatever reason."""

    def __init__(self, options: Options) -> None:
        self.error: BaseException | None = None
        self.operator: Operator | None = None
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._asked_to_stop = False
        self.over: Future[None] = Future()
        self.has_intents: Future[None] = Future()
        self._made = threading.Event()
        self._thread = threading.Thread(target=self._main, name="data-path", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_made(self) -> Operator:
        """The operator, once its credentials are loaded; what went wrong, if they could not be."""
        self._made.wait()
        if self.operator is None:
            assert self.error is not None
            raise self.error
        return self.operator

    def call(self, what: Any, *arguments: Any) -> None:
        """Calls a function on the data path's loop; after its end, nothing happens."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *arguments)

    def stop(self) -> None:
        # Possibly from a signal handler, before the loop runs.
        self._asked_to_stop = True
        if self._stop is not None:
            self.call(self._stop.set)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self.error = error
        finally:
            self._made.set()
            self.over.set_result(None)

    def _tell_intents(self, told: "asyncio.Task[Any]") -> None:
        if not told.cancelled():
            self.has_intents.set_result(None)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.operator = await make(self._options)
        self._made.set()
        if self._asked_to_stop:
            self._stop.set()
        intents = self.operator.intents.synced
        told = asyncio.create_task(intents.wait())
        told.add_done_callback(self._tell_intents)
        await self.operator.run(self._stop)
