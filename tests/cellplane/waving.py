"""A control plane's replica for tests of waves: all its parts over one store, and nodes that answer at once.

The nodes are no Envoys: each says to what it is offered what a test lets it say. Real Envoys are in the
integration tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cellplane.delivery import Delivery
from cellplane.feed import Feed
from cellplane.fleet_reporter import FleetReporter
from cellplane.fleet_wide import FleetReader
from cellplane.latest import Latest
from cellplane.operation_keys import FleetKeys, PushKeys
from cellplane.publisher import Publisher
from cellplane.push_history import PushHistory
from cellplane.push_tracker import PushTracker
from cellplane.pushes import EDGE
from cellplane.recorder import Recorder
from cellplane.sidecar_publisher import SidecarPublisher
from cellplane.wave_record import SETTINGS, Query, Stage, Wave, WaveSettings, wave_of
from cellplane.wave_runner import WaveRunner
from cellplane.wave_views import WaveViews
from envoy.edge import EdgeSettings
from envoy.sidecar import SidecarSettings
from tests.cellplane.views import STAMP
from tests.processes import eventually
from topology.apply import Applied, apply, read_view
from topology.codec import encode
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Cell, Endpoint
from topology.planning import plan_document
from topology.store import Txn
from topology.view import View
from topology.watcher import Watcher
from xds.cache import Cache
from xds.hold_book import HoldBook
from xds.nodes import Node
from xds.resource import CLUSTER, ROUTE
from xds.snapshot import Change, Snapshot
from xds.status import Fleet, StreamStatus
from xds.wire import Composer

KEYSPACE = Keyspace()
SIDECAR = SidecarSettings(listen_port=8081, application=Endpoint(host="127.0.0.1", port=8080))
QUICK = WaveSettings(
    stages=(
        Stage(percent=0, bake_seconds=0),
        Stage(percent=10, bake_seconds=0),
        Stage(percent=50, bake_seconds=0),
    ),
    patience_seconds=30.0,
    lost_seconds=30.0,
)


@dataclass(eq=False)
class FakeNode:
    """A node of the group edge. `rejects` says which states it says no to; `mute`: it says nothing."""

    node: Node
    status: StreamStatus
    rejects: Callable[[Snapshot], bool]
    mute: bool = False
    had: list[Snapshot] = field(default_factory=list)

    def offer(self, snapshot: Snapshot, change: Change) -> None:
        self.had.append(snapshot)
        if self.mute:
            return
        sent = Composer("").delta(ROUTE, str(snapshot.revision), [*snapshot.of_type(ROUTE).values()], [])
        self.status.sent(sent)
        if self.rejects(snapshot):
            self.status.rejected(sent, ["edge"], "no such thing")
            return
        self.status.acknowledged(sent)
        self.status.settled(snapshot.revision, snapshot.tag)

    def end(self, _: object) -> None:
        raise AssertionError("nobody ends this stream")

    @property
    def clusters(self) -> set[str]:
        return set(self.had[-1].of_type(CLUSTER)) if self.had else set()


@dataclass
class Replica:
    store: MemoryStore
    cache: Cache
    fleet: Fleet
    publisher: Publisher
    runner: WaveRunner
    reader: FleetReader
    history: PushHistory
    tracker: PushTracker
    nodes: dict[str, FakeNode] = field(default_factory=dict)

    def connect(self, name: str, *, canary: bool = False, mute: bool = False, group: str = EDGE) -> FakeNode:
        node = Node(id=name, metadata={"canary": True} if canary else {})
        status = self.fleet.opened(node, group, "delta ADS")
        made = FakeNode(node, status, lambda _: False, mute)
        current = self.cache.current(group, node)
        self.cache.join(group, made, node)
        if current is not None:
            made.offer(current, {})
        self.nodes[name] = made
        return made

    def disconnect(self, name: str) -> None:
        gone = self.nodes.pop(name)
        self.cache.leave(EDGE, gone)
        self.fleet.closed(gone.status)

    @property
    def wave(self) -> Wave | None:
        view = self.publisher.state.view
        return wave_of(view, EDGE) if view is not None else None

    async def sees(self, nodes: int) -> None:
        """Wait until this replica knows of so many nodes, its own and others'."""

        async def knows() -> bool:
            return len((await self.reader.read()).nodes) == nodes

        await eventually(knows, f"{nodes} nodes", within=30)

    def having(self, cluster: str) -> set[str]:
        return {name for name, node in self.nodes.items() if cluster in node.clusters}


@asynccontextmanager
async def replica(store: MemoryStore, name: str = "a") -> AsyncIterator[Replica]:
    cache, fleet, holds = Cache(), Fleet(), HoldBook()
    recorder = Recorder(store, KEYSPACE, None, name, pause_seconds=0.01)
    watcher = Watcher(store, KEYSPACE)
    views: Latest[View] = Latest()
    wave_views = WaveViews(store, KEYSPACE, lambda: views.set(watcher.view) if watcher.view else None)
    tracker = PushTracker(fleet)
    publisher = Publisher(
        cache, EdgeSettings(), recorder, tell=tracker.published,
        delivery=Delivery(wave_views, EDGE, tracker.withdrawn),
    )  # fmt: skip

    sidecars = SidecarPublisher(cache, SIDECAR, publisher.state)
    publisher.offered = lambda: sidecars.offer(publisher.state.view) if publisher.state.view else None

    def about() -> dict[str, Any]:
        published = publisher.state.published
        return {"replica": name, "revision": published.revision if published else 0, "nodes": 0}

    keys = FleetKeys.beside(KEYSPACE)
    reporter = FleetReporter(store, keys, fleet, holds, about, pause_seconds=0.01)
    reader = FleetReader(store, keys, fleet, holds, about, lambda: reporter.lease)
    history = PushHistory(store, PushKeys.beside(KEYSPACE), tracker, Feed(), name, pause_seconds=0.01)
    runner = WaveRunner(
        store, KEYSPACE, publisher.state, reader, history, wave_views, name, pause_seconds=0.01
    )
    made = Replica(store, cache, fleet, publisher, runner, reader, history, tracker)
    work = (
        watcher.run(views.set), recorder.run(), publisher.run(views), wave_views.run(), reporter.run(),
        history.run(), runner.run(),
    )  # fmt: skip
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await reporter.close()


async def write(store: MemoryStore, *cells: Cell) -> None:
    await store.commit(Txn(puts=tuple((KEYSPACE.cell(each.id), encode(each)) for each in cells)))


async def document(store: MemoryStore, kind: str, name: str, body: dict[str, Any] | None) -> None:
    done = await apply(store, KEYSPACE, lambda view: plan_document(view, kind, name, body, STAMP))
    assert isinstance(done, Applied), done


async def settings(store: MemoryStore, made: WaveSettings) -> None:
    await document(store, SETTINGS, EDGE, made.body())


async def view_of(store: MemoryStore) -> View:
    return await read_view(store, KEYSPACE)


async def until(done: Callable[[], bool], what: str) -> None:
    async def asked() -> bool:
        return done()

    await eventually(asked, what, within=30)


__all__ = [
    "QUICK",
    "FakeNode",
    "Query",
    "Replica",
    "document",
    "replica",
    "settings",
    "until",
    "view_of",
    "write",
]
