"""Placements on record: a newcomer's cell, reserved together with its place in the cell's count.

The service hands it wishes and the View. `placement` chooses. Third road: plans the `Txn`, commits it, and
chooses anew where others were faster.

    /cellplane/v1-placements/requests/signup-7f3a    who went where, and why
    /cellplane/v1-placements/counts/4                how many a cell has
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from topology.apply import read_view
from topology.checks import stamp_problems
from topology.errors import OutcomeUnknown, StoreUnavailable
from topology.keys import Keyspace
from topology.model import Problem, Stamp
from topology.placement import Chosen, NoRoom, PlacementWish, choose, placement_problems
from topology.placement_records import (
    Count,
    Placement,
    encode_count,
    encode_placement,
    placed_of,
    placement_of,
    placements_root,
    read_kept,
)
from topology.store import Compare, Conflict, Store, Txn
from topology.view import View

ATTEMPTS: Final = 40  # of newcomers at once some get into each other's way
_PAUSE_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Placed:
    """The newcomer has its place. `repeated`: since an earlier call. Revision 0: this was a dry run."""

    placement: Placement
    revision: int
    considered: tuple[tuple[int, str], ...] = ()
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The wish can't be right, or its key was used for another one."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Released:
    """The place is free. `placement` is None where there was none any more, or never."""

    placement: Placement | None
    revision: int = 0


class Placements:
    """Places of newcomers on a store."""

    def __init__(
        self,
        store: Store,
        keyspace: Keyspace,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._keyspace = keyspace
        self._root = placements_root(keyspace)
        self._sleep = sleep
        self._chance = chance

    async def place(
        self, view: View, wish: PlacementWish, stamp: Stamp, *, dry_run: bool = False
    ) -> Placed | NoRoom | Refused:
        """Give a newcomer its place: once, whatever is sent again, and never beyond a cell's capacity."""
        if problems := (*placement_problems(wish), *stamp_problems(stamp)):
            return Refused(problems)
        for attempt in range(ATTEMPTS):
            if (earlier := await self._placement(wish.key)) is not None:
                return _again(wish, *earlier)
            counts = await self._counts()
            choice = choose(
                view.cells.values(), {cell_id: each.placed for cell_id, each in counts.items()}, wish
            )
            if isinstance(choice, NoRoom):
                return choice
            placement = Placement(wish=wish, cell_id=choice.cell.id, why=choice.why, stamp=stamp)
            if dry_run:
                return Placed(placement, 0, choice.considered)
            outcome = await self._commit(self._reserved(view, choice, placement, counts))
            if isinstance(outcome, int):
                return Placed(placement, outcome, choice.considered)
            if outcome is not None and self._keyspace.cell(choice.cell.id) in outcome.keys:
                view = await read_view(self._store, self._keyspace)  # the cell is not as it was seen
            await self._pause(attempt)
        raise StoreUnavailable(f"other newcomers were faster {ATTEMPTS} times in a row: try again")

    async def release(self, key: str, stamp: Stamp) -> Released:
        """Free a place. Repeatable: one that is not there is free."""
        for attempt in range(ATTEMPTS):
            earlier = await self._placement(key)
            if earlier is None:
                return Released(None)
            placement, revision = earlier
            count = (await self._counts()).get(placement.cell_id, Count())
            left = replace(count, placed=max(0, count.placed - 1))
            txn = Txn(
                compares=(
                    Compare(self._request(key), revision),
                    Compare(self._count(placement.cell_id), count.revision),
                ),
                puts=((self._count(placement.cell_id), encode_count(left, stamp)),),
                deletes=(self._request(key),),
            )
            outcome = await self._commit(txn)
            if isinstance(outcome, int):
                return Released(placement, outcome)
            await self._pause(attempt)
        raise StoreUnavailable(f"others were faster {ATTEMPTS} times in a row: try again")

    async def find(self, key: str) -> Placement | None:
        """Look a placement up."""
        earlier = await self._placement(key)
        return None if earlier is None else earlier[0]

    async def occupancy(self) -> dict[int, int]:
        """Count who is in each cell; a cell that never had anybody is left out."""
        return {cell_id: count.placed for cell_id, count in (await self._counts()).items()}

    def _reserved(self, view: View, choice: Chosen, placement: Placement, counts: dict[int, Count]) -> Txn:
        cell_id = choice.cell.id
        count = counts.get(cell_id, Count())
        taken = replace(count, placed=count.placed + 1)
        return Txn(
            compares=(
                Compare(self._request(placement.wish.key), 0),
                Compare(self._count(cell_id), count.revision),
                Compare(self._keyspace.cell(cell_id), view.cell_revision(cell_id)),
            ),
            puts=(
                (self._request(placement.wish.key), encode_placement(placement)),
                (self._count(cell_id), encode_count(taken, placement.stamp)),
            ),
        )

    async def _commit(self, txn: Txn) -> int | Conflict | None:
        """Give the revision; None where the answer got lost, which looking again will tell."""
        try:
            outcome = await self._store.commit(txn)
        except OutcomeUnknown:
            return None
        return outcome if isinstance(outcome, Conflict) else outcome.revision

    async def _placement(self, key: str) -> tuple[Placement, int] | None:
        wanted = self._request(key)
        outcome = await self._store.commit(Txn(compares=(Compare(wanted, 0),)))
        for record in outcome.records if isinstance(outcome, Conflict) else ():
            return read_kept(record, placement_of), record.mod_revision
        return None

    async def _counts(self) -> dict[int, Count]:
        listing = await self._store.list(f"{self._root}counts/")
        return {
            int(record.key.rpartition("/")[2]): Count(read_kept(record, placed_of), record.mod_revision)
            for record in listing.records
        }

    async def _pause(self, attempt: int) -> None:
        await self._sleep(_PAUSE_SECONDS * self._chance() * min(attempt + 1, 10))

    def _request(self, key: str) -> str:
        return f"{self._root}requests/{quote(key, safe='')}"

    def _count(self, cell_id: int) -> str:
        return f"{self._root}counts/{cell_id}"


def _again(wish: PlacementWish, placement: Placement, revision: int) -> Placed | Refused:
    if placement.wish != wish:
        message = f"{wish.key!r} was used for another newcomer: send a new one"
        return Refused((Problem(field="request_key", message=message),))
    return Placed(placement, revision, repeated=True)
