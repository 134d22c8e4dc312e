"""The claim store port: begin, commit, rollback, look up, list and watch; and words for what comes out.

The service writes through it, the follower reads from it. Here are only values and promises, which
`tests/contract` checks by name. Third road, and `Request -> ClassificationKey -> Decision`: where the answer
comes from.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from topology.claims.model import Bucket, ClaimBatch, Lease, Record
from topology.claims.owners import Owner, OwnerGone
from topology.claims.rules import Obstacle, Unreadable
from topology.model import Problem
from topology.store import Compare

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Begun:
    """The batch holds its lease, from the change at this cursor on; 0 where it was found begun already."""

    lease: Lease
    cursor: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Invalid:
    """The batch can't be right, whatever is on record."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Obstructed:
    """Nothing happened: these stand in the way."""

    obstacles: tuple[Obstacle, ...]


@dataclass(frozen=True, slots=True)
class CellChanged:
    """Nothing happened: the record of the cell is not as the caller saw it. Look again."""

    cell_id: int


@dataclass(frozen=True, slots=True)
class Begins:
    """How far the begins of cells have come: all that may still count is there as of the cursor, and none
    came after it where a transaction finds these as they are.
    """

    cursor: int
    compares: tuple[Compare, ...] = ()


@dataclass(frozen=True, slots=True)
class Closed:
    """The lease is no more. `found` is False where it was not there any more, or never.

    `cursor` is the change that closed it; 0 where this call did not.
    """

    found: bool
    cursor: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class WrongCell:
    """Nothing happened: the lease belongs to another cell."""

    lease: str
    cell_id: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A record that is not there any more."""

    bucket: Bucket


@dataclass(frozen=True, slots=True)
class LeaseGone:
    """A lease that is not there any more."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Odd:
    """Something lies in the store that this version can't read, and why; no reason: not any more.

    `about` is what should be there: a claim, a lease by its uuid, an owner by its name, or by the key itself
    nothing known.
    """

    key: str
    reason: str
    about: Bucket | str


Entry = Record | Gone | Lease | LeaseGone | Owner | OwnerGone | Odd


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed together at one cursor; nothing: a bookmark."""

    cursor: int
    entries: tuple[Entry, ...] = ()


class ClaimStore(Protocol):
    """Claims of one installation, with a cursor that rises with every change.

    A caller may not assume that two calls reach the same server, nor that a cursor is good for ever. Raises
    `StoreUnavailable` and `StoreRefused` from every method; a begin that raised may have happened.
    """

    async def begin(
        self, batch: ClaimBatch, by: str, cell: Compare | None = None
    ) -> Begun | Invalid | Obstructed | CellChanged:
        """Take a lease on every record of a batch, or on none.

        `cell` is the record of the cell in the topology, as the caller saw it; with it:

        - Admitted: at the moment of the begin that record is what the caller judged by.

        - Unique: of all begins on a bucket that nobody owns, one wins;
        - Untouchable: a leased record is changed by its own lease alone;
        - Owned: only the owner destroys;
        - Atomic: no other caller ever sees a part of a batch, also where the writer dies half-way.
        """
        ...

    async def quiet(
        self, cells: Collection[int], work: Callable[[Callable[[], Awaitable[Begins]]], Awaitable[T]]
    ) -> T:
        """Do something that relies on cells owning nothing, such that no begin of theirs slips past it.

        `work` is given what tells how far begins have come; it asks anew before each transaction. Begins do
        not wait for each other for it.
        """
        ...

    async def commit(self, cell_id: int, lease: str, by: str) -> Closed | WrongCell:
        """Keep what was created, drop what was destroyed. Repeatable: a lease that is not there is closed."""
        ...

    async def rollback(self, cell_id: int, lease: str, by: str) -> Closed | WrongCell:
        """Take everything back. Repeatable: a lease that is not there is closed."""
        ...

    async def get(self, bucket: Bucket) -> Record | Unreadable | None:
        """Look a record up: the newest that is committed, never one of the past."""
        ...

    async def settle(self, uuid: str) -> None:
        """Finish what a writer that died left of a lease or a transfer: rewrite the records of a decided one,
        give up one long prepared.

        An open lease stays: nobody but its cell knows what became of the transaction behind it.
        """
        ...

    async def list(self) -> Changes:
        """Give everything at one cursor, as it is stored: `rules.amounts_to` says what it counts as."""
        ...

    def watch(self, after: int) -> AsyncGenerator[Changes, None]:
        """Give every change after a cursor, with the six promises of `topology.store.Store.watch`.

        Raises `ListAgain` where the cursor is no good any more, `StoreUnavailable` where the watch broke.
        """
        ...
