"""A cell of size one between two tasks: the newest value wins, nothing queues.

The watcher puts Views in, the publisher takes the newest out. A slow reader skips what was overtaken and
never a value that stands.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Hold the newest value for one reader."""

    def __init__(self) -> None:
        self._values: list[T] = []
        self._arrived = asyncio.Event()

    def set(self, value: T) -> None:
        """Replace what is waiting and wake the reader."""
        self._values[:] = [value]
        self._arrived.set()

    async def next(self, timeout_seconds: float | None = None) -> T | None:
        """Return the newest value not taken yet, waiting for one; None when the time is over first."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._arrived.wait()
        except TimeoutError:
            return None
        self._arrived.clear()
        return self._values.pop()
