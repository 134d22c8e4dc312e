"""Cells as they are known, as the store has them, and as they were."""

from __future__ import annotations

import asyncio

import grpc

from pb.cellplane.topology.v1 import cells_pb2 as wire
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, failure
from topology.memory import Faults, MemoryStore
from topology.store import Txn


def listing(
    client: Client, revision: int = 0, *, fresh: bool = False
) -> asyncio.Future[wire.ListCellsResponse]:
    request = wire.ListCellsRequest(revision=revision, fresh=fresh)
    return client.cells.ListCells(request)  # type: ignore[return-value]


async def test_the_past_is_told_while_the_store_has_it(stage: Stage, client: Client) -> None:
    before = await listing(client)
    await stage.put(cell(2, session_prefix="two", weight=7))
    now = await listing(client)
    assert [each.weight for each in now.cells] == [100, 7, 100]
    assert await listing(client, before.revision) == before
    assert await listing(client, now.revision) == now
    unborn = await failure(listing(client, now.revision + 1000))
    assert (unborn.code, unborn.info.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN")
    assert isinstance(stage.store, MemoryStore)
    stage.store.compact()
    gone = await failure(listing(client, before.revision))
    assert (gone.code, gone.info.reason) == (grpc.StatusCode.OUT_OF_RANGE, "COMPACTED")
    assert gone.words == f"revision {before.revision} is no longer in the store: it was compacted"


async def test_what_is_asked_for_must_make_sense(client: Client) -> None:
    for revision, fresh in ((-1, False), (1, True)):
        odd = await failure(listing(client, revision, fresh=fresh))
        assert odd.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_fresh_is_what_the_store_has_and_memory_is_stale_without_it(
    stage: Stage, client: Client
) -> None:
    assert not (await listing(client)).stale
    await stage.put(cell(2, session_prefix="two", weight=7))
    assert (await listing(client, fresh=True)).cells[1].weight == 7
    assert (await client.cells.GetCell(wire.GetCellRequest(id=2, fresh=True))).cell.weight == 7
    assert isinstance(stage.store, MemoryStore)
    stage.store.inject(Faults(unreachable=True))
    async with asyncio.timeout(5):
        while not (await listing(client)).stale:
            await asyncio.sleep(0.002)
    refused = await failure(listing(client, fresh=True))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


async def test_records_that_are_kept_out_are_named(stage: Stage, client: Client) -> None:
    await stage.store.commit(Txn(puts=(("/service/cells/9", b"{"), ("/service/nonsense", b"?"))))
    found = await listing(client, fresh=True)
    assert [(each.key, each.kind) for each in found.kept_out] == [
        ("/service/cells/9", "undecodable"),
        ("/service/nonsense", "unknown_key"),
    ]
    assert found.kept_out[0].raw == b"{"
    unreadable = await failure(client.cells.GetCell(wire.GetCellRequest(id=9, fresh=True)))
    assert (unreadable.code, unreadable.info.reason) == (grpc.StatusCode.NOT_FOUND, "CELL_UNREADABLE")
