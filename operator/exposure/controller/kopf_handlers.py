"""Kopf: the watches of ExposurePolicies and ClusterExposurePolicies. Every event goes to the operator's loop.

Kopf ends with any ERROR event in one of its watches. Then it is started again, and both kinds are listed at once.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from exposure.controller.intents import Intents
from exposure.parse.kinds import Kind

#: Seconds between Kopf's attempts at a request. After the last one it ends.
RETRY_SECONDS = (0.2, 0.5, 1, 2, 5, *([10] * 360))
log = logging.getLogger(__name__)


async def serve(configuration: Configuration, intents: Intents, operator_loop: asyncio.AbstractEventLoop) -> None:
    """Runs Kopf on this loop, again whenever it ends, until it is cancelled."""

    def call(function: Callable[..., None], *arguments: Any) -> None:
        # RuntimeError: the operator's loop is closed, because the process ends.
        with contextlib.suppress(RuntimeError):
            operator_loop.call_soon_threadsafe(function, *arguments)

    while True:
        error: BaseException | None = None
        try:
            await kopf.operator(
                registry=handlers(configuration, intents, call),
                settings=kopf.OperatorSettings(),
                clusterwide=True,
                standalone=True,
            )
        except Exception as raised:
            error = raised
        log.warning("Kopf ended and starts again: %r", error)
        call(intents.list_now)
        await asyncio.sleep(random.uniform(0.5, 1.5))


def handlers(configuration: Configuration, intents: Intents, call: Callable[..., None]) -> kopf.OperatorRegistry:
    """What Kopf calls. Every handler returns None: Kopf would write anything else into the object's status."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        # Nowhere: other storages would annotate every object that is watched.
        settings.persistence.progress_storage = kopf.MultiProgressStorage([])
        settings.persistence.diffbase_storage = kopf.MultiDiffBaseStorage([])
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.peering.standalone = True
        settings.watching.server_timeout = 240
        settings.watching.inactivity_timeout = 100
        settings.networking.error_backoffs = RETRY_SECONDS
        # Kopf would kill the process some time after it has ended.
        settings.process.ultimate_exiting_timeout = None

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await connection(configuration)

    for kind in intents.kinds:

        @kopf.on.event(kind.group, kind.versions[0], kind.plural, id=f"deliver-{kind.plural}", registry=registry)
        async def deliver_event(event: kopf.RawEvent, kind: Kind = kind, **_: Any) -> None:
            call(intents.take, kind, event["type"], event["object"])

    return registry


async def connection(configuration: Configuration) -> kopf.ConnectionInfo:
    """The credentials that the `kubernetes` library loaded, in Kopf's form."""
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
