"""The pages that every process of ours serves over HTTP: /livez (also /healthz), /readyz, /metrics.

Whoever has more to tell adds to them, as `status` and `topology_status` do. It knows neither cells nor
fleets, and never changes anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from cellplane.https import https_context
from cellplane.settings import Listen, SettingsError, TlsFiles

PLAIN: Final = TlsFiles()
Page: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """Serve the pages on one address. `readiness` says with `ready` whether /readyz is a yes."""

    def __init__(self, readiness: Callable[[], dict[str, Any]], registry: CollectorRegistry) -> None:
        self._readiness = readiness
        self._registry = registry
        self._app = web.Application()
        self.add("/livez", self._livez)
        self.add("/healthz", self._livez)
        self.add("/readyz", self._readyz)
        self.add("/metrics", self._metrics)
        self._runner = web.AppRunner(self._app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    def add(self, path: str, page: Page) -> None:
        """Add a page, before the start."""
        self._app.router.add_get(path, page)

    def add_post(self, path: str, page: Page) -> None:
        """Add a page that takes something, before the start."""
        self._app.router.add_post(path, page)

    async def start(self, listen: Listen, files: TlsFiles = PLAIN) -> int:
        """Listen; return the port. Raise SettingsError where the address cannot be had.

        Over TLS with `files`; a client may show a certificate, and scrapes and probes go on without one.
        """
        await self._runner.setup()
        try:
            context = https_context(files, demanding=False)
            await web.TCPSite(self._runner, listen.host, listen.port, ssl_context=context).start()
        except OSError as error:  # an ssl.SSLError is one too
            raise SettingsError(
                f"--status-listen {listen}: {error.strerror or error}. Choose another address."
            ) from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _readyz(self, _: web.Request) -> web.Response:
        report = self._readiness()
        return web.json_response(report, status=200 if report["ready"] else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST}
        )
