"""What is on record of sidecars: who is there, who is cut off; while an owner leaves, how far each is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cellplane.sidecar_book import SidecarBook
from tests.processes import eventually
from tests.topology.departures import announce, wish
from topology.errors import StoreUnavailable
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.sidecars import Sidecar, SidecarKeys
from topology.store import Txn
from topology.view import View
from xds.hold_book import HoldBook
from xds.nodes import Node
from xds.status import Fleet

KEYS = SidecarKeys.beside(Keyspace())


@dataclass
class Rig:
    store: MemoryStore
    fleet: Fleet
    view: View

    async def read(self, node: str = "pod") -> Sidecar | None:
        listing = await self.store.list(KEYS.of_cell(1))
        return {each.node: each for each in map(KEYS.read, listing.records)}.get(node)

    async def until(self, *, settled: int, connected: bool = True) -> Sidecar:
        async def so() -> Sidecar | None:
            found = await self.read()
            fits = found is not None and (found.settled, found.connected) == (settled, connected)
            return found if fits else None

        found = await eventually(so, f"settled {settled}, connected {connected}")
        assert found is not None
        return found


@asynccontextmanager
async def booking(view: View) -> AsyncIterator[Rig]:
    rig = Rig(MemoryStore(), Fleet(lambda: 1_000_000.0), view)
    book = SidecarBook(rig.store, KEYS, rig.fleet, HoldBook(), lambda: rig.view, "a")
    task = asyncio.ensure_future(book.run())
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_sidecar_is_on_record_from_its_connection_on_and_stays_there_when_it_is_cut_off() -> None:
    async with booking(View()) as rig:
        rig.fleet.opened(Node(id="edge-1"), "edge", "delta")
        stream = rig.fleet.opened(Node(id="pod"), "sidecar/1", "delta")
        found = await rig.until(settled=0)
        assert (found.cell_id, found.replica, found.behind) == (1, "a", False)
        assert found.at.startswith("1970-01-12T13:46:40")
        rig.fleet.closed(stream)
        await rig.until(settled=0, connected=False)
        assert len((await rig.store.list(KEYS.root)).records) == 1, "an edge is no sidecar"


async def test_what_it_acknowledges_is_written_while_an_owner_leaves_its_cell_alone() -> None:
    async with booking(View()) as rig:
        stream = rig.fleet.opened(Node(id="pod"), "sidecar/1", "delta")
        await rig.until(settled=0)
        stream.settled(5)
        other = rig.fleet.opened(Node(id="other"), "sidecar/1", "delta")
        await eventually(lambda: rig.read("other"), "the other one")
        assert (await rig.until(settled=0)).settled == 0
        rig.view = announce(View(), wish(), "ROUTES/acme")
        stream.settled(6)
        await rig.until(settled=6)
        rig.fleet.closed(other)


async def test_another_replica_that_has_it_by_now_is_not_overwritten() -> None:
    async with booking(View()) as rig:
        stream = rig.fleet.opened(Node(id="pod"), "sidecar/1", "delta")
        found = await rig.until(settled=0)
        key = KEYS.sidecar(1, "pod")
        (record,) = (await rig.store.list(KEYS.root)).records
        await rig.store.commit(Txn(puts=((key, record.value.replace(b'"a"', b'"b"')),)))
        rig.fleet.closed(stream)
        rig.fleet.opened(Node(id="next"), "sidecar/1", "delta")
        await eventually(lambda: rig.read("next"), "the next one")
        now = await rig.read()
        assert now is not None
        assert (now.connected, now.replica, found.replica) == (True, "b", "a")


async def test_a_store_that_was_away_is_told_afterwards() -> None:
    rig = Rig(MemoryStore(), Fleet(), View())
    rig.store._faults.errors["commit"] = [StoreUnavailable("away")]
    book = SidecarBook(rig.store, KEYS, rig.fleet, HoldBook(), lambda: None, "a")
    task = asyncio.ensure_future(book.run())
    rig.fleet.opened(Node(id="pod"), "sidecar/1", "delta")
    await rig.until(settled=0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
