"""Follows a store and publishes a View for every change: list, watch, resume, list again where it must.

The control plane runs one and takes the Views; who is not fast enough takes the newest. It writes nothing,
and knows no cell. `etcd Event -> View -> Snapshot -> Response`: the first arrow, kept alive.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from topology.errors import ListAgain, StoreError, StoreUnavailable
from topology.keys import Keyspace
from topology.store import Batch, Store
from topology.view import View, fold, from_listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait after a failure: twice as long each time, and at random between half and all of it.

    The chance keeps many replicas from coming back at once.
    """

    first_seconds: float = 0.1
    most_seconds: float = 10.0

    def seconds(self, failures: int, chance: float) -> float:
        """Give the wait after so many failures in a row (from 1); `chance` is from 0 to 1."""
        full = min(self.most_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))
        return full * (0.5 + chance / 2)


@dataclass(slots=True)
class WatcherState:
    """How the watch stands, for metrics and status pages; only the watcher writes it. Times are the clock's
    seconds.

    `failures` counts what went wrong in all, `relists` the listings after the first, `resumes` the watches
    that went on where one broke off.
    """

    connected: bool = False
    revision: int = 0
    heard_at: float | None = None
    listings: int = 0
    relists: int = 0
    resumes: int = 0
    failures: int = 0
    quarantined: int = 0
    last_error: str = ""
    last_error_at: float | None = None

    @property
    def words(self) -> str:
        """Say it in words, for people."""
        return "connected" if self.connected else f"not connected: {self.last_error or 'no answer yet'}"


log = logging.getLogger(__name__)
DEFAULT_BACKOFF: Final = Backoff()


class Listener(Protocol):
    """Who wants to know of each step, bookmarks too. It must not wait."""

    def listed(self, view: View) -> None:
        """Hear of a listing: what was between it and the View before is not known."""
        ...

    def moved(self, before: View, after: View, batch: Batch) -> None:
        """Hear of a batch: the store is followed."""
        ...

    def broke(self, error: StoreError) -> None:
        """Hear that the store is not followed at the moment."""
        ...


class Watcher:
    """Keeps one View up to date. `initial` is a saved View, whose unchanged records keep their identity."""

    def __init__(
        self,
        store: Store,
        keyspace: Keyspace,
        *,
        initial: View | None = None,
        backoff: Backoff = DEFAULT_BACKOFF,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._keyspace = keyspace
        self._view = initial
        self._listed = False
        self._backoff = backoff
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._failures_in_a_row = 0
        self._moved = asyncio.Event()
        self._listeners: list[Listener] = []
        self.state = WatcherState()

    @property
    def view(self) -> View | None:
        """The newest View; before the first listing the initial one, if there was one."""
        return self._view

    def listen(self, listener: Listener) -> None:
        """Tell somebody of each step from now on. Called before `run`."""
        self._listeners.append(listener)

    async def reached(self, revision: int) -> None:
        """Wait until the View holds everything up to a revision at which something in it was written."""
        while self._view is None or self._view.revision < revision:
            await self._moved.wait()

    async def run(self, publish: Callable[[View], None]) -> None:
        """Follow the store until cancelled, handing on a View after each listing and each batch that
        changed something.

        `publish` must not wait. Bookmarks move the revision of `view` and of `state`, and are not handed on.
        """
        while True:
            try:
                if not self._listed:
                    await self._list(publish)
                await self._watch(publish)
            except ListAgain as error:
                self._listed = False
                await self._failed(error)
            except StoreError as error:
                await self._failed(error)

    async def _list(self, publish: Callable[[View], None]) -> None:
        listing = await self._store.list(self._keyspace.root)
        view = from_listing(listing, self._keyspace, self._view)
        self._listed = True
        self.state.relists += self.state.listings > 0
        self.state.listings += 1
        self._take(view)
        for listener in self._listeners:
            listener.listed(view)
        publish(view)

    async def _watch(self, publish: Callable[[View], None]) -> None:
        if self._view is None:
            raise AssertionError("there is a View once the store has been listed")
        async with aclosing(self._store.watch(self._keyspace.root, self._view.revision)) as batches:
            async for batch in batches:
                self._connected()
                before, view = self._view, fold(self._view, batch)
                self._take(view)
                for listener in self._listeners:
                    listener.moved(before, view, batch)
                if not batch.is_bookmark:
                    publish(view)
        raise StoreUnavailable("the watch ended")

    def _connected(self) -> None:
        if not self.state.connected:
            self.state.connected = True
            self.state.resumes += self._failures_in_a_row > 0
            log.info("watch_stands revision=%d failures=%d", self.state.revision, self._failures_in_a_row)
            self._failures_in_a_row = 0

    def _take(self, view: View) -> None:
        self._view = view
        self.state.revision = view.revision
        self.state.quarantined = len(view.quarantined)
        self.state.heard_at = self._clock()
        self._moved.set()
        self._moved = asyncio.Event()

    async def _failed(self, error: StoreError) -> None:
        words = str(error) or type(error).__name__
        if self.state.connected or words != self.state.last_error:  # not at every attempt
            log.warning("watch_broken revision=%d error=%s", self.state.revision, words)
        self.state.connected = False
        for listener in self._listeners:
            listener.broke(error)
        self.state.failures += 1
        self.state.last_error = words
        self.state.last_error_at = self._clock()
        self._failures_in_a_row += 1
        await self._sleep(self._backoff.seconds(self._failures_in_a_row, self._chance()))
