"""A store whose commits that wait at the same moment go out together: one round trip, one write to disk.

The composition root lays it around the store that claims are in, and runs it. A commit that finds nobody
before it goes at once, by itself; what comes while others are on their way waits for them, and for no clock.
Third road: how a `Txn` gets to the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from topology.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from topology.grouping import Group
from topology.store import Batch, Committed, Conflict, GroupingStore, Listing, Txn


@dataclass(slots=True)
class _Waiting:
    """A commit that waits; None: it has to go by itself."""

    txn: Txn
    outcome: asyncio.Future[Committed | Conflict | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


_Queue = list[_Waiting]


class GroupCommit:
    """A store over another one. Unless it runs, each commit goes by itself.

    One is on its way at a time: with more, groups are smaller, and cost more than they gain.
    """

    def __init__(self, store: GroupingStore) -> None:
        self._store = store
        self._running = False
        self._busy = False
        self._waiting: _Queue = []
        self._stirred = asyncio.Event()

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        self._running = True
        try:
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                if group := self._take():  # else all were cancelled meanwhile
                    await self._commit(group)
                self._free()
        finally:
            self._running = False
            left, self._waiting = self._waiting, []
            for each in left:
                _tell(each, StoreUnavailable("the store is being closed"))

    async def list(self, prefix: str, revision: int | None = None) -> Listing:
        """Give everything below the prefix."""
        return await self._store.list(prefix, revision)

    def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        """Give every change below the prefix."""
        return self._store.watch(prefix, after)

    async def commit(self, txn: Txn) -> Committed | Conflict:
        """Do the transaction if its compares hold, perhaps together with others.

        Who is cancelled while it waits has written nothing; on its way, it happens or not, as ever.
        """
        if not self._running or txn.lease or not (txn.puts or txn.deletes):
            return await self._store.commit(txn)
        if not self._busy:
            self._busy = True
            try:
                return await self._store.commit(txn)
            finally:
                self._free()
        waiting = _Waiting(txn)
        self._waiting.append(waiting)
        outcome = await waiting.outcome
        return await self._store.commit(txn) if outcome is None else outcome

    async def close(self) -> None:
        """Leave the store to whoever opened it."""

    def _free(self) -> None:
        """Let the next go: who waits, or whoever comes."""
        self._busy = any(not each.outcome.done() for each in self._waiting)
        if self._busy:
            self._stirred.set()

    def _take(self) -> _Queue:
        """Take who goes next: whoever waits longest, and who may go along."""
        group = Group()
        taken: _Queue = []
        left: _Queue = []
        for each in self._waiting:
            if not each.outcome.done():  # cancelled
                (taken if group.admits(each.txn) else left).append(each)
        self._waiting = left
        return taken

    async def _sent(self, txns: Sequence[Txn]) -> tuple[Committed | Conflict, ...]:
        if len(txns) == 1:  # as it is: a transaction within one has less room
            return (await self._store.commit(txns[0]),)
        return await self._store.commit_together(txns)

    async def _commit(self, group: _Queue) -> None:
        try:
            outcomes = await self._sent([each.txn for each in group])
        except asyncio.CancelledError:
            for each in group:
                _tell(each, OutcomeUnknown("the store was closed meanwhile"))
            raise
        except StoreRefused as refused:
            # Nothing happened, for the sake of one of them or of the group: each has to be told its own.
            for each in group:
                _tell(each, None if len(group) > 1 else refused)
        except Exception as error:  # noqa: BLE001  whatever it is, who waits has to hear of it
            for each in group:
                _tell(each, error)
        else:
            for each, outcome in zip(group, outcomes, strict=True):
                _tell(each, outcome)


def _tell(waiting: _Waiting, outcome: Committed | Conflict | Exception | None) -> None:
    if waiting.outcome.done():
        return  # cancelled meanwhile
    if isinstance(outcome, Exception):
        waiting.outcome.set_exception(outcome)
    else:
        waiting.outcome.set_result(outcome)
