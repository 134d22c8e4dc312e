"""What all replicas know together, asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from cellplane.fleet_wide import FleetReader
from cellplane.operation_keys import FleetKeys
from cellplane.operation_pages import OperationPages
from cellplane.pages import Pages
from cellplane.settings import Listen
from tests.cellplane.fleets import synced
from topology.keys import Keyspace
from topology.memory import MemoryStore
from xds.hold_book import HoldBook
from xds.status import Fleet

ABOUT = {"replica": "a", "revision": 7, "nodes": 1, "ready": True, "stale": False}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    store, fleet = MemoryStore(), Fleet()
    synced(fleet, "edge-1")
    pages = Pages(lambda: {"ready": True}, CollectorRegistry())
    reader = FleetReader(store, FleetKeys.beside(Keyspace()), fleet, HoldBook(), lambda: ABOUT, lambda: 1)
    OperationPages(pages, reader)
    port = await pages.start(Listen(host="127.0.0.1", port=0))
    yield f"http://127.0.0.1:{port}"
    await pages.stop()


async def get(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()


async def test_the_whole_fleet(url: str) -> None:
    status, page = await get(f"{url}/v1/fleet/all")
    assert (status, page["revision"], page["problem"]) == (200, 7, None)
    assert [(node["id"], node["replica"], node["state"]) for node in page["nodes"]] == [
        ("edge-1", "a", "SYNCED")
    ]
    assert page["replicas"][0]["written_at"] is None, "of now"
