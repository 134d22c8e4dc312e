"""Watching a store into a list, for tests that look at it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from topology.errors import StoreError
from topology.store import Batch, Committed, Event, EventKind, Record, Store, Txn


class Recording:
    """What one watch gave so far, and how it ended if it did."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.ended: StoreError | None = None
        self._stirred = asyncio.Condition()

    async def until(self, wanted: Callable[[list[Batch]], bool], within: float = 10.0) -> None:
        """Wait until the recording is as wanted."""
        try:
            async with asyncio.timeout(within), self._stirred:
                await self._stirred.wait_for(lambda: wanted(self.batches) or self.ended is not None)
        except TimeoutError:
            raise AssertionError(f"not within {within} s; recorded: {self.batches}") from None
        if not wanted(self.batches):
            raise AssertionError(f"the watch ended with {self.ended!r} before that; recorded: {self.batches}")

    async def stands(self) -> None:
        """Wait until the watch is there."""
        await self.until(bool)

    async def reaches(self, revision: int) -> None:
        """Wait until the watch has come to a revision."""
        await self.until(lambda batches: bool(batches) and batches[-1].revision >= revision)

    async def end(self, within: float = 10.0) -> StoreError:
        """Wait until the watch has ended by itself."""
        async with asyncio.timeout(within), self._stirred:
            await self._stirred.wait_for(lambda: self.ended is not None)
        assert self.ended is not None
        return self.ended

    async def run(self, store: Store, prefix: str, after: int) -> None:
        """Record a watch."""
        try:
            async with aclosing(store.watch(prefix, after)) as batches:
                async for batch in batches:
                    async with self._stirred:
                        self.batches.append(batch)
                        self._stirred.notify_all()
        except StoreError as error:
            async with self._stirred:
                self.ended = error
                self._stirred.notify_all()


@asynccontextmanager
async def recorded(store: Store, prefix: str, after: int) -> AsyncIterator[Recording]:
    """Record a watch for as long as the block runs; it stands when the block begins, or has ended."""
    recording = Recording()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(recording.run(store, prefix, after))
        async with asyncio.timeout(10), recording._stirred:
            await recording._stirred.wait_for(lambda: bool(recording.batches) or recording.ended is not None)
        yield recording
        task.cancel()


class Writer:
    """Commits to a store and keeps the history that follows from it, written out by itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._live: dict[str, Record] = {}
        self.history: list[Batch] = []

    async def write(self, *puts: tuple[str, bytes], delete: tuple[str, ...] = ()) -> int:
        """Commit puts and deletes together and give their revision."""
        outcome = await self._store.commit(Txn(puts=puts, deletes=delete))
        assert isinstance(outcome, Committed)
        revision, events = outcome.revision, list[Event]()
        for key, value in puts:
            old = self._live.get(key)
            new = Record(
                key, value, old.create_revision if old else revision, revision, old.version + 1 if old else 1
            )
            self._live[key] = new
            events.append(Event(EventKind.PUT, key, revision, new))
        events += [Event(EventKind.DELETE, key, revision) for key in delete if self._live.pop(key, None)]
        if events:
            self.history.append(Batch(revision, tuple(events)))
        return revision

    def below(self, prefix: str) -> list[Batch]:
        """Give the history below a prefix."""
        cut = [
            Batch(batch.revision, tuple(event for event in batch.events if event.key.startswith(prefix)))
            for batch in self.history
        ]
        return [batch for batch in cut if batch.events]

    def live(self, prefix: str) -> tuple[Record, ...]:
        """Give what is there below a prefix, in the order of the keys."""
        return tuple(self._live[key] for key in sorted(self._live) if key.startswith(prefix))
