"""The history that watchers are told from: joined anywhere, bounded, cut off as it has to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc
import pytest

from topology.errors import Compacted, StoreUnavailable
from topology.service import history
from topology.service.failure import Failure
from topology.service.history import History
from topology.service.open_watches import OpenWatches


def made(*changes: int, listed: int = 10) -> History:
    found = History(lambda at: b"-%d" % at)
    found.listed(listed)
    for at in changes:
        change(found, at)
    return found


def change(told: History, at: int, weight: int = 1) -> None:
    told.add(at, weight, lambda: (b"a%d" % at, b"b%d" % at))


async def some(answers: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await anext(answers) for _ in range(count)]


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (10, [b"-10", b"a11", b"b11", b"a15", b"b15", b"a16"]),
        (11, [b"-11", b"a15", b"b15", b"a16", b"b16"]),
        (13, [b"-13", b"a15", b"b15", b"a16"]),
        (16, [b"-16"]),
    ],
)
async def test_it_is_joined_at_any_revision_that_it_covers(after: int, told: list[bytes]) -> None:
    found = made(11, 15, 16)
    assert found.covers(after)
    assert await some(found.follow(after, OpenWatches()), len(told)) == told


async def test_only_what_is_kept_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_STEPS", 2)
    found = made(11, 12, 13)
    assert [found.covers(at) for at in (10, 11, 12, 13, 14)] == [False, True, True, True, False]
    monkeypatch.setattr(history, "MAX_WEIGHT", 5)
    change(found, 14, weight=5)
    assert [found.covers(at) for at in (12, 13, 14)] == [False, True, True]
    assert not History(lambda _: b"").covers(0)


async def test_who_took_long_to_read_the_first_listing_is_cut_off_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "MAX_STEPS", 2)
    found = made(11)
    slow, listed = found.follow(11, OpenWatches()), found.follow(11, OpenWatches())
    for at in (12, 13, 14):
        change(found, at)
    with pytest.raises(Failure, match="watch again after 11"):
        await anext(slow)
    found.broke(StoreUnavailable("away"))
    found.listed(20)
    with pytest.raises(Failure, match="watch again after 11"):
        await anext(listed)
    gone = found.follow(20, OpenWatches())
    found.broke(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await anext(gone)


async def test_who_waits_is_told_of_changes_and_bookmarks_as_they_come() -> None:
    found = made(11)
    answers = found.follow(11, OpenWatches())
    assert await anext(answers) == b"-11"
    steps: list[tuple[Callable[[], None], list[bytes]]] = [
        (lambda: change(found, 12), [b"a12", b"b12"]),
        (lambda: found.reached(17), [b"-17"]),
        (lambda: change(found, 18), [b"a18", b"b18"]),
    ]
    for tell, told in steps:
        waiting = asyncio.ensure_future(some(answers, len(told)))
        await asyncio.sleep(0)
        assert not waiting.done()
        tell()
        assert await waiting == told


async def test_a_change_is_spelled_once_for_all_and_only_for_somebody() -> None:
    found, spelled = made(), 0

    def spell() -> tuple[bytes]:
        nonlocal spelled
        spelled += 1
        return (b"x",)

    found.add(11, 1, spell)
    assert spelled == 0
    for _ in range(3):
        assert await some(found.follow(10, OpenWatches()), 2) == [b"-10", b"x"]
    assert spelled == 1


async def test_who_falls_behind_all_that_is_kept_is_cut_off_and_told_from_where_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "MAX_STEPS", 2)
    found = made(11)
    slow = found.follow(10, OpenWatches())
    assert await some(slow, 3) == [b"-10", b"a11", b"b11"]
    for at in (12, 13, 14):
        change(found, at)
    with pytest.raises(Failure, match="watch again after 11") as cut:
        await anext(slow)
    assert (cut.value.code, cut.value.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_SLOW")


async def test_what_breaks_cuts_off_who_watches_and_who_comes_back_goes_on() -> None:
    found = made(11)
    answers = found.follow(11, OpenWatches())
    await anext(answers)
    found.broke(StoreUnavailable("away"))
    assert not found.covers(11)
    with pytest.raises(StoreUnavailable, match="away"):
        await anext(answers)
    found.reached(11)
    change(found, 12)
    assert await some(found.follow(11, OpenWatches()), 2) == [b"-11", b"a12"]


async def test_who_was_writing_while_it_broke_and_stood_again_is_cut_off_too() -> None:
    found = made(11)
    answers = found.follow(11, OpenWatches())
    await anext(answers)
    found.broke(Compacted(50))
    found.listed(60)
    change(found, 61)
    with pytest.raises(StoreUnavailable, match="watch again"):
        await anext(answers)
    assert [found.covers(at) for at in (11, 60, 61)] == [False, True, True]


async def test_the_end_of_the_server_ends_a_wait() -> None:
    found, watches = made(11), OpenWatches()
    answers = found.follow(11, watches)
    await anext(answers)
    waiting = asyncio.ensure_future(some(answers, 1))
    await asyncio.sleep(0)
    watches.end()
    with pytest.raises(Failure, match="going away"):
        await waiting
