"""What the publisher wants remembered is written, once, and taken back when it no longer holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cellplane.pushes import EDGE, GOOD, HELD, RELEASED, HeldPush
from cellplane.recorder import Recorder, Wish
from tests.processes import eventually
from topology.apply import apply, read_view
from topology.errors import StoreUnavailable
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.model import Stamp
from topology.planning import plan_document
from topology.saved import load_view
from topology.view import View

KEYSPACE = Keyspace()
PUSH = HeldPush(
    id="0123abcd",
    group=EDGE,
    revision=7,
    reason="too many",
    clusters_before=6,
    clusters_after=2,
    held_at="now",
)


@asynccontextmanager
async def recording(store: MemoryStore, path: Path | None = None) -> AsyncIterator[Recorder]:
    recorder = Recorder(store, KEYSPACE, path, "test", pause_seconds=0.0)
    task = asyncio.ensure_future(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def wish(
    view: View, good: tuple[int, int] | None = (3, 5), held: HeldPush | None = None, save: bool = True
) -> Wish:
    return Wish(group=EDGE, view=view, save=view if save else None, good=good, held=held)


async def documents(store: MemoryStore) -> dict[tuple[str, str], dict[str, object]]:
    view = await read_view(store, KEYSPACE)
    return {key: dict(document.body) for key, document in view.documents.items()}


async def test_the_good_count_is_written_and_not_written_again() -> None:
    store = MemoryStore()
    async with recording(store) as recorder:
        view = await read_view(store, KEYSPACE)
        recorder.wish(wish(view))

        async def written() -> bool:
            return (GOOD, EDGE) in await documents(store)

        await eventually(written, "the good count")
        after = await read_view(store, KEYSPACE)
        recorder.wish(wish(after))
        recorder.wish(wish(after, held=PUSH))

        async def held() -> bool:
            return (HELD, EDGE) in await documents(store)

        await eventually(held, "the held push")
        assert (await read_view(store, KEYSPACE)).revision == after.revision + 1, (
            "only the held push was written"
        )
    assert (await documents(store))[(GOOD, EDGE)]["clusters"] == 3


async def test_a_push_that_is_over_is_taken_back_with_its_release() -> None:
    store = MemoryStore()
    stamp = Stamp(updated_by="ada", updated_at="2026-11-22T10:00:00+00:00", reason="")
    await apply(store, KEYSPACE, lambda view: plan_document(view, HELD, EDGE, PUSH.body(), stamp))
    await apply(store, KEYSPACE, lambda view: plan_document(view, RELEASED, PUSH.id, {}, stamp))
    async with recording(store) as recorder:
        recorder.wish(wish(await read_view(store, KEYSPACE), good=None))

        async def gone() -> bool:
            return not await documents(store)

        await eventually(gone, "both documents' end")


async def test_the_view_is_saved_where_a_folder_is_given(tmp_path: Path) -> None:
    path = tmp_path / "view.json"
    store = MemoryStore()
    async with recording(store, path) as recorder:
        view = await read_view(store, KEYSPACE)
        recorder.wish(wish(view))

        async def saved() -> bool:
            return path.exists()

        await eventually(saved, "the file")
    loaded = load_view(path, KEYSPACE)
    assert isinstance(loaded, View)
    assert (loaded.revision, loaded.stale) == (view.revision, True)


async def test_an_orderly_end_saves_what_is_newest(tmp_path: Path) -> None:
    path = tmp_path / "view.json"
    store = MemoryStore()
    recorder = Recorder(store, KEYSPACE, path, "test")
    await recorder.close()
    assert not path.exists()
    view = await read_view(store, KEYSPACE)
    recorder.wish(wish(view))
    await recorder.close()

    loaded = load_view(path, KEYSPACE)
    assert isinstance(loaded, View)
    assert loaded.revision == view.revision


async def test_what_could_not_be_written_is_written_when_the_store_is_back() -> None:
    store = MemoryStore()
    view = await read_view(store, KEYSPACE)
    store.inject(Faults(errors={"commit": [StoreUnavailable("away")]}))
    async with recording(store) as recorder:
        recorder.wish(wish(view))

        async def written() -> bool:
            return (GOOD, EDGE) in await documents(store)

        await eventually(written, "the good count, at the second try")


async def test_a_folder_that_cannot_be_written_is_named_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    async with recording(store, tmp_path / "missing" / "view.json") as recorder:
        recorder.wish(wish(await read_view(store, KEYSPACE)))

        async def written() -> bool:
            return (GOOD, EDGE) in await documents(store)

        await eventually(written, "the good count all the same")
        assert "No such file" in recorder.save_error
    assert "save_failed" in caplog.text
