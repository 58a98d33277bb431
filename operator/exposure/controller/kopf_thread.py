"""The thread in which Kopf runs, beside the operator's event loop (docs/concepts/two-event-loops.md)."""

import asyncio
import threading

from kubernetes.aio.client import Configuration

from exposure.controller.intents import Intents

#: How long a stop waits for Kopf. Nothing depends on how it ends, because it only reads.
STOP_SECONDS = 1.0


async def run_kopf(configuration: Configuration, intents: Intents) -> None:
    """Runs Kopf in a thread of its own until it is cancelled. Raises whatever ends that thread."""
    # Kopf looks for the CRDs once, at its start. Both kinds have been listed by then, so their CRDs exist.
    await intents.synced.wait()
    kopf_loop = asyncio.new_event_loop()
    thread = threading.Thread(target=kopf_loop.run_forever, name="kopf", daemon=True)
    thread.start()
    serving = _serve(configuration, intents, asyncio.get_running_loop())
    try:
        # The future carries a failure from that loop to this one, and a cancellation from this one to that.
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(serving, kopf_loop))
    finally:
        # Beside the loop, which goes on answering probes.
        await asyncio.to_thread(thread.join, STOP_SECONDS)


async def _serve(configuration: Configuration, intents: Intents, operator_loop: asyncio.AbstractEventLoop) -> None:
    loop = asyncio.get_running_loop()
    try:
        # Imported in this thread: it takes a third of a second, in which the operator's loop goes on.
        from exposure.controller.kopf_handlers import serve

        await serve(configuration, intents, operator_loop)
    finally:
        # After the loop's next turn, in which the future gets its result.
        loop.call_soon(loop.stop)
