"""Kopf hosts the process: startup, cleanup, login, settings, signals, and the events of intent.

The operator's own loop runs in a thread of its own. Kopf ends with any ERROR event in one of its watches, and when it
ends it cancels every task it finds on its loop; here it is simply started again, and the data path does not notice.
"""

import asyncio
import logging
import random
import signal
from collections.abc import Callable
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from exposure.controller.data_path import DataPath
from exposure.controller.operator import Operator
from exposure.parse.kinds import API_GROUP

INTENTS = {"exposurepolicies": "ExposurePolicy", "clusterexposurepolicies": "ClusterExposurePolicy"}
#: Kopf gives up on a request after the last of these, and then on the whole process.
PATIENCE = (0.2, 0.5, 1, 2, 5, *([10] * 360))
SIGNALS = (signal.SIGTERM, signal.SIGINT)
log = logging.getLogger(__name__)


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
        # So long after it ends, Kopf would kill the process; but here the process outlives it.
        settings.process.ultimate_exiting_timeout = None

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
    for name in SIGNALS:
        loop.add_signal_handler(name, stop_now)
    installed = asyncio.wrap_future(data.has_intents)
    stopped = asyncio.ensure_future(stop.wait())
    waits: list[asyncio.Future[Any]] = [installed, stopped]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    installed.cancel()
    hosting: asyncio.Task[None] | None = None
    while not stop.is_set():
        hosting = asyncio.create_task(_kopf(data, operator, stop, stop_now))
        await asyncio.wait([hosting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if hosting.done() and not stop.is_set():
            error = hosting.exception()
            data.call(operator.intents.list_now)
            log.warning("Kopf has ended and is started again: %s: %s", type(error).__name__, error)
            await asyncio.wait([stopped], timeout=random.uniform(0.5, 1.5))
    data.stop()
    await over
    # Kopf waits seconds for tasks that have nothing more to do; whatever mattered has ended with the data path.
    if hosting is not None and not hosting.done():
        hosting.cancel()
        await asyncio.wait([hosting], timeout=1.0)


async def _kopf(data: DataPath, operator: Operator, stop: asyncio.Event, stop_now: Callable[[], None]) -> None:
    present = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry_for(data, operator),
        settings=kopf.OperatorSettings(),
        clusterwide=True,
        standalone=True,
        stop_flag=stop,
    )
    # Kopf has just taken the signals for itself; ours reach the data path at once, and Kopf by its stop flag.
    for name in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(name, stop_now)
    await kopf.run_tasks(tasks, ignored=present)


def run(data: DataPath) -> int:
    """Until the process is told to stop; the exit status. `data` has been started."""
    asyncio.run(host(data))
    data.join(1.0)
    if data.error is not None:
        log.error("the operator has failed: %s", data.error, exc_info=data.error)
        return 1
    return 0
