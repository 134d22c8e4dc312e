"""The newest value wins, and none that stands is lost."""

from __future__ import annotations

import asyncio

from cellplane.latest import Latest


async def test_the_newest_value_wins() -> None:
    latest: Latest[int] = Latest()
    latest.set(1)
    latest.set(2)

    assert await latest.next() == 2


async def test_a_reader_waits_for_the_next_value() -> None:
    latest: Latest[int] = Latest()
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(latest.next())
        await asyncio.sleep(0)
        assert not reader.done()
        latest.set(3)

    assert reader.result() == 3


async def test_time_that_is_over_gives_none_and_loses_nothing() -> None:
    latest: Latest[int] = Latest()

    assert await latest.next(0.001) is None
    latest.set(4)
    assert await latest.next(0.001) == 4
    assert await latest.next(0.001) is None
