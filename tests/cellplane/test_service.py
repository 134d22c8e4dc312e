"""A task of a service ends when we end it, and in no other way unnoticed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from cellplane.service import TaskEnded, for_ever, until_signalled
from cellplane.settings import LogSettings
from tests.processes import eventually


async def waits() -> None:
    await asyncio.Event().wait()


async def returns() -> None:
    await asyncio.sleep(0)


async def is_cancelled_by_a_library() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    await future


async def test_our_own_cancellation_ends_it() -> None:
    task = asyncio.ensure_future(for_ever(waits()))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_end_that_nobody_asked_for_is_an_error() -> None:
    with pytest.raises(TaskEnded, match="returns ended by itself"):
        await for_ever(returns())
    with pytest.raises(TaskEnded, match="is_cancelled_by_a_library was cancelled by nobody"):
        await for_ever(is_cancelled_by_a_library())


async def test_a_group_hears_of_a_lost_task() -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  the group is what raises
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(for_ever(is_cancelled_by_a_library()))
            tasks.create_task(for_ever(waits()))

    assert caught.group_contains(TaskEnded)


async def test_a_signal_ends_it_in_order() -> None:
    story: list[str] = []

    @asynccontextmanager
    async def composed() -> AsyncIterator[None]:
        story.append("up")
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        yield
        story.append("down")

    async with asyncio.timeout(5):
        await until_signalled(LogSettings(level="warning"), composed())

    assert story == ["up", "down"]


async def test_another_signal_turns_debug_on_and_off_again() -> None:
    levels: list[int] = []

    @asynccontextmanager
    async def composed() -> AsyncIterator[None]:
        for _ in range(2):
            before = logging.getLogger().level
            os.kill(os.getpid(), signal.SIGUSR1)
            await eventually(partial(changed, before), "another level")
            levels.append(logging.getLogger().level)
        os.kill(os.getpid(), signal.SIGTERM)
        yield

    async def changed(before: int) -> bool:
        return logging.getLogger().level != before

    await until_signalled(LogSettings(), composed())
    assert levels == [logging.DEBUG, logging.INFO]
