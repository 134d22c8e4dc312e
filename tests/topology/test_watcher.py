from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.topology.samples import cell
from topology.apply import apply
from topology.codec import encode
from topology.errors import Compacted, StoreRefused, StoreUnavailable, Torn
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.model import Cell, CellState
from topology.planning import plan_add
from topology.store import Txn
from topology.view import View
from topology.watcher import Backoff, Watcher

SPACE = Keyspace()


class Followed:
    """A watcher that runs, what it published, and how long it slept; time passes only by sleeping."""

    def __init__(self, store: MemoryStore, initial: View | None = None) -> None:
        self.views: list[View] = []
        self.slept: list[float] = []
        self.now = 1000.0
        self.may_wake = asyncio.Event()
        self.may_wake.set()
        self._stirred = asyncio.Condition()
        self.watcher = Watcher(
            store,
            SPACE,
            initial=initial,
            backoff=Backoff(first_seconds=1, most_seconds=8),
            clock=lambda: self.now,
            sleep=self.sleep,
            chance=lambda: 0.5,
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
        await self.may_wake.wait()

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not wanted():
                await asyncio.sleep(0.001)

    async def reaches(self, revision: int) -> View:
        await self.until(lambda: bool(self.views) and self.views[-1].revision >= revision)
        return self.views[-1]

    async def connects(self) -> None:
        await self.until(lambda: self.watcher.state.connected)


@asynccontextmanager
async def following(store: MemoryStore, initial: View | None = None) -> AsyncIterator[Followed]:
    followed = Followed(store, initial)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(followed.watcher.run(followed.views.append))
        yield followed
        task.cancel()


async def write(store: MemoryStore, *cells: Cell) -> int:
    await store.commit(Txn(puts=tuple((SPACE.cell(each.id), encode(each)) for each in cells)))
    return store.revision


async def test_it_lists_and_then_follows() -> None:
    store = MemoryStore()
    first = await write(store, cell(1))
    async with following(store) as followed:
        await followed.connects()
        assert [view.revision for view in followed.views] == [first]
        assert not followed.views[0].stale
        await write(store, cell(2))
        last = await write(store, cell(1, weight=3))
        view = await followed.reaches(last)
        assert view.cells == {1: cell(1, weight=3), 2: cell(2)}
        assert [each.revision for each in followed.views] == [first, first + 1, last]
        assert followed.watcher.view is view
        state = followed.watcher.state
        assert (state.connected, state.revision, state.listings, state.relists, state.failures) == (
            True,
            last,
            1,
            0,
            0,
        )
        assert (state.heard_at, state.last_error, state.last_error_at) == (1000.0, "", None)


async def test_bookmarks_move_it_without_a_word() -> None:
    store = MemoryStore()
    await write(store, cell(1))
    async with following(store) as followed:
        await followed.connects()
        elsewhere = (await store.commit(Txn(puts=(("/elsewhere", b""),))), store.revision)[1]
        store.bookmark()
        await followed.until(lambda: followed.watcher.state.revision == elsewhere)
        assert followed.watcher.view is not None
        assert followed.watcher.view.revision == elsewhere
        assert len(followed.views) == 1


async def test_a_broken_watch_goes_on_where_it_was() -> None:
    store = MemoryStore()
    await write(store, cell(1))
    async with following(store) as followed:
        await followed.connects()
        store.inject(Faults(errors={"watch": [StoreUnavailable("cut")]}))
        await followed.until(lambda: followed.watcher.state.resumes == 1)
        last = await write(store, cell(2))
        view = await followed.reaches(last)
        assert list(view.cells) == [1, 2]
        state = followed.watcher.state
        assert (state.connected, state.listings, state.relists, state.failures) == (True, 1, 0, 1)
        assert (state.last_error, state.last_error_at) == ("cut", 1000.0)


async def test_changes_made_meanwhile_come_all_and_once() -> None:
    store = MemoryStore()
    first = await write(store, cell(1))
    async with following(store) as followed:
        await followed.connects()
        followed.may_wake.clear()
        store.inject(Faults(unreachable=True))
        await followed.until(lambda: not followed.watcher.state.connected)
        store.inject(Faults())
        for number in range(5):
            await write(store, cell(1, weight=number))
        last = store.revision
        followed.may_wake.set()
        await followed.reaches(last)
        assert [view.revision for view in followed.views] == list(range(first, last + 1))


async def test_it_backs_off_and_forgets_that_when_it_is_back() -> None:
    store = MemoryStore()
    store.inject(Faults(unreachable=True))
    async with following(store) as followed:
        await followed.until(lambda: len(followed.slept) >= 6)
        assert followed.slept[:6] == [0.75, 1.5, 3.0, 6.0, 6.0, 6.0]
        assert followed.views == []
        assert followed.watcher.view is None
        store.inject(Faults())
        await followed.connects()
        failures = len(followed.slept)
        store.inject(Faults(errors={"watch": [StoreUnavailable("cut")]}))
        await followed.until(lambda: len(followed.slept) > failures)
        assert followed.slept[-1] == 0.75


@pytest.mark.parametrize(
    ("failures", "chance", "seconds"), [(1, 0, 0.5), (1, 1, 1), (3, 1, 4), (4, 0, 4), (5000, 1, 8)]
)
def test_how_long_a_wait_is(failures: int, chance: float, seconds: float) -> None:
    assert Backoff(first_seconds=1, most_seconds=8).seconds(failures, chance) == seconds


@pytest.mark.parametrize("error", [Compacted(5), Torn(5)])
async def test_what_cannot_go_on_is_listed_again(error: Exception) -> None:
    store = MemoryStore()
    await write(store, cell(1), cell(2))
    async with following(store) as followed:
        await followed.connects()
        kept = followed.views[-1].cells[1]
        store.inject(Faults(errors={"watch": [error]}))  # type: ignore[list-item]
        await followed.until(lambda: followed.watcher.state.relists == 1 and followed.watcher.state.connected)
        assert followed.views[-1].cells[1] is kept
        assert str(error) in followed.watcher.state.last_error


async def test_a_paused_watcher_that_was_compacted_away_lists_again_and_misses_nothing() -> None:
    store = MemoryStore()
    await write(store, cell(1), cell(2))
    async with following(store) as followed:
        await followed.connects()
        kept = followed.views[-1].cells[2]
        followed.may_wake.clear()
        store.inject(Faults(unreachable=True))
        await followed.until(lambda: not followed.watcher.state.connected)
        store.inject(Faults())
        await write(store, cell(1, weight=3), cell(3))
        await store.commit(Txn(deletes=(SPACE.cell(3),)))
        last = await write(store, cell(4))
        store.compact()
        followed.may_wake.set()
        view = await followed.reaches(last)
        assert view.cells == {1: cell(1, weight=3), 2: cell(2), 4: cell(4)}
        assert view.cells[2] is kept
        assert followed.watcher.state.relists == 1


async def test_a_restored_backup_is_believed() -> None:
    store, backup = MemoryStore(start_revision=900), MemoryStore(start_revision=10)
    await write(store, cell(1), cell(2))
    await write(backup, cell(1))
    async with following(store) as followed:
        await followed.connects()
        kept = followed.views[-1].cells[1]
        store.become(backup)
        await followed.until(lambda: followed.views[-1].revision == 11)
        assert followed.views[-1].cells == {1: cell(1)}
        assert followed.views[-1].cells[1] is kept


async def test_a_refusal_is_shown_and_tried_again() -> None:
    store = MemoryStore()
    store.inject(Faults(errors={"list": [StoreRefused("permission denied")]}))
    async with following(store) as followed:
        await followed.connects()
        assert followed.watcher.state.last_error == "permission denied"
        assert followed.slept == [0.75]


async def test_a_change_for_better_or_worse_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="topology.watcher")
    store = MemoryStore(start_revision=50)
    async with following(store) as followed:
        await followed.connects()
        store.inject(Faults(unreachable=True))
        await followed.until(lambda: followed.watcher.state.failures >= 4)
        failures = followed.watcher.state.failures
        store.inject(Faults())
        await followed.connects()
    assert [record.getMessage() for record in caplog.records] == [
        "watch_stands revision=50 failures=0",
        "watch_broken revision=50 error=the store can't be reached",
        f"watch_stands revision=50 failures={failures}",
    ]


async def test_it_starts_from_a_saved_view() -> None:
    store = MemoryStore()
    at = await write(store, cell(1), cell(2, weight=9))
    saved = View(
        cells={1: cell(1), 2: cell(2)}, revision=at - 1, stale=True, mod_revisions={SPACE.cell(1): at - 1}
    )
    async with following(store, saved) as followed:
        assert followed.watcher.view is saved
        view = await followed.reaches(at)
        assert view.cells == {1: cell(1), 2: cell(2, weight=9)}
        assert view.cells[1] is saved.cells[1]
        assert not view.stale


async def test_garbage_is_counted_and_the_rest_goes_on() -> None:
    store = MemoryStore()
    await write(store, cell(1))
    async with following(store) as followed:
        await followed.connects()
        await store.commit(Txn(puts=((SPACE.cell(1), b"garbage"), ("/cellplane/v1/what", b"?"))))
        last = await write(store, cell(2))
        view = await followed.reaches(last)
        assert list(view.cells) == [1, 2]
        assert followed.watcher.state.quarantined == 2


async def test_what_planning_writes_arrives() -> None:
    store = MemoryStore()
    async with following(store) as followed:
        await followed.connects()
        new = cell(7, CellState.PROVISIONING)
        await apply(store, SPACE, lambda view: plan_add(view, new))
        assert (await followed.reaches(store.revision)).cells == {7: new}


async def test_an_error_of_whoever_takes_the_views_is_not_swallowed() -> None:
    def broken(_: View) -> None:
        raise RuntimeError("cannot translate")

    with pytest.raises(RuntimeError, match="cannot translate"):
        await Watcher(MemoryStore(), SPACE).run(broken)


async def test_a_watch_that_just_ends_is_a_failure() -> None:
    class Forgetful(MemoryStore):
        async def watch(self, prefix: str, after: int):  # type: ignore[no-untyped-def]
            if self.revision < 0:
                yield

    async with following(Forgetful()) as followed:
        await followed.until(lambda: len(followed.slept) >= 2)
        assert followed.watcher.state.last_error == "the watch ended"


async def test_other_keyspaces_are_not_followed() -> None:
    store = MemoryStore()
    async with following(store) as followed:
        await followed.connects()
        await store.commit(Txn(puts=(("/cellplane/v10/cells/1", encode(cell(1))),)))
        last = await write(store, cell(2))
        assert list((await followed.reaches(last)).cells) == [2]
        assert replace(followed.views[-1], revision=0).quarantined == {}
