"""The status pages, asked over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from cellplane.metrics import ControlPlaneCollector
from cellplane.publisher_state import PublisherState
from cellplane.settings import Listen, SettingsError
from cellplane.status import StatusServer
from tests.cellplane.views import cell, view
from topology.model import CellState
from topology.watcher import WatcherState
from xds.cache import Cache
from xds.hold_book import HoldBook
from xds.nodes import Node
from xds.resource import CLUSTER, Resource
from xds.status import Fleet, StreamStatus


@dataclass
class Pages:
    url: str
    fleet: Fleet
    publisher: PublisherState
    watcher: WatcherState
    holds: HoldBook
    cache: Cache
    server: StatusServer

    async def get(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            body = (
                await response.json()
                if response.content_type == "application/json"
                else await response.text()
            )
            return response.status, body

    def stream(self, node: str = "edge-1") -> StreamStatus:
        return self.fleet.opened(Node(id=node), "edge", "delta")


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    fleet, publisher, watcher, cache = Fleet(), PublisherState(), WatcherState(), Cache()
    registry, holds = CollectorRegistry(), HoldBook()
    registry.register(ControlPlaneCollector(fleet, publisher, watcher, holds, cache))
    server = StatusServer(fleet, publisher, watcher, registry, holds=holds, replica="a")
    port = await server.start(Listen(host="127.0.0.1", port=0))
    yield Pages(f"http://127.0.0.1:{port}", fleet, publisher, watcher, holds, cache, server)
    await server.stop()


async def test_alive_but_not_ready_before_anything_is_published(pages: Pages) -> None:
    assert "not connected: no answer yet" in str(await pages.get("/readyz"))
    pages.watcher.last_error = "nobody answers"

    assert await pages.get("/livez") == (200, {"live": True})
    status, report = await pages.get("/readyz")
    assert (status, report["ready"], report["stale"]) == (503, False, False)
    assert report["etcd"] == "not connected: nobody answers"
    assert (await pages.get("/v1/view"))[0] == 503


async def test_ready_and_stale_as_the_watch_stands(pages: Pages) -> None:
    pages.publisher.published = pages.publisher.view = view(7, [cell(1)])
    status, report = await pages.get("/readyz")
    assert (status, report["ready"], report["stale"], report["revision"]) == (200, True, True, 7)

    pages.watcher.connected = True
    assert (await pages.get("/readyz"))[1]["stale"] is False
    assert (await pages.get("/v1/view"))[1]["stale"] is False

    pages.publisher.view = replace(pages.publisher.view, stale=True)
    assert (await pages.get("/readyz"))[1]["stale"] is True


async def test_the_fleet_waits_for_a_revision_and_no_longer_than_asked(pages: Pages) -> None:
    stream = pages.stream()
    _, at_once = await pages.get("/v1/fleet?settled=9&seconds=0.05")
    assert at_once["nodes"][0]["settled_revision"] == 0

    waiting = asyncio.ensure_future(pages.get("/v1/fleet?settled=9&seconds=10"))
    while not pages.fleet._waiting:
        await asyncio.sleep(0)
        assert not waiting.done()
    stream.settled(9)

    assert (await waiting)[1]["nodes"][0]["settled_revision"] == 9


@pytest.mark.parametrize("query", ["settled=soon", "settled=1&seconds=long", "settled=1&nodes=few"])
async def test_what_is_no_number_is_named(pages: Pages, query: str) -> None:
    assert await pages.get(f"/v1/fleet?{query}") == (400, {"error": "settled, nodes and seconds are numbers"})


async def test_metrics_have_bounded_labels(pages: Pages) -> None:
    pages.watcher.connected = True
    pages.publisher.published = pages.publisher.view = view(7, [cell(1), cell(2, CellState.DRAINING)])
    pages.stream("a-node-with-a-name")

    pages.fleet.note_turned_away()
    status, text = await pages.get("/metrics")
    assert "cellplane_xds_streams_turned_away_total 1.0" in text
    assert "cellplane_xds_offer_failures_total 0.0" in text
    pages.cache.failures += 2
    assert "cellplane_xds_offer_failures_total 2.0" in (await pages.get("/metrics"))[1]

    assert status == 200
    lines = text.splitlines()
    for line in (
        "cellplane_etcd_connected 1.0",
        "cellplane_view_revision 7.0",
        "cellplane_view_stale 0.0",
        'cellplane_cells{state="ACTIVE"} 1.0',
        'cellplane_cells{state="DRAINING"} 1.0',
        'cellplane_push_held{group="edge"} 0.0',
        'cellplane_published_revision{group="edge"} 7.0',
        'cellplane_xds_streams{group="edge"} 1.0',
    ):
        assert line in lines
    assert "a-node-with-a-name" not in text


async def test_what_is_held_is_shown_by_node_and_counted(pages: Pages) -> None:
    pages.stream("edge-1")
    pages.stream("edge-2")
    bad, taken = Resource.of(CLUSTER, "a", b"1"), Resource.of(CLUSTER, "b", b"2")
    one, two = (pages.holds.joined("edge", node, "1.40.0") for node in ("edge-1", "edge-2"))
    one.reject(bad, "a: no", None)
    one.reject(taken, "b: cannot bind", None)
    two.reject(bad, "a: no", None)

    (first, second) = (await pages.get("/v1/fleet"))[1]["nodes"]
    group_wide = {
        "type": "cluster",
        "name": "a",
        "version": bad.version,
        "message": "a: no",
        "scope": "group",
    }
    assert second["held"] == [group_wide]
    assert first["held"] == [
        group_wide,
        {**group_wide, "name": "b", "version": taken.version, "message": "b: cannot bind", "scope": "node"},
    ]
    lines = (await pages.get("/metrics"))[1].splitlines()
    assert 'cellplane_xds_held{group="edge",scope="group",type="cluster"} 1.0' in lines
    assert 'cellplane_xds_held{group="edge",scope="node",type="cluster"} 1.0' in lines


async def test_a_taken_address_is_named(pages: Pages) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = StatusServer(pages.fleet, pages.publisher, pages.watcher, CollectorRegistry())
        with pytest.raises(SettingsError, match="--status-listen"):
            await server.start(Listen(host="127.0.0.1", port=taken.getsockname()[1]))
        await server.stop()


async def test_what_a_replica_tells_of_itself_does_not_change_with_time(pages: Pages) -> None:
    pages.publisher.published = view(7, [cell(1)])
    before = pages.server.about()
    assert (before["replica"], before["ready"], before["revision"], before["nodes"]) == ("a", True, 7, 0)
    pages.stream()
    assert pages.server.about() == {**before, "nodes": 1}


async def test_a_problem_with_telling_others_is_shown(pages: Pages) -> None:
    pages.server.report_problem = lambda: "etcd is away"
    assert (await pages.get("/readyz"))[1]["report_problem"] == "etcd is away"
