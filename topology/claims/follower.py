"""Follows a claim store and keeps the index up to date: list, watch, resume, list again where it must.

The service runs one and asks its index. It also finishes leases that a dead writer left half-done. It never
closes an open lease. `etcd Event -> View -> Snapshot -> Response`, its first arrow, for claims.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from typing import Protocol

from topology.claims.index import ClaimIndex
from topology.claims.model import Bucket, Subject
from topology.claims.store import Changes, ClaimStore
from topology.errors import ListAgain, StoreError, StoreUnavailable
from topology.watcher import DEFAULT_BACKOFF, Backoff, WatcherState

SETTLE_SECONDS = 10.0
INVENTORY_SECONDS = 5.0  # a change that was just written arrives within milliseconds


class Listener(Protocol):
    """Who wants to know of each step, bookmarks too. It must not wait."""

    def listed(self, cursor: int) -> None:
        """Hear of a listing: what was between it and the cursor before is not known."""
        ...

    def moved(self, changes: Changes) -> None:
        """Hear of a step: the store is followed."""
        ...

    def broke(self, error: StoreError) -> None:
        """Hear that the store is not followed at the moment."""
        ...


class ClaimFollower:
    """Keeps one index. Until the first listing it is not `loaded`, and answers nothing."""

    def __init__(
        self,
        store: ClaimStore,
        *,
        backoff: Backoff = DEFAULT_BACKOFF,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.index = ClaimIndex()
        self.loaded = False
        self.state = WatcherState()
        self._store = store
        self._backoff = backoff
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._listed = False
        self._failures_in_a_row = 0
        self._moved = asyncio.Event()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tell somebody of each step from now on. Called before `run`."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Follow the store until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._settle())

    async def reached(self, cursor: int) -> None:
        """Wait until the index holds everything up to a cursor."""
        while not self.loaded or self.index.cursor < cursor:
            await self._moved.wait()

    async def claimed_for(self, subjects: Collection[Subject], cursor: int) -> tuple[Bucket, ...]:
        """Name every claim of these owners as of a cursor or later: an `Inventory`."""
        try:
            async with asyncio.timeout(INVENTORY_SECONDS):
                await self.reached(cursor)
        except TimeoutError:
            raise StoreUnavailable(f"cursor {cursor} was not reached within {INVENTORY_SECONDS} s") from None
        return tuple(bucket for subject in subjects for bucket in self.index.claimed_for(subject))

    async def _follow(self) -> None:
        while True:
            try:
                if not self._listed:
                    await self._list()
                await self._watch()
            except ListAgain as error:
                self._listed = False
                await self._failed(error)
            except StoreError as error:
                await self._failed(error)

    async def _list(self) -> None:
        self.index.load(await self._store.list())
        self._listed = self.loaded = True
        self.state.relists += self.state.listings > 0
        self.state.listings += 1
        for listener in self._listeners:
            listener.listed(self.index.cursor)
        self._heard()

    async def _watch(self) -> None:
        async with aclosing(self._store.watch(self.index.cursor)) as steps:
            async for changes in steps:
                if not self.state.connected:
                    self.state.connected = True
                    self.state.resumes += self._failures_in_a_row > 0
                    self._failures_in_a_row = 0
                self.index.apply(changes)
                for listener in self._listeners:
                    listener.moved(changes)
                self._heard()
        raise StoreUnavailable("the watch ended")

    async def _settle(self) -> None:
        """Finish what nobody finishes. The store leaves alone what somebody may still be preparing."""
        while True:
            await self._sleep(SETTLE_SECONDS * (0.5 + self._chance()))
            for uuid in self.index.unfinished():
                try:
                    await self._store.settle(uuid)
                except StoreError as error:
                    self._note(error)

    def _heard(self) -> None:
        self.state.revision = self.index.cursor
        self.state.quarantined = len(self.index.odd)
        self.state.heard_at = self._clock()
        self._moved.set()
        self._moved = asyncio.Event()

    async def _failed(self, error: StoreError) -> None:
        self.state.connected = False
        for listener in self._listeners:
            listener.broke(error)
        self._failures_in_a_row += 1
        self._note(error)
        await self._sleep(self._backoff.seconds(self._failures_in_a_row, self._chance()))

    def _note(self, error: StoreError) -> None:
        self.state.failures += 1
        self.state.last_error = str(error) or type(error).__name__
        self.state.last_error_at = self._clock()
