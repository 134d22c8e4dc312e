"""The status pages of the Topology Service over HTTP: liveness, readiness, metrics.

Reads the state of the sources and their watches; never changes anything.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from cellplane.pages import Page, Pages
from cellplane.settings import Listen
from topology.service.sources import Sources
from topology.watcher import WatcherState


class TopologyStatusServer:
    """Serve the pages on one address."""

    def __init__(self, sources: Sources, watcher: WatcherState, registry: CollectorRegistry) -> None:
        self._sources = sources
        self._watcher = watcher
        self._pages = Pages(self.readiness, registry)

    def add(self, path: str, page: Page) -> None:
        """Add a page, before the start."""
        self._pages.add(path, page)

    async def start(self, listen: Listen) -> int:
        """Listen; return the port. Raise SettingsError where the address cannot be had."""
        return await self._pages.start(listen)

    async def stop(self) -> None:
        """Stop listening."""
        await self._pages.stop()

    def readiness(self) -> dict[str, Any]:
        """Return what /readyz says: ready once everything has been read, stale while etcd is not followed."""
        claims = self._sources.follower.state
        return {
            "ready": self._sources.ready,
            "stale": self._sources.ready and not (self._watcher.connected and claims.connected),
            "cells": _report(self._watcher),
            "claims": _report(claims),
        }


def _report(state: WatcherState) -> dict[str, Any]:
    return {"etcd": state.words, "revision": state.revision}
