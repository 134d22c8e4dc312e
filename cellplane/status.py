"""The status pages over HTTP: liveness, readiness, metrics, and this replica's fleet and View as JSON.

Reads the state of the watcher, the publisher and the fleet; never changes anything. What replicas know
together is added by `operation_pages`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from cellplane.fleet_node import node_body
from cellplane.pages import PLAIN, Pages
from cellplane.publisher_state import PublisherState
from cellplane.settings import Listen, TlsFiles
from cellplane.views import view_json
from topology.view import View
from topology.watcher import WatcherState
from xds.hold_book import HoldBook
from xds.status import Fleet

_LONGEST_WAIT_SECONDS = 60.0


class StatusServer:
    """Serve the pages on one address."""

    def __init__(
        self,
        fleet: Fleet,
        publisher: PublisherState,
        watcher: WatcherState,
        registry: CollectorRegistry,
        save_problem: Callable[[], str] = lambda: "",
        holds: HoldBook | None = None,
        replica: str = "",
    ) -> None:
        self.report_problem: Callable[[], str] = lambda: ""
        self._replica = replica
        self._started_at = time.time()
        self._holds = holds or HoldBook()
        self._fleet = fleet
        self._publisher = publisher
        self._watcher = watcher
        self._save_problem = save_problem
        self._shown: tuple[View, bool] | None = None
        self._shown_text = ""
        self.pages = Pages(self.readiness, registry)
        self.pages.add("/v1/fleet", self._fleet_page)
        self.pages.add("/v1/view", self._view_page)

    async def start(self, listen: Listen, files: TlsFiles = PLAIN) -> int:
        """Listen; return the port. Raise SettingsError where the address cannot be had."""
        return await self.pages.start(listen, files)

    async def stop(self) -> None:
        """Stop listening."""
        await self.pages.stop()

    def readiness(self) -> dict[str, Any]:
        """Return what /readyz says: ready once a Snapshot is published, stale while etcd is not followed."""
        published = self._publisher.published
        stale = published is not None and self._publisher.is_stale(self._watcher.connected)
        return {
            "ready": published is not None,
            "stale": stale,
            "revision": published.revision if published else None,
            "published_seconds_ago": round(time.time() - self._publisher.published_at, 3)
            if published
            else None,
            "etcd": self._watcher.words,
            "held": self._publisher.held.body() if self._publisher.held else None,
            "frozen": self._publisher.frozen.body() if self._publisher.frozen else None,
            "wave": self._publisher.standing.body() if self._publisher.standing else None,
            "refused": list(self._publisher.refused),
            "rules_problem": self._publisher.rules_problem or None,
            "save_problem": self._save_problem() or None,
            "report_problem": self.report_problem() or None,
        }

    def about(self) -> dict[str, Any]:
        """Return what this replica tells the others of itself. It changes with each publish, not by time."""
        publisher, readiness = self._publisher, self.readiness()
        held = publisher.held
        return {
            "replica": self._replica,
            "started_at": self._started_at,
            "published_at": publisher.published_at,
            "nodes": len(self._fleet.nodes()),
            "held": held.id if held else None,
            **{name: readiness[name] for name in ("ready", "stale", "revision", "etcd", "frozen")},
        }

    async def _view_page(self, _: web.Request) -> web.Response:
        view = self._publisher.view
        if view is None:
            return web.json_response({"error": "no View yet"}, status=503)
        shown = (view, view.stale or not self._watcher.connected)
        if self._shown is None or shown[0] is not self._shown[0] or shown[1] != self._shown[1]:
            # In a thread, and once: thousands of cells must not keep the streams waiting.
            document = await asyncio.to_thread(lambda: json.dumps({**view_json(view), "stale": shown[1]}))
            self._shown, self._shown_text = shown, document
        return web.Response(text=self._shown_text, content_type="application/json")

    async def _fleet_page(self, request: web.Request) -> web.Response:
        """Answer at once, or with ?settled=R&seconds=S wait until every node has settled revision R."""
        try:
            revision = int(request.query.get("settled", "0"))
            seconds = min(float(request.query.get("seconds", "5")), _LONGEST_WAIT_SECONDS)
            nodes = int(request.query.get("nodes", "1"))
        except ValueError:
            return web.json_response({"error": "settled, nodes and seconds are numbers"}, status=400)
        if revision:
            await self._wait(lambda: self._settled(revision, nodes), seconds)
        found = self._fleet.nodes()
        bodies = [node_body(node, self._holds.at_node(node.group, node.node.id)) for node in found]
        return web.json_response({"nodes": bodies})

    def _settled(self, revision: int, nodes: int) -> bool:
        settled = [node.settled_revision for node in self._fleet.nodes()]
        return len(settled) >= nodes and all(found >= revision for found in settled)

    async def _wait(self, done: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not done():
                    await self._fleet.changed()
        except TimeoutError:
            pass
