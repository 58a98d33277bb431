"""The pages /healthz, /readyz and /metrics. Kopf's own probes hang on most exceptions."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from exposure.controller.errors import CannotStart
from exposure.controller.metrics import Metrics


class Probes:
    """`listen`: address and port, None for every address. `missing` names the kinds that were not read yet.

    Ready means that no kind is missing, whether this process leads or not.
    """

    def __init__(self, listen: tuple[str | None, int], missing: Callable[[], list[str]], metrics: Metrics) -> None:
        self._host, self._port = listen
        self._missing = missing
        self._metrics = metrics
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics_page)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self) -> None:
        """CannotStart if the address cannot be used."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, shutdown_timeout=1.0).start()
        except OSError as error:
            raise CannotStart(
                f"cannot listen on {self._host or 'any address'}, port {self._port}: {error.strerror or error}. "
                "Set --listen to an address of this machine and a free port."
            ) from error

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        # The answer comes from the loop that does the work, so it shows that this loop is alive.
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._missing()
        if missing:
            return web.Response(status=503, text=f"not read yet: {', '.join(missing)}\n")
        return web.Response(text="ok\n")

    async def _metrics_page(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
