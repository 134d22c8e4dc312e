"""What a replica tells of its Envoys: all of them, only what changed, and nothing once it is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cellplane.fleet_record import decode_part
from cellplane.fleet_reporter import FleetReporter
from cellplane.operation_keys import FleetKeys
from tests.cellplane.fleets import synced
from tests.processes import eventually
from topology.errors import StoreUnavailable
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.store import Txn
from xds.hold_book import HoldBook
from xds.status import Fleet

KEYS = FleetKeys.beside(Keyspace())


class Counting(MemoryStore):
    """Counts transactions and keeps the largest."""

    def __init__(self) -> None:
        super().__init__()
        self.txns: list[Txn] = []

    async def commit(self, txn: Txn) -> Any:
        self.txns.append(txn)
        return await super().commit(txn)


def reporter(store: MemoryStore, fleet: Fleet, about: dict[str, Any] | None = None) -> FleetReporter:
    said = about or {"replica": "a", "revision": 7, "nodes": 0}
    return FleetReporter(store, KEYS, fleet, HoldBook(), lambda: said, pause_seconds=0.01)


@asynccontextmanager
async def running(made: FleetReporter) -> AsyncIterator[FleetReporter]:
    task = asyncio.ensure_future(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(store: MemoryStore) -> dict[str, dict[str, Any]]:
    """Give the nodes on record by their names."""
    records = (await store.list(KEYS.root)).records
    parts = [decode_part(each.value) for each in records if "/nodes/" in each.key]
    return {str(body["id"]): dict(body) for part in parts for body in part}


async def until_told(store: MemoryStore, *names: str) -> None:
    async def is_told() -> bool:
        return set(await told(store)) == set(names)

    await eventually(is_told, f"{names} on record")


async def test_it_tells_of_all_nodes_and_of_itself_and_then_is_silent() -> None:
    store, fleet = Counting(), Fleet()
    for name in ("one", "two"):
        synced(fleet, name)
    async with running(reporter(store, fleet)):
        await until_told(store, "one", "two")
        about = next(each for each in (await store.list(KEYS.root)).records if each.key.endswith("/about"))
        said = json.loads(about.value)
        assert (said["replica"], said["revision"]) == ("a", 7)
        assert said["written_at"] > 0
        written = len(store.txns)
        synced(fleet, "three")
        await until_told(store, "one", "two", "three")
        assert len(store.txns) == written + 1, "nothing was written while nothing changed"


async def test_only_the_part_of_who_changed_is_written_again() -> None:
    store, fleet = Counting(), Fleet()
    streams = [synced(fleet, f"edge-{number}") for number in range(500)]
    async with running(reporter(store, fleet)):
        await until_told(store, *(f"edge-{number}" for number in range(500)))
        before = len(store.txns)
        streams[7].settled(8)

        async def newer() -> bool:
            return bool((await told(store))["edge-7"]["settled_revision"] == 8)

        await eventually(newer, "the newer revision")
        assert [len(txn.puts) for txn in store.txns[before:]] == [1], "of four parts"


async def test_it_writes_once_in_a_pause_however_much_happens() -> None:
    store, fleet = Counting(), Fleet()
    streams = [synced(fleet, f"edge-{number}") for number in range(300)]
    made = FleetReporter(store, KEYS, fleet, HoldBook(), lambda: {"replica": "a"}, pause_seconds=0.1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with running(made):
        for revision in range(8, 60):
            for stream in streams:
                stream.settled(revision)
            await asyncio.sleep(0.005)
        assert 1 < len(store.txns) <= (loop.time() - began) / 0.1 + 1
    assert all(len(txn.puts) <= 4 for txn in store.txns), "and few keys"


async def test_who_goes_is_gone_from_the_record_too() -> None:
    store, fleet = MemoryStore(), Fleet()
    stream = synced(fleet, "one")
    synced(fleet, "two")
    async with running(reporter(store, fleet)):
        await until_told(store, "one", "two")
        fleet.closed(stream)
        await until_told(store, "two")


async def test_an_end_in_order_takes_everything_back() -> None:
    store, fleet = MemoryStore(), Fleet()
    synced(fleet, "one")
    async with running(reporter(store, fleet)) as made:
        await until_told(store, "one")
    await made.close()
    await made.close()
    assert (await store.list(KEYS.root)).records == ()


async def test_a_lease_that_ran_out_is_followed_by_another_and_all_is_told_anew() -> None:
    store, fleet = MemoryStore(), Fleet()
    synced(fleet, "one")
    async with running(reporter(store, fleet)) as made:
        await until_told(store, "one")
        await store.revoke(made.lease)
        synced(fleet, "two")
        await until_told(store, "one", "two")


async def test_a_store_that_is_away_is_told_as_soon_as_it_is_back() -> None:
    store, fleet = MemoryStore(), Fleet()
    synced(fleet, "one")
    store.inject(Faults(unreachable=True))
    async with running(reporter(store, fleet)) as made:

        async def complains() -> bool:
            return "can't be reached" in made.problem

        await eventually(complains, "the problem")
        store.inject(Faults(errors={"commit": [StoreUnavailable("once more")]}))
        await until_told(store, "one")

        async def content() -> bool:
            return made.problem == ""

        await eventually(content, "the problem's end")
