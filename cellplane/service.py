"""What every long-running process of ours does: run until a signal, and never lose one of its tasks without
a word.

The control plane and the Topology Service are composed with it. It knows neither.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager

from cellplane.log import set_up_logging, toggle_debug
from cellplane.settings import LogSettings

log = logging.getLogger("cellplane.service")


class TaskEnded(Exception):
    """A task that runs as long as its process ended by itself: a bug, and a reason to start anew."""


async def until_signalled(logging_as: LogSettings, composed: AbstractAsyncContextManager[None]) -> None:
    """Run what is composed until SIGTERM or SIGINT, then let it end in order."""
    set_up_logging(logging_as)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, toggle_debug, logging_as)
    async with composed:
        await stopped.wait()
        log.info("stopping")


async def for_ever(work: Coroutine[object, object, None]) -> None:
    """Run work that only our own cancellation may end; any other end raises.

    A library that cancels what waits on it would otherwise end a task as if that were wanted, and a
    TaskGroup does not mind a child that was cancelled.
    """
    name = getattr(work, "__qualname__", repr(work))
    try:
        await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise TaskEnded(f"{name} was cancelled by nobody") from None
    raise TaskEnded(f"{name} ended by itself")
