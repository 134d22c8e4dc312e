"""Watches on cells: from a revision, in order, with bookmarks, and compaction told as such."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from pb.cellplane.topology.v1 import cells_pb2 as wire
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, drained, failure
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.service import watches
from topology.service.failure import Failure
from topology.service.open_watches import MAX_WATCHES
from topology.service.watches import Watches, changes_between
from topology.store import Batch, Txn
from topology.view import View, from_listing


class Watch:
    """A watch, read in order."""

    def __init__(self, client: Client, after: int = 0) -> None:
        self.call: Any = client.cells.Watch(wire.WatchCellsRequest(after_revision=after), timeout=10)

    async def read(self) -> wire.WatchCellsResponse:
        answer = await self.call.read()
        assert isinstance(answer, wire.WatchCellsResponse)
        return answer


def short(answer: wire.WatchCellsResponse) -> tuple[list[int], list[int]]:
    return [each.id for each in answer.upserted], list(answer.removed)


async def test_it_begins_with_all_cells_and_goes_on_with_changes(stage: Stage, client: Client) -> None:
    watch = Watch(client)
    first = await watch.read()
    assert first.complete
    assert short(first) == ([1, 2, 3], [])
    bookmark = await watch.read()
    assert (bookmark.revision, short(bookmark), bookmark.complete) == (first.revision, ([], []), False)
    revision = await stage.put(cell(4), cell(5))
    both = await watch.read()
    assert (both.revision, short(both)) == (revision, ([4, 5], []))
    assert both.upserted[0].revision == revision
    await client.cells.DeleteCells(wire.DeleteCellsRequest(ids=[3]))
    assert short(await watch.read()) == ([], [3])


async def test_it_resumes_right_after_a_revision(stage: Stage, client: Client) -> None:
    first = await stage.put(cell(4))
    second = await stage.put(cell(5))
    watch = Watch(client, first)
    bookmark = await watch.read()
    assert (bookmark.revision, short(bookmark)) == (first, ([], []))
    answer = await watch.read()
    assert (answer.revision, short(answer), answer.complete) == (second, ([5], []), False)


async def test_what_is_no_cell_comes_as_a_bookmark(stage: Stage, client: Client) -> None:
    watch = Watch(client)
    await watch.read()
    await watch.read()
    await stage.store.commit(Txn(puts=(("/service/cells/x", b""),)))
    answer = await watch.read()
    assert short(answer) == ([], [])
    assert answer.revision == (await stage.store.list("/service/")).revision


async def test_a_revision_below_nought_is_refused(client: Client) -> None:
    ended = await failure(Watch(client, -1).read())
    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "after_revision: -1" in ended.words


async def test_lost_history_is_told_as_such(stage: Stage, client: Client) -> None:
    old = await stage.put(cell(4))
    await stage.put(cell(5))
    assert isinstance(stage.store, MemoryStore)
    stage.store.compact()
    ended = await failure(drained(Watch(client, 1).call))
    assert (ended.code, ended.info.reason) == (grpc.StatusCode.OUT_OF_RANGE, "COMPACTED")
    kept = Watch(client, old)  # this replica still has it
    assert short(await kept.read()) == ([], [])
    assert short(await kept.read()) == ([5], [])
    future = await failure(drained(Watch(client, old + 10_000).call))
    assert (future.code, future.info.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN")


async def test_who_comes_from_further_back_is_told_by_the_store_until_it_has_caught_up(
    stage: Stage, client: Client
) -> None:
    first = await stage.put(cell(4))
    second = await stage.put(cell(5))
    late = Watches(stage.store, stage.keyspace)
    late.listed(from_listing(await stage.store.list("/service/"), stage.keyspace))
    assert stage.watcher.view is not None
    answers = late.follow(first)
    seen = [wire.WatchCellsResponse.FromString(await anext(answers)) for _ in range(3)]
    assert [(each.revision, short(each)) for each in seen] == [
        (first, ([], [])),
        (second, ([5], [])),
        (second, ([], [])),  # from here on with all the others
    ]
    before, third = stage.watcher.view, await stage.put(cell(6))
    late.moved(before, stage.watcher.view, Batch(third))
    answer = wire.WatchCellsResponse.FromString(await anext(answers))
    assert (answer.revision, short(answer)) == (third, ([6], []))
    late.end()


async def test_a_broken_store_ends_it_with_try_again(stage: Stage, client: Client) -> None:
    watch = Watch(client)
    await watch.read()
    await watch.read()
    await stage.store.close()
    ended = await failure(drained(watch.call))
    assert (ended.code, ended.info.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


async def test_a_watcher_that_leaves_is_forgotten(stage: Stage, client: Client) -> None:
    watch = Watch(client)
    await watch.read()
    assert len(stage.server.cells.watches) == 1
    watch.call.cancel()
    async with asyncio.timeout(5):
        while len(stage.server.cells.watches):
            await asyncio.sleep(0.002)


async def test_there_are_only_so_many(stage: Stage, client: Client) -> None:
    stage.server.cells.watches = Watches(stage.store, Keyspace("/service"), most=1)
    watch = Watch(client)
    await watch.read()
    ended = await failure(drained(Watch(client).call))
    assert (ended.code, ended.info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES")
    assert MAX_WATCHES == 1000


def test_differences_go_by_identity_and_revision() -> None:
    one, two = cell(1), cell(2)
    key = "/cellplane/v1/cells/1"
    before = View(revision=5, cells={1: one, 2: two}, mod_revisions={key: 3})
    assert short(
        changes_between(before, View(revision=6, cells={1: one, 2: two}, mod_revisions={key: 3}))
    ) == (
        [],
        [],
    )
    rewritten = View(revision=6, cells={1: one}, mod_revisions={key: 6})
    assert short(changes_between(before, rewritten)) == ([1], [2])
    assert changes_between(before, rewritten).revision == 6


async def test_a_watch_that_is_being_written_when_the_server_ends_is_told_too(stage: Stage) -> None:
    """It ends between two changes, wherever the watcher is: before the first, or in the middle."""
    for read in range(4):
        watches = Watches(stage.store, stage.keyspace)
        answers = watches.follow(0)
        for _ in range(min(read, 2)):
            await anext(answers)
        if read == 3:
            await stage.put(cell(9, weight=read))
            await anext(answers)
        watches.end()
        watches.end()
        with pytest.raises(Failure, match="going away"):
            async for _ in answers:
                pass
        assert len(watches) == 0


async def test_a_step_is_worked_out_once_for_all_that_are_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def counted(before: View, after: View) -> wire.WatchCellsResponse:
        told.append(after.revision)
        return changes_between(before, after)

    monkeypatch.setattr(watches, "changes_between", counted)
    calls: list[Any] = [stage.client().cells.Watch(wire.WatchCellsRequest()) for _ in range(3)]
    for call in calls:
        assert (await call.read()).complete
    await stage.put(cell(1, weight=7))
    for call in calls:
        while not (answer := await call.read()).upserted:
            pass
        assert [each.weight for each in answer.upserted] == [7]
        call.cancel()
    assert len(told) == 1
