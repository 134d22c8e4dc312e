"""The leader's work: every move that has not ended is carried on, each by a task of its own.

The composition root runs one in every replica; one of them leads, and where it ends another goes on from what
is on record within the time of a lease. It decides nothing: `works` looks, `machine` says what follows. Third
road: who commits the `Txn`s of moves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from topology.errors import StoreRefused
from topology.leader import Campaign, Leadership
from topology.moves.book import MoveBook, SeenMove
from topology.moves.model import Move
from topology.moves.works import Works
from topology.store import Record, Store

log = logging.getLogger("topology.moves")
audit = logging.getLogger("topology.audit")

ROLE: Final = "moves"
PAUSE_SECONDS: Final = 0.5
AT_ONCE: Final = 32
"""So many moves are looked at at the same time; the others take turns."""


class MoveRunner:
    """Carries moves on while it leads. `works` makes the steps for one leadership."""

    def __init__(
        self,
        campaign: Campaign,
        store: Store,
        book: MoveBook,
        works: Callable[[Leadership], Works],
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self.failures = 0
        self._campaign = campaign
        self._store = store
        self._book = book
        self._works = works
        self._pause_seconds = pause_seconds
        self._wake: dict[str, asyncio.Event] = {}
        self._open: dict[str, Move] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def leads(self) -> bool:
        """Tell whether this replica carries the moves on."""
        return self._campaign.leadership is not None

    @property
    def open(self) -> tuple[Move, ...]:
        """Give the moves that have not ended, as they stand; none where another replica leads."""
        return tuple(self._open.values()) if self.leads else ()

    async def run(self) -> None:
        """Wait to be elected and carry moves on, until cancelled."""
        await self._campaign.run(self._lead)

    async def _lead(self, leadership: Leadership) -> None:
        log.info("moves_led token=%d", leadership.token)
        self._wake.clear()
        self._open.clear()
        works = self._works(leadership)
        await self._book.forget(leadership)
        listing = await self._store.list(self._book.root)
        async with (
            asyncio.TaskGroup() as tasks,
            aclosing(self._store.watch(self._book.root, listing.revision)) as batches,
        ):
            for record in listing.records:
                self._take(tasks, works, leadership, record)
            # A watch that breaks ends this leadership; the next one begins with a listing.
            async for batch in batches:
                for event in batch.events:
                    if event.record is not None:
                        self._take(tasks, works, leadership, event.record)

    def _take(self, tasks: asyncio.TaskGroup, works: Works, leadership: Leadership, record: Record) -> None:
        """See to it that somebody carries on what is on record, and looks at it now."""
        try:
            seen = self._book.seen(record)
        except StoreRefused as error:
            log.warning("move_unreadable error=%s", error)
            return
        self._open.pop(seen.move.id, None)
        if not seen.move.ended:
            self._open[seen.move.id] = seen.move
        if (wake := self._wake.get(seen.move.id)) is not None:
            wake.set()
        elif not seen.move.ended:
            self._wake[seen.move.id] = asyncio.Event()
            tasks.create_task(self._carry(works, leadership, seen.move.id))

    async def _carry(self, works: Works, leadership: Leadership, move_id: str) -> None:
        wake = self._wake[move_id]
        try:
            while True:
                wake.clear()
                seen = await self._book.read(move_id)
                if seen is None or seen.move.ended:
                    return
                async with self._turns:
                    move = await self._worked(works, seen.move)
                if move != seen.move and await self._written(seen, move, leadership):
                    # What the write wakes is this task itself.
                    wake.clear()
                    if _went_on(seen.move, move):
                        continue
                await self._paused(wake)
        finally:
            del self._wake[move_id]

    async def _worked(self, works: Works, move: Move) -> Move:
        """Work at a move. A fault of ours is that move's alone: the others go on, and a person sees it."""
        try:
            return await works.work(move)
        except Exception as fault:
            self.failures += 1
            log.exception("move_failed id=%s step=%s", move.id, move.step)
            return works.failed(move, repr(fault))

    async def _written(self, seen: SeenMove, move: Move, leadership: Leadership) -> bool:
        written = await self._book.rewrite(seen, move, leadership)
        if written is None:
            return False
        if move.step is not seen.move.step:
            for entry in move.history[len(seen.move.history) :]:
                audit.info(
                    "move_%s id=%s step=%s by=%s revision=%d words=%r",
                    entry.what.lower(),
                    move.id,
                    entry.step,
                    entry.by,
                    written.revision,
                    entry.words,
                )
        if move.blocked and not seen.move.blocked:
            log.warning("move_waits_for_a_person id=%s step=%s words=%r", move.id, move.step, move.waiting)
        return True

    async def _paused(self, wake: asyncio.Event) -> None:
        """Wait a moment, or until somebody writes the move."""
        try:
            async with asyncio.timeout(self._pause_seconds):
                await wake.wait()
        except TimeoutError:
            pass


def _went_on(before: Move, after: Move) -> bool:
    """Tell whether there is more to do at once."""
    return (before.step, before.said, before.hooked) != (after.step, after.said, after.hooked)
