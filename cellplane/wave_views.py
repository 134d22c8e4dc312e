"""The Views of before and after a wave, kept beside the topology, so that a replica that starts serves both.

The leader writes each once, every replica reads those that the wave names, and the publisher takes them from
here (`View -> Snapshot`). What is read stays as long as it is named. It never decides who has which.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Iterable
from typing import Final

from cellplane.wave_change import adopted, essence
from topology.errors import StoreError
from topology.keys import Keyspace
from topology.saved import Corrupt, view_of_text, view_text
from topology.store import Store
from topology.view import View

log = logging.getLogger("cellplane.wave_views")

_PAUSE_SECONDS: Final = 0.5


class WaveViews:
    """The Views that waves name, by group and id. `loaded` is called when one has come that was asked for."""

    def __init__(self, store: Store, keyspace: Keyspace, loaded: Callable[[], None]) -> None:
        self._problems: dict[str, str] = {}
        self._store = store
        self._keyspace = keyspace
        self._loaded = loaded
        self._known: dict[str, View] = {}
        self._wanted: set[str] = set()
        self._news = asyncio.Event()

    @property
    def problem(self) -> str:
        """What cannot be read, and why; empty where nothing is missing."""
        return "; ".join(f"{key}: {reason}" for key, reason in self._problems.items())

    def key(self, group: str, name: str) -> str:
        """Spell the key of a View."""
        return f"{self._keyspace.prefix}-waves/{group}/{name}"

    def get(self, group: str, name: str, newest: View) -> View | None:
        """Give a View if it is here; if not, have it read."""
        key = self.key(group, name)
        known = self._known.get(key)
        if known is None:
            self._wanted.add(key)
            self._news.set()
            return None
        known = self._known[key] = adopted(known, newest)
        return known

    def keep(self, group: str, names: Iterable[str]) -> None:
        """Forget all Views of a group but these."""
        keys = {self.key(group, name) for name in names}
        root = self.key(group, "")
        known = {*self._known, *self._problems, *self._wanted}
        for key in [each for each in known if each.startswith(root) and each not in keys]:
            self._known.pop(key, None)
            self._problems.pop(key, None)
            self._wanted.discard(key)

    async def encoded(self, view: View) -> bytes:
        """Give what is to be written of a View; in a thread, for thousands of cells take a while."""
        return await asyncio.to_thread(lambda: zlib.compress(view_text(essence(view)).encode()))

    async def run(self) -> None:
        """Read what is asked for, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            for key in tuple(self._wanted):
                await self._read(key)
            if self._wanted:
                self._news.set()
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self, key: str) -> None:
        try:
            records = (await self._store.list(key)).records
        except StoreError as error:
            self._failed(key, str(error))
            return
        value = next((record.value for record in records if record.key == key), None)
        if value is None:
            # The wave may have ended meanwhile; whoever still wants it asks again.
            self._failed(key, "it is not there")
            self._wanted.discard(key)
            return
        try:
            found = await asyncio.to_thread(lambda: view_of_text(zlib.decompress(value), self._keyspace))
        except zlib.error as error:
            found = Corrupt(str(error))
        if isinstance(found, Corrupt):
            self._failed(key, found.reason)
            return
        self._problems.pop(key, None)
        self._known[key] = found
        self._wanted.discard(key)
        self._loaded()

    def _failed(self, key: str, reason: str) -> None:
        if self._problems.get(key) != reason:
            log.error("wave_view_not_read key=%s reason=%s", key, reason)
        self._problems[key] = reason
