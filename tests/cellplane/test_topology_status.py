"""The status pages of the Topology Service, asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from cellplane.settings import Listen, SettingsError
from cellplane.topology_status import TopologyStatusServer
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.stored import StoredClaims
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.service.sources import Sources
from topology.view import EMPTY, View
from topology.watcher import WatcherState


class Pages:
    def __init__(self) -> None:
        self.view: View | None = None
        self.follower = ClaimFollower(StoredClaims(MemoryStore(), ClaimKeyspace.beside(Keyspace("/c"))))
        self.watcher = WatcherState()
        sources = Sources(lambda: self.view, self.follower)
        self.server = TopologyStatusServer(sources, self.watcher, CollectorRegistry())
        self.port = 0

    async def get(self, path: str) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            plain = response.content_type != "application/json"
            return response.status, await (response.text() if plain else response.json())


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    pages = Pages()
    pages.port = await pages.server.start(Listen(host="127.0.0.1", port=0))
    yield pages
    await pages.server.stop()


async def test_alive_but_not_ready_before_all_is_read(pages: Pages) -> None:
    assert "not connected: no answer yet" in str(await pages.get("/readyz"))
    pages.watcher.last_error = "nobody answers"
    pages.view = EMPTY
    assert await pages.get("/livez") == (200, {"live": True})
    status, report = await pages.get("/readyz")
    assert (status, report["ready"], report["stale"]) == (503, False, False)
    assert report["cells"]["etcd"] == "not connected: nobody answers"


async def test_ready_and_stale_as_the_watches_stand(pages: Pages) -> None:
    pages.view, pages.follower.loaded = EMPTY, True
    pages.watcher.connected = True
    status, report = await pages.get("/readyz")
    assert (status, report["ready"], report["stale"]) == (200, True, True)
    pages.follower.state.connected = True
    assert (await pages.get("/readyz"))[1]["stale"] is False


async def test_metrics_are_text(pages: Pages) -> None:
    assert (await pages.get("/metrics"))[0] == 200


async def test_an_address_that_is_taken_is_named(pages: Pages) -> None:
    with pytest.raises(SettingsError, match=f"--status-listen 127.0.0.1:{pages.port}"):
        await Pages().server.start(Listen(host="127.0.0.1", port=pages.port))
