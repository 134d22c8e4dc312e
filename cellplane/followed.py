"""A prefix of the store in memory, kept up to date: list, watch, resume, list again where it must.

For what lies beside the topology, such as the history of pushes; the topology itself has its own `Watcher`.
It writes nothing, and never looks at a value. `etcd Event`, for those who need no View.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

from topology.errors import ListAgain, StoreError, StoreUnavailable
from topology.store import Batch, Record, Store
from topology.watcher import DEFAULT_BACKOFF, Backoff, WatcherState

Changed = Callable[[Mapping[str, Record | None]], None]


class Followed:
    """All records below a prefix. `changed` is called with what came, changed or went (None)."""

    def __init__(
        self,
        store: Store,
        prefix: str,
        changed: Changed,
        *,
        backoff: Backoff = DEFAULT_BACKOFF,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.records: dict[str, Record] = {}
        self.state = WatcherState()
        self.listed = asyncio.Event()
        self._store = store
        self._prefix = prefix
        self._changed = changed
        self._backoff = backoff
        self._sleep = sleep
        self._chance = chance
        self._must_list = True
        self._failures = 0

    async def run(self) -> None:
        """Follow the store until cancelled."""
        while True:
            try:
                if self._must_list:
                    await self._list()
                await self._watch()
            except ListAgain as error:
                self._must_list = True
                await self._failed(error)
            except StoreError as error:
                await self._failed(error)

    async def _list(self) -> None:
        listing = await self._store.list(self._prefix)
        found = {record.key: record for record in listing.records}
        news: dict[str, Record | None] = {key: None for key in self.records if key not in found}
        news |= {key: record for key, record in found.items() if self.records.get(key) != record}
        self._must_list = False
        self.state.relists += self.state.listings > 0
        self.state.listings += 1
        self._take(listing.revision, news)
        self.listed.set()

    async def _watch(self) -> None:
        async with aclosing(self._store.watch(self._prefix, self.state.revision)) as batches:
            async for batch in batches:
                self.state.connected = True
                self._failures = 0
                self._take(batch.revision, _news(batch))
        raise StoreUnavailable("the watch ended")

    def _take(self, revision: int, news: Mapping[str, Record | None]) -> None:
        for key, record in news.items():
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record
        self.state.revision = revision
        self.state.heard_at = time.time()
        if news:
            self._changed(news)

    async def _failed(self, error: StoreError) -> None:
        self._failures += 1
        self.state.connected = False
        self.state.failures += 1
        self.state.last_error = str(error) or type(error).__name__
        await self._sleep(self._backoff.seconds(self._failures, self._chance()))


def _news(batch: Batch) -> dict[str, Record | None]:
    return {event.key: event.record for event in batch.events}
