"""What all replicas know together, as JSON over HTTP: the whole fleet, the pushes, and what happens, live.

Added to the status pages of a control plane; the command and the console read it. It never changes anything.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Any, Final

from aiohttp import web

from cellplane.feed import Feed
from cellplane.fleet_wide import FleetReader
from cellplane.pages import Pages
from cellplane.publisher import Publisher
from cellplane.push_diff import CAUSES, lines
from cellplane.push_history import PushHistory
from cellplane.push_record import Push
from cellplane.pushes import EDGE
from cellplane.wave_record import CANARY, settings_of
from cellplane.wave_runner import WaveRunner
from topology.view import EMPTY
from xds.nodes import Node

LIMIT: Final = 50
_QUIET_SECONDS: Final = 15.0


class OperationPages:
    """Add the pages to those of a status server, before it starts."""

    def __init__(
        self,
        pages: Pages,
        fleet: FleetReader,
        history: PushHistory,
        publisher: Publisher,
        feed: Feed,
    ) -> None:
        self._fleet = fleet
        self._history = history
        self._publisher = publisher
        self._feed = feed
        self.waves: WaveRunner | None = None
        pages.add("/v1/fleet/all", self._fleet_page)
        pages.add("/v1/snapshots/{group}", self._snapshot_page)
        pages.add("/v1/pushes", self._pushes_page)
        pages.add("/v1/pushes/pending", self._pending_page)
        pages.add("/v1/waves", self._waves_page)
        pages.add("/v1/pushes/{id}", self._push_page)
        pages.add("/v1/events", self._events_page)

    async def _fleet_page(self, _: web.Request) -> web.Response:
        whole = await self._fleet.read()
        # In a thread: thousands of nodes must not keep the streams waiting.
        return await _json(whole.to_json)

    async def _snapshot_page(self, request: web.Request) -> web.Response:
        """Give what a group, or with ?node= one of it, is to have: the version of each resource by name."""
        group, name = request.match_info["group"], request.query.get("node", "")
        records = (await self._fleet.read()).nodes if name else ()
        canary = any(record.is_canary for record in records if record.id == name)
        node = Node(id=name, metadata={CANARY: canary}) if name else None
        snapshot = self._publisher.cache.current(group, node)
        if snapshot is None:
            return _problem(f"nothing is published for group {group}", 404)

        def made() -> dict[str, Any]:
            versions = {
                kind.name: {name: one.version for name, one in snapshot.of_type(kind).items()}
                for kind in snapshot.resources
            }
            return {"group": group, "revision": snapshot.revision, "resources": versions}

        return await _json(made)

    async def _pushes_page(self, request: web.Request) -> web.Response:
        """Give the newest pushes first; `revision` asks for the one that stood then."""
        query = request.query
        try:
            limit, revision = int(query.get("limit", LIMIT)), int(query.get("revision", 0))
        except ValueError:
            return _problem("limit and revision are numbers", 400)
        cause = query.get("cause", "")
        if cause and cause not in CAUSES:
            return _problem(f"cause {cause!r} is none: use one of {', '.join(CAUSES)}", 400)
        found: Sequence[Push]
        if revision:
            at = self._history.at_revision(revision)
            found = [at] if at is not None else []
        else:
            found = [push for push in self._history.pushes() if not cause or cause in push.body["causes"]]
        shown = list(reversed(found))[: max(0, limit)]
        frozen, held = self._publisher.state.frozen, self._publisher.state.held
        about = {
            "frozen": frozen.body() if frozen else None,
            "held": held.body() if held else None,
            "wave": self._wave(),
            "pending": self._pending(),
            "kept": len(found),
            "problem": self._problem_of_history(),
        }
        return await _json(lambda: {"pushes": [_short(push) for push in shown], **about})

    async def _push_page(self, request: web.Request) -> web.Response:
        identity = request.match_info["id"]
        found = self._history.find(identity)
        if not found:
            return _problem(f"there is no push {identity} in the history", 404)
        if len(found) > 1:
            ids = ", ".join(push.id for push in found[:10])
            return _problem(f"{identity} is the beginning of several ids: {ids}", 400)
        return await _json(found[0].to_json)

    async def _pending_page(self, _: web.Request) -> web.Response:
        """Say what would go out now if nothing were frozen or held."""
        state = self._publisher.state
        return web.json_response(
            {
                "frozen": state.frozen.body() if state.frozen else None,
                "held": state.held.body() if state.held else None,
                "wave": self._wave(),
                "lines": self._pending(),
            }
        )

    async def _waves_page(self, _: web.Request) -> web.Response:
        """Say how each group's changes go out, where its wave stands, and what waits for it."""
        view = self._publisher.state.view
        group = {
            "group": EDGE,
            "settings": settings_of(view or EMPTY, EDGE).body(),
            "wave": self._wave(),
            "pending": self._pending(),
        }
        return web.json_response(
            {"groups": [group], "problem": (self.waves.problem if self.waves else "") or None}
        )

    async def _events_page(self, request: web.Request) -> web.StreamResponse:
        """Tell what happens until the reader goes, as server-sent events."""
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream", "cache-control": "no-store"}
        )
        await response.prepare(request)
        await response.write(b": what happens, as it happens\n\n")
        with suppress(ConnectionError):  # the reader has gone
            async with aclosing(self._feed.events(_QUIET_SECONDS)) as events:
                async for event in events:
                    await response.write(b": \n\n" if event is None else event.as_server_sent())
        return response

    def _wave(self) -> dict[str, Any] | None:
        standing = self._publisher.state.standing
        return standing.body() if standing is not None else None

    def _pending(self) -> list[str]:
        state = self._publisher.state
        waits = state.standing is not None and state.standing.waits
        diff = self._publisher.pending() if state.frozen or state.held or waits else None
        return lines(diff) if diff is not None else []

    def _problem_of_history(self) -> str | None:
        if self._history.problem:
            return f"pushes are not written down: {self._history.problem}"
        state = self._history.followed.state
        if not state.connected:
            return f"the history is not followed: {state.last_error or 'etcd did not answer yet'}"
        return None


def _short(push: Push) -> dict[str, Any]:
    """Give a push without what is needed only for the way back."""
    return {name: value for name, value in push.to_json().items() if name != "records"}


def _problem(words: str, status: int) -> web.Response:
    return web.json_response({"error": words}, status=status)


async def _json(made: Any) -> web.Response:
    text = await asyncio.to_thread(lambda: json.dumps(made()))
    return web.Response(text=text, content_type="application/json")
