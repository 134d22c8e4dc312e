"""The status pages of the Topology Service over HTTP: liveness, readiness, metrics.

Reads the state of the sources and their watches; never changes anything.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from cellplane.settings import Listen, SettingsError
from topology.service.sources import Sources
from topology.watcher import WatcherState


class TopologyStatusServer:
    """Serve the pages on one address."""

    def __init__(self, sources: Sources, watcher: WatcherState, registry: CollectorRegistry) -> None:
        self._sources = sources
        self._watcher = watcher
        self._registry = registry
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self, listen: Listen) -> int:
        """Listen; return the port. Raise SettingsError where the address cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, listen.host, listen.port).start()
        except OSError as error:
            raise SettingsError(
                f"--status-listen {listen}: {error.strerror or error}. Choose another address."
            ) from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    def readiness(self) -> dict[str, Any]:
        """Return what /readyz says: ready once everything has been read, stale while etcd is not followed."""
        claims = self._sources.follower.state
        return {
            "ready": self._sources.ready,
            "stale": self._sources.ready and not (self._watcher.connected and claims.connected),
            "cells": _report(self._watcher),
            "claims": _report(claims),
        }

    async def _livez(self, _: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _readyz(self, _: web.Request) -> web.Response:
        report = self.readiness()
        return web.json_response(report, status=200 if report["ready"] else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST}
        )


def _report(state: WatcherState) -> dict[str, Any]:
    etcd = "connected" if state.connected else f"not connected: {state.last_error}"
    return {"etcd": etcd, "revision": state.revision}
