"""Kopf hosts the process: startup, cleanup, login, settings, signals, and the events of intent.

The operator's own loop runs in a thread of its own. Kopf ends with any ERROR event in one of its watches, and when it
ends it cancels every task it finds on its loop; here it is simply started again, and the data path does not notice.
"""

import asyncio
import contextlib
import logging
import random
import signal
import threading
from concurrent.futures import Future
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from exposure.cluster.operator import Operator, Options, make
from exposure.parse.kinds import API_GROUP

INTENTS = {"exposurepolicies": "ExposurePolicy", "clusterexposurepolicies": "ClusterExposurePolicy"}
#: Kopf gives up on a request after the last of these, and then on the whole process.
PATIENCE = (0.2, 0.5, 1, 2, 5, *([10] * 360))
log = logging.getLogger(__name__)


class DataPath:
    """The thread of the operator's own loop. `ended` is called on it when it is over, for whatever reason."""

    def __init__(self, options: Options) -> None:
        self.error: BaseException | None = None
        self.operator: Operator | None = None
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
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
        intents = self.operator.intents.synced
        told = asyncio.create_task(intents.wait())
        told.add_done_callback(self._tell_intents)
        await self.operator.run(self._stop)


def registry_for(data: DataPath, operator: Operator) -> kopf.OperatorRegistry:
    """The handlers. Each returns None: Kopf would write anything else into the object's status."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        # Null storages: the others annotate whatever is watched. No finalizers, as no handler needs one.
        settings.persistence.progress_storage = NoProgress()
        settings.persistence.diffbase_storage = NoDiffBase()
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.peering.standalone = True
        settings.watching.server_timeout = 240
        settings.watching.inactivity_timeout = 100
        settings.networking.error_backoffs = PATIENCE
        settings.process.ultimate_exiting_timeout = 9

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await connection(operator.client.configuration)

    for plural, kind in INTENTS.items():

        @kopf.on.event(API_GROUP, "v1alpha1", plural, id=f"take-{plural}", registry=registry)
        async def take(event: kopf.RawEvent, kind: str = kind, **_: Any) -> None:
            data.call(operator.intents.take, kind, event["type"], event["object"])

    return registry


async def connection(configuration: Configuration) -> kopf.ConnectionInfo:
    """The credentials that the `kubernetes` library loaded, as Kopf takes them."""
    header = await configuration.get_api_key_with_prefix("BearerToken")
    scheme, _, token = (header or "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert or None,
        insecure=not configuration.verify_ssl,
        scheme=scheme.title() or None,
        token=token or None,
        username=configuration.username or None,
        password=configuration.password or None,
        certificate_path=configuration.cert_file or None,
        private_key_path=configuration.key_file or None,
        proxy_url=configuration.proxy or None,
        trust_env=False,
    )


class NoProgress(kopf.ProgressStorage):
    """Remembers nothing on the objects."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


class NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing on the objects."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


async def host(data: DataPath) -> None:
    """Until a signal, or the end of the data path. When Kopf ends by itself, it is started again."""
    operator = data.wait_made()
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    over = asyncio.wrap_future(data.over)
    over.add_done_callback(lambda _: stop.set())

    def stop_now() -> None:
        log.info("stopping")
        stop.set()
        data.stop()

    # Without the kinds in place Kopf would look once, find nothing and stay idle.
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop_now)
    installed = asyncio.wrap_future(data.has_intents)
    stopped = asyncio.ensure_future(stop.wait())
    waits: list[asyncio.Future[Any]] = [installed, stopped]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    installed.cancel()
    while not stop.is_set():
        kopf_task = asyncio.create_task(
            kopf.operator(
                registry=registry_for(data, operator),
                settings=kopf.OperatorSettings(),
                clusterwide=True,
                standalone=True,
                stop_flag=stop,
            )
        )
        try:
            await kopf_task
            # It took the signal itself.
            stop.set()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("Kopf has ended and is started again: %s: %s", type(error).__name__, error)
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(name, stop_now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), random.uniform(0.5, 1.5))
    data.stop()
    await over


def run(options: Options) -> int:
    """The whole process; the exit status."""
    data = DataPath(options)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: data.stop())
    data.start()
    asyncio.run(host(data))
    data.join(1.0)
    if data.error is not None:
        log.error("the operator has failed: %s", data.error, exc_info=data.error)
        return 1
    return 0
