"""How many watch, and how they are sent elsewhere: what watches on cells and on claims have in common.

Each kind of watch keeps one of these. It knows nothing of what is watched. `etcd Event -> View -> Snapshot ->
Response`, as far as a watcher of this service goes.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Final, TypeVar

import grpc

from topology.errors import Compacted, ListAgain
from topology.service.certificate import expired
from topology.service.failure import Failure
from topology.service.gate import current_certificate

MAX_WATCHES: Final = 1000
T = TypeVar("T")


class OpenWatches:
    """The open watches of one kind."""

    def __init__(self, most: int = MAX_WATCHES) -> None:
        self._most = most
        self._open = 0
        self._waiting: set[asyncio.Timeout] = set()
        self._ending = False

    def __len__(self) -> int:
        """Count them."""
        return self._open

    def end(self) -> None:
        """Send watchers elsewhere: this server is going away.

        Only the wait for the next change is cut short: gRPC, which writes in the same task, must not be
        cancelled, or the watcher never hears why.
        """
        if self._ending:
            return
        self._ending = True
        for waiting in self._waiting:
            waiting.reschedule(asyncio.get_running_loop().time())

    async def following(self, changes: AsyncIterator[T]) -> AsyncIterator[T]:
        """Give all changes to one watcher. Raises Failure where there are too many, or history is gone."""
        if self._open >= self._most:
            words = f"{self._most} watches are open at this replica: go to another"
            raise Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, words, "TOO_MANY_WATCHES")
        self._open += 1
        try:
            async for change in changes:
                yield change
        except ListAgain as error:
            reason = "COMPACTED" if isinstance(error, Compacted) else "REVISION_UNKNOWN"
            raise Failure(grpc.StatusCode.OUT_OF_RANGE, str(error), reason) from error
        finally:
            self._open -= 1

    async def next(self, batches: AsyncGenerator[T, None]) -> T:
        """Wait for the next of a store's watch. Raises Failure where this server goes away."""
        return await self.waiting(anext(batches))

    async def waiting(self, what: Awaitable[T]) -> T:
        """Wait for something. Raises Failure where this server goes away, or the watcher's certificate runs
        out.
        """
        left = current_certificate().seconds_left
        waiting = asyncio.timeout(0 if self._ending else left if left < math.inf else None)
        self._waiting.add(waiting)
        try:
            async with waiting:
                return await what
        except TimeoutError:
            if not waiting.expired():
                raise
            if not self._ending:
                raise expired() from None
            words = "this server is going away: watch again"
            raise Failure(grpc.StatusCode.UNAVAILABLE, words, "GOING_AWAY") from None
        finally:
            self._waiting.discard(waiting)
