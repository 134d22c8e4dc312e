"""Placements on record: a newcomer's cell, reserved together with its place in the cell's count.

The service hands it wishes and the View. `placement` chooses, `placement_txns` says what is written. Third
road: commits the `Txn`, and chooses anew where others were faster.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from topology.apply import read_view
from topology.arrivals import room_problems
from topology.checks import stamp_problems
from topology.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from topology.keys import Keyspace
from topology.model import Cell, Problem, Stamp
from topology.placement import NoRoom, PlacementWish, choose, placement_problems
from topology.placement_records import (
    Count,
    Owned,
    Placement,
    placed_of,
    placement_of,
    placements_root,
    read_kept,
    requests_of,
)
from topology.placement_txns import PlacementKeys, noted, released, reserved, taken_along
from topology.store import Compare, Conflict, Record, Store, Txn
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


@dataclass(frozen=True, slots=True)
class Followed:
    """A place went along with its owner, from this cell."""

    key: str
    from_cell: int
    revision: int


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
        self._keys = PlacementKeys(placements_root(keyspace))
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
            cell = Compare(self._keyspace.cell(choice.cell.id), view.cell_revision(choice.cell.id))
            owned = await self._owned(wish.owner)
            outcome = await self._commit(reserved(self._keys, placement, counts, owned, cell))
            if isinstance(outcome, int):
                return Placed(placement, outcome, choice.considered)
            if outcome is not None and cell.key in outcome.keys:
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
            counts, owned = await self._counts(), await self._owned(placement.wish.owner)
            outcome = await self._commit(released(self._keys, placement, revision, counts, owned, stamp))
            if isinstance(outcome, int):
                return Released(placement, outcome)
            await self._pause(attempt)
        raise StoreUnavailable(f"others were faster {ATTEMPTS} times in a row: try again")

    async def follow(self, owner: str, cell_id: int, stamp: Stamp) -> tuple[Followed, ...]:
        """Take an owner's places along to the cell where it is by now, and the counts with them."""
        found = [await self._followed(key, cell_id, stamp) for key in (await self._owned(owner)).requests]
        return tuple(each for each in found if each is not None)

    async def note_owners(self, stamp: Stamp) -> int:
        """Write down of each owner by which requests it has its places, where that is missing, as it is of
        places from before it was kept; say of how many places. Repeatable, and by several at once.
        """
        known: set[str] = set()
        for record in (await self._store.list(self._keys.owner(""))).records:
            with suppress(StoreRefused):  # a person mends that; others go on
                known.update(read_kept(record, requests_of))
        count = 0
        for record in (await self._store.list(self._keys.request(""))).records:
            with suppress(StoreRefused):
                wish = read_kept(record, placement_of).wish
                if wish.owner and wish.key not in known:
                    count += await self._noted(wish.key, stamp)
        return count

    async def _noted(self, key: str, stamp: Stamp) -> bool:
        for attempt in range(ATTEMPTS):
            earlier = await self._placement(key)
            owned = Owned() if earlier is None else await self._owned(earlier[0].wish.owner)
            if earlier is None or key in owned.requests:
                return False
            if isinstance(await self._commit(noted(self._keys, *earlier, owned, stamp)), int):
                return True
            await self._pause(attempt)
        raise StoreUnavailable(f"others were faster {ATTEMPTS} times in a row: try again")

    async def _followed(self, key: str, cell_id: int, stamp: Stamp) -> Followed | None:
        for attempt in range(ATTEMPTS):
            earlier = await self._placement(key)
            if earlier is None or earlier[0].cell_id == cell_id:
                return None
            txn = taken_along(self._keys, *earlier, await self._counts(), cell_id, stamp)
            outcome = await self._commit(txn)
            if isinstance(outcome, int):
                return Followed(key, earlier[0].cell_id, outcome)
            await self._pause(attempt)
        raise StoreUnavailable(f"others were faster {ATTEMPTS} times in a row: try again")

    async def find(self, key: str) -> Placement | None:
        """Look a placement up."""
        earlier = await self._placement(key)
        return None if earlier is None else earlier[0]

    async def occupancy(self) -> dict[int, int]:
        """Count who is in each cell; a cell that never had anybody is left out."""
        return {cell_id: count.placed for cell_id, count in (await self._counts()).items()}

    async def room_problems(
        self, cell: Cell | None, owners: Collection[str], *, force: bool
    ) -> tuple[Problem, ...]:
        """Say what is against owners coming to a cell: it may not have places for those that have none there.

        Told from how things stand now: who comes at the same moment is not counted yet. Nothing is against it
        where they are forced, and others say so where there is no such cell.
        """
        if cell is None or force or not cell.capacity:
            return ()
        placed = (await self.occupancy()).get(cell.id, 0)
        coming = len(owners)
        if placed + coming > cell.capacity:
            coming = sum([not await self._is_in(cell.id, owner) for owner in owners])
        return tuple(room_problems(cell, placed, coming))

    async def _is_in(self, cell_id: int, owner: str) -> bool:
        keys = (await self._owned(owner)).requests
        found = [await self._placement(key) for key in keys]
        return any(each is not None and each[0].cell_id == cell_id for each in found)

    async def _commit(self, txn: Txn) -> int | Conflict | None:
        """Give the revision; None where the answer got lost, which looking again will tell."""
        try:
            outcome = await self._store.commit(txn)
        except OutcomeUnknown:
            return None
        return outcome if isinstance(outcome, Conflict) else outcome.revision

    async def _placement(self, key: str) -> tuple[Placement, int] | None:
        record = await self._read(self._keys.request(key))
        return None if record is None else (read_kept(record, placement_of), record.mod_revision)

    async def _owned(self, owner: str) -> Owned:
        record = await self._read(self._keys.owner(owner)) if owner else None
        return Owned() if record is None else Owned(read_kept(record, requests_of), record.mod_revision)

    async def _read(self, key: str) -> Record | None:
        outcome = await self._store.commit(Txn(compares=(Compare(key, 0),)))
        return next(iter(outcome.records), None) if isinstance(outcome, Conflict) else None

    async def _counts(self) -> dict[int, Count]:
        listing = await self._store.list(f"{self._keys.root}counts/")
        return {
            int(record.key.rpartition("/")[2]): Count(read_kept(record, placed_of), record.mod_revision)
            for record in listing.records
        }

    async def _pause(self, attempt: int) -> None:
        await self._sleep(_PAUSE_SECONDS * self._chance() * min(attempt + 1, 10))


def _again(wish: PlacementWish, placement: Placement, revision: int) -> Placed | Refused:
    if placement.wish != wish:
        message = f"{wish.key!r} was used for another newcomer: send a new one"
        return Refused((Problem(field="request_key", message=message),))
    return Placed(placement, revision, repeated=True)
