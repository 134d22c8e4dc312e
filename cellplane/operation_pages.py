"""What all replicas know together, as JSON over HTTP: the whole fleet.

Added to the status pages of a control plane; the command and the console read it. It never changes anything.
"""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from cellplane.fleet_wide import FleetReader
from cellplane.pages import Pages


class OperationPages:
    """Add the pages to those of a status server, before it starts."""

    def __init__(self, pages: Pages, fleet: FleetReader) -> None:
        self._fleet = fleet
        pages.add("/v1/fleet/all", self._fleet_page)

    async def _fleet_page(self, _: web.Request) -> web.Response:
        whole = await self._fleet.read()
        # In a thread: thousands of nodes must not keep the streams waiting.
        return web.Response(
            text=await asyncio.to_thread(lambda: json.dumps(whole.to_json())),
            content_type="application/json",
        )
