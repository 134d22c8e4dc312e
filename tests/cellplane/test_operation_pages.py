"""What all replicas know together, asked over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from cellplane.operation_metrics import OperationsCollector
from cellplane.operations import Operations, tell_states
from cellplane.publisher import Publisher
from cellplane.push_tracker import PushTracker
from cellplane.pushes import EVERYTHING, FROZEN
from cellplane.settings import Listen
from cellplane.status import StatusServer
from envoy.edge import EdgeSettings
from tests.cellplane.fleets import synced
from tests.cellplane.pushing import made_of, view_of
from tests.cellplane.test_publisher import Wishes
from tests.cellplane.views import cell
from tests.processes import eventually
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.watcher import WatcherState
from xds.cache import Cache
from xds.hold_book import HoldBook
from xds.status import Fleet

FIRST = view_of(10, cell(1), cell(2))
SECOND = view_of(11, cell(1), replace(cell(2), weight=0), before=FIRST)


@dataclass
class Rig:
    url: str
    operations: Operations
    publisher: Publisher
    registry: CollectorRegistry

    async def get(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            return response.status, await response.json()

    async def pushed(self, count: int) -> list[Any]:
        async def has() -> list[Any]:
            found = (await self.get("/v1/pushes"))[1]["pushes"]
            return found if len(found) == count else []

        return await eventually(has, f"{count} pushes")


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    store, fleet, holds = MemoryStore(), Fleet(), HoldBook()
    tracker, cache, registry = PushTracker(fleet), Cache(), CollectorRegistry()
    publisher = Publisher(cache, EdgeSettings(), Wishes(), tell=tracker.published)
    publisher._debounce.window_seconds = 0
    watcher = WatcherState(connected=True, heard_at=90.0)
    status = StatusServer(fleet, publisher.state, watcher, registry, holds=holds, replica="a")
    operations = Operations(store, Keyspace(), fleet, holds, tracker, publisher, status, "a")
    registry.register(
        OperationsCollector(fleet, cache, publisher.state, watcher, tracker, operations, lambda: 100.0)
    )
    synced(fleet, "edge-1", 10)
    port = await status.start(Listen(host="127.0.0.1", port=0))
    tasks = [asyncio.ensure_future(work) for work in operations.running()]
    yield Rig(f"http://127.0.0.1:{port}", operations, publisher, registry)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await operations.close()
    await status.stop()


async def test_the_whole_fleet(rig: Rig) -> None:
    rig.publisher.offer(FIRST)
    status, page = await rig.get("/v1/fleet/all")
    assert (status, page["revision"], page["problem"]) == (200, 10, None)
    assert [(node["id"], node["replica"], node["state"]) for node in page["nodes"]] == [
        ("edge-1", "a", "SYNCED")
    ]
    assert page["replicas"][0]["written_at"] is None, "of now"


async def test_what_a_group_is_to_have(rig: Rig) -> None:
    assert (await rig.get("/v1/snapshots/edge"))[0] == 404
    rig.publisher.offer(FIRST)
    status, page = await rig.get("/v1/snapshots/edge")
    assert (status, page["revision"]) == (200, 10)
    assert set(page["resources"]["cluster"]) == {"cell-1", "cell-2"}
    assert all(page["resources"]["route"].values())

    tried = made_of(view_of(11, cell(1), cell(2), cell(3))).snapshot
    rig.publisher.cache.stage("edge", tried, lambda node: node.id == "edge-1")
    for name, clusters in (("edge-1", 3), ("edge-2", 2)):
        _, page = await rig.get(f"/v1/snapshots/edge?node={name}")
        assert len(page["resources"]["cluster"]) == clusters, "what this very node is to have"


async def test_pushes_one_push_and_what_waits(rig: Rig) -> None:
    rig.publisher.offer(FIRST)
    await rig.pushed(1)
    rig.publisher.offer(SECOND)
    newest, _ = await rig.pushed(2)
    assert newest["lines"][0] == "cell 2: weight: 100 → 0"
    assert "records" not in newest
    status, page = await rig.get(f"/v1/pushes/{newest['id']}")
    assert (status, page["records"][0]["before"]["weight"]) == (200, 100)
    assert (await rig.get("/v1/pushes?limit=1&cause=start"))[1]["kept"] == 1
    assert (await rig.get("/v1/pushes?revision=10"))[1]["pushes"][0]["causes"] == ["start"]

    frozen: dict[str, Any] = {f"{FROZEN}__{EVERYTHING}": {}}
    rig.publisher._debounce.window_seconds = 0
    rig.publisher._debounce.went(0)
    rig.publisher.offer(view_of(12, cell(1), cell(2), before=SECOND, **frozen))
    page = (await rig.get("/v1/pushes/pending"))[1]
    assert (page["frozen"]["by"], page["lines"][0]) == ("ada", "cell 2: weight: 0 → 100")
    assert (await rig.get("/readyz"))[1]["frozen"]["reason"] == "test"


async def test_metrics_tell_how_fast_why_and_who_lags(rig: Rig) -> None:
    def value(name: str, **labels: str) -> float | None:
        return rig.registry.get_sample_value(f"cellplane_{name}", labels)

    rig.publisher.offer(FIRST)
    await rig.pushed(1)
    rig.publisher.offer(SECOND)
    await rig.pushed(2)
    assert value("pushes_total", group="edge", cause="cells") == 1
    assert value("convergence_seconds_count", group="edge") == 1, "edge-1 has the first and not the second"
    assert value("convergence_seconds_bucket", group="edge", le="+Inf") == 1
    assert (value("fleet_nodes", group="edge"), value("fleet_nodes_behind", group="edge")) == (1, 1)
    assert value("fleet_lag_revisions", group="edge") == 1
    assert value("snapshot_resources", group="edge", type="cluster") == 2
    assert value("snapshot_build_seconds_count") == 2
    assert (value("pushes_frozen"), value("pushes_unwritten"), value("pushes_forgotten_total")) == (0, 0, 0)
    assert (value("history_connected"), value("fleet_reported"), value("feed_listeners")) == (1, 1, 0)
    assert value("view_age_seconds") == 10


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/pushes/nosuch", 404, "there is no push nosuch in the history"),
        ("/v1/pushes?limit=x", 400, "limit and revision are numbers"),
        ("/v1/pushes?cause=x", 400, "cause 'x' is none: use one of rules, cells"),
    ],
)
async def test_what_is_asked_wrongly(rig: Rig, path: str, status: int, words: str) -> None:
    found, page = await rig.get(path)
    assert (found, words in page["error"]) == (status, True)


async def test_events_are_told_as_they_happen(rig: Rig) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{rig.url}/v1/events") as response:
        assert response.content_type == "text/event-stream"
        await response.content.readuntil(b"\n\n")
        await eventually(lambda: _listens(rig), "the listener")
        rig.operations.feed.put("push", {"id": "ab"})
        assert await response.content.readuntil(b"\n\n") == b'event: push\ndata: {"id":"ab"}\n\n'


async def _listens(rig: Rig) -> bool:
    return rig.operations.feed.listeners == 1


async def test_states_are_told_when_they_begin_and_when_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellplane.operations._LOOK_SECONDS", 0.005)
    told: list[tuple[str, Any]] = []

    class Feed:
        def put(self, kind: str, body: Any) -> None:
            told.append((kind, body))

    states: dict[str, Any] = {"frozen": None, "held": None, "fleet": {"changes": 1}}
    task = asyncio.ensure_future(tell_states(lambda: dict(states), Feed()))  # type: ignore[arg-type]
    for name, body, kind in (
        ("frozen", {"by": "ada"}, "frozen"),
        ("frozen", None, "resumed"),
        ("held", {"id": "ab"}, "held"),
        ("held", None, "released"),
        ("fleet", {"changes": 2}, "fleet"),
    ):
        await asyncio.sleep(0)
        states[name] = body

        async def is_told(expected: tuple[str, Any] = (kind, body or {})) -> bool:
            return bool(told) and told[-1] == expected

        await eventually(is_told, kind)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(told) == 5
