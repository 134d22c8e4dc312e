"""The history: each push once, however many replicas there are, with what all of them saw; not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cellplane import push_history
from cellplane.feed import Feed
from cellplane.operation_keys import PushKeys
from cellplane.push_history import PushHistory, surplus
from cellplane.push_record import Push
from cellplane.push_tracker import Pushed, PushTracker
from tests.cellplane.fleets import synced
from tests.cellplane.pushing import pushed, view_of
from tests.cellplane.views import cell
from tests.processes import eventually
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.model import CellState
from topology.store import Txn
from xds.status import Fleet, StreamStatus

KEYS = PushKeys.beside(Keyspace())
FIRST = view_of(10, cell(1), cell(2))
SECOND = view_of(11, cell(1), replace(cell(2), weight=0), before=FIRST)
THIRD = view_of(12, cell(1), replace(cell(2), weight=50), before=SECOND)


@dataclass
class Replica:
    """A replica with one Envoy, which took the time on its clock."""

    fleet: Fleet
    tracker: PushTracker
    history: PushHistory
    stream: StreamStatus
    now: list[float] = field(default_factory=lambda: [100.0])

    def push(self, push: Pushed, after_ms: float | None = 10) -> None:
        self.tracker.published(push)
        if after_ms is not None:
            self.now[0] = push.arrived_at + after_ms / 1000
            self.stream.settled(push.new.revision)

    def told(self) -> list[tuple[str, int]]:
        return [(push.body["lines"][0], push.outcome["nodes"]) for push in self.history.pushes()]

    async def until(self, *told: tuple[str, int]) -> None:
        async def says() -> bool:
            return self.told() == list(told)

        await eventually(says, f"{told}")


@asynccontextmanager
async def replica(store: MemoryStore, name: str, feed: Feed | None = None) -> AsyncIterator[Replica]:
    fleet, now = Fleet(), [100.0]
    tracker = PushTracker(fleet, lambda: now[0])
    history = PushHistory(
        store, KEYS, tracker, feed or Feed(), name, pause_seconds=0.01, wall_clock=lambda: 1_800_000_000.0
    )
    task = asyncio.ensure_future(history.run())
    try:
        yield Replica(fleet, tracker, history, synced(fleet, f"edge-{name}", 10), now)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


STARTED = ("start: a first push, of 2 cells", 1)
WEIGHT = "cell 2: weight: 100 → 0"


async def test_two_replicas_write_one_record_and_add_up_what_they_saw() -> None:
    store = MemoryStore()
    async with replica(store, "a") as a, replica(store, "b") as b:
        for each, after_ms in ((a, 10), (b, 40)):
            each.push(pushed(None, FIRST), after_ms)
            each.push(pushed(FIRST, SECOND), after_ms)
        for each in (a, b):
            await each.until((STARTED[0], 2), (WEIGHT, 2))
        newest = a.history.find("last")[0]
        assert (newest.outcome["first_ms"], newest.outcome["last_ms"]) == (10.0, 40.0)
        assert b.history.find(newest.id[:5]) == [newest]
    keys = [record.key for record in (await store.list(KEYS.root)).records]
    assert len([key for key in keys if "/records/" in key]) == 2
    assert len([key for key in keys if "/acks/" in key]) == 4


async def test_what_one_takes_in_two_steps_and_another_in_one_is_the_same_push_at_the_end() -> None:
    store = MemoryStore()
    async with replica(store, "a") as a, replica(store, "b") as b:
        a.push(pushed(FIRST, SECOND))
        a.push(pushed(SECOND, THIRD))
        await a.until((WEIGHT, 1), ("cell 2: weight: 0 → 50", 1))
        b.push(pushed(FIRST, THIRD))
        await b.until((WEIGHT, 1), ("cell 2: weight: 0 → 50", 2))


async def test_a_replica_that_starts_joins_the_push_that_stands() -> None:
    store = MemoryStore()
    async with replica(store, "a") as a:
        a.push(pushed(None, FIRST))
        a.push(pushed(FIRST, SECOND))
        await a.until(STARTED, (WEIGHT, 1))
    # Meanwhile something was written that Envoys are not told of.
    later = view_of(15, cell(1), replace(cell(2), weight=0, capacity=9), before=SECOND)
    async with replica(store, "b") as b:
        b.push(pushed(None, later))
        await b.until(STARTED, (WEIGHT, 2))
        assert b.history.causes.total() == 0


async def test_the_push_that_a_version_belongs_to() -> None:
    store = MemoryStore()
    async with replica(store, "a") as a:
        a.push(pushed(FIRST, SECOND))
        a.push(pushed(SECOND, replace(THIRD, revision=20)))
        await a.until((WEIGHT, 1), ("cell 2: weight: 0 → 50", 1))
        found = [a.history.at_revision(revision) for revision in (10, 11, 12, 20)]
        assert [push and push.revision for push in found] == [None, 11, 12, 12]
        assert a.history.causes == {("edge", "cells"): 2}


async def test_a_store_that_is_away_gets_them_later() -> None:
    store = MemoryStore()
    async with replica(store, "a") as a:
        await a.history.followed.listed.wait()
        store.inject(Faults(unreachable=True))
        a.push(pushed(FIRST, SECOND))

        async def complains() -> bool:
            return "can't be reached" in a.history.problem

        await eventually(complains, "the problem")
        store.inject(Faults())
        await a.until((WEIGHT, 1))

        async def content() -> bool:
            return a.history.problem == ""

        await eventually(content, "the problem's end")


async def test_the_feed_tells_of_a_push_and_of_what_became_of_it() -> None:
    feed = Feed()
    events = feed.events()
    first = asyncio.ensure_future(anext(events))
    async with replica(MemoryStore(), "a", feed) as a:
        a.push(pushed(FIRST, SECOND))
        event = await first
        assert event is not None
        assert (event.kind, event.body["lines"][0]) == ("push", WEIGHT)
        assert "records" not in event.body
        event = await anext(events)
        assert event is not None
        assert (event.kind, event.body["outcome"]["nodes"]) == ("outcome", 1)
    await events.aclose()


async def test_what_nobody_can_read_is_passed_over() -> None:
    store = MemoryStore()
    await store.commit(
        Txn(puts=((KEYS.record("odd"), b"{"), (KEYS.acks("odd", "a"), b"[]"), (f"{KEYS.root}x", b"")))
    )
    async with replica(store, "a") as a:
        a.push(pushed(FIRST, SECOND))
        await a.until((WEIGHT, 1))


async def test_what_is_too_much_goes_from_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_history, "KEPT", 1)
    store = MemoryStore()
    async with replica(store, "a") as a:
        a.push(pushed(FIRST, SECOND))
        await a.until((WEIGHT, 1))
        a.push(pushed(SECOND, THIRD))
        await a.until(("cell 2: weight: 0 → 50", 1))

        async def pruned() -> bool:
            return len((await store.list(KEYS.root)).records) == 2

        await eventually(pruned, "one push and its times")


async def test_a_drain_by_steps_is_a_push_a_step() -> None:
    store = MemoryStore()
    draining = view_of(10, cell(1), cell(2, CellState.DRAINING))
    async with replica(store, "a") as a:
        a.push(replace(pushed(FIRST, SECOND), before=draining, after=draining))
        await a.until(("drain: another step of cell 2", 1))
        assert a.history.pushes()[0].is_minor


def kept(number: int, at: float = 1000.0, causes: tuple[str, ...] = ("cells",)) -> Push:
    body: dict[str, Any] = {"id": f"{number:08x}", "revision": number, "at": at, "causes": list(causes)}
    return Push(body=body, acks={})


def test_what_is_not_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("KEPT", 3), ("KEPT_MINOR", 1), ("KEPT_SECONDS", 100), ("KEPT_BYTES", 1000)):
        monkeypatch.setattr(push_history, name, value)
    five = [kept(number) for number in range(1, 6)]
    assert [push.revision for push in surplus(five, {}, 1000)] == [2, 1]
    assert [push.revision for push in surplus([kept(1, at=0), *five[3:]], {}, 1000)] == [1]
    minor = [kept(number, causes=("claims",)) for number in range(1, 4)]
    assert [push.revision for push in surplus([*minor, *five[3:]], {}, 1000)] == [2, 1]
    sizes = {push.name: 400 for push in five}
    assert [push.revision for push in surplus(five[:3], sizes, 1000)] == [1]
