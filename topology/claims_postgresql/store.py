"""The claim store on PostgreSQL: a batch is one transaction, and so is the end of a lease.

The composition root gives it a `Database`; the service writes through it. It decides nothing: `rules` say
what may be, the unique index and row locks hold everybody to it. Third road: plans, commits, and looks again
where another was faster.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from topology.claims.model import Bucket, ClaimBatch, Record, Status, Subject
from topology.claims.owners import Owner
from topology.claims.rules import Unreadable, batch_problems, obstacles
from topology.claims.store import (
    Begins,
    Begun,
    CellChanged,
    Changes,
    Closed,
    Invalid,
    Obstructed,
    WrongCell,
)
from topology.claims.transfer import Inventory, TransferWish
from topology.claims_postgresql import statements
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.failures import MIGRATE, Clash, told
from topology.claims_postgresql.listing import read_all
from topology.claims_postgresql.rows import (
    columns_of,
    digest,
    found_in,
)
from topology.claims_postgresql.schema import NEWEST
from topology.claims_postgresql.transferring import (
    Outcome,
    Stands,
    admitted,
    locked,
    owners_by,
    transfer_once,
)
from topology.claims_postgresql.wanted import Wanted, wanted_of
from topology.claims_postgresql.watch import changes_after
from topology.claims_postgresql.writing import commit_changes, commit_end, found_by, prune_log
from topology.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from topology.store import Compare

if TYPE_CHECKING:
    from topology.claims_postgresql.connection import Connection

T = TypeVar("T")
ATTEMPTS: Final = 5
POLL_SECONDS: Final = 5.0
KEPT_FOR: Final = timedelta(hours=1)
"""So long a change stays in the log: a watcher that was away for longer lists again."""


class PostgresClaims:
    """A `ClaimStore` on PostgreSQL."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_uuid: Callable[[], str] = lambda: str(uuid.uuid4()),
        poll_seconds: float = POLL_SECONDS,
        stands: Stands | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._new_uuid = new_uuid
        self._poll_seconds = poll_seconds
        self._stands = stands
        self._checked = False

    async def begin(
        self, batch: ClaimBatch, by: str, cell: Compare | None = None
    ) -> Begun | Invalid | Obstructed | CellChanged:
        """Take a lease on every record of a batch, or on none."""
        if problems := batch_problems(batch):
            return Invalid(problems)
        await self.check()
        wanted = wanted_of(batch, self._clock(), by, self._new_uuid)
        lost: StoreUnavailable | None = None
        for _ in range(ATTEMPTS):
            try:
                outcome = await self._try_begin(wanted, cell)
            except (Clash, OutcomeUnknown) as error:
                lost = error
                continue
            if outcome is not None:
                return outcome
        raise lost or StoreUnavailable(f"other writers were faster {ATTEMPTS} times in a row: try again")

    async def quiet(
        self, cells: Collection[int], work: Callable[[Callable[[], Awaitable[Begins]]], Awaitable[T]]
    ) -> T:
        """Do something that relies on cells owning nothing, under the locks that their begins share."""
        await self.check()
        async with self._database.transaction(admitted(cells, shared=False)) as connection:

            async def begins() -> Begins:
                with told():
                    return Begins(int(await connection.fetchval(statements.NEWEST)))

            return await work(begins)

    async def commit(self, cell_id: int, lease: str, by: str) -> Closed | WrongCell:
        """Keep what was created, drop what was destroyed."""
        return await self._close(cell_id, lease, Status.LEASE_CREATING, by)

    async def rollback(self, cell_id: int, lease: str, by: str) -> Closed | WrongCell:
        """Take everything back."""
        return await self._close(cell_id, lease, Status.LEASE_DESTROYING, by)

    async def get(self, bucket: Bucket) -> Record | Unreadable | None:
        """Look a record up."""
        await self.check()
        rows = await self._database.fetch(statements.GET, int(bucket.type), digest(bucket))
        return found_in(rows).get(bucket)

    async def transfer(self, wish: TransferWish, by: str, inventory: Inventory | None = None) -> Outcome:
        """Move the claims of owners from one cell to another, all or none."""
        del inventory  # an index finds what is claimed for an owner
        await self.check()
        lost: StoreUnavailable | None = None
        for _ in range(ATTEMPTS):
            try:
                return await transfer_once(self._database, wish, by, self._clock(), self._stands)
            except (Clash, OutcomeUnknown) as error:
                lost = error
        raise lost or AssertionError("an attempt ends, or says why not")

    async def owner(self, subject: Subject) -> Owner | None:
        """Look an owner up; None where it was never moved."""
        await self.check()
        async with self._database.transaction() as connection:
            return (await owners_by(connection, (subject,))).get(subject)

    async def aside(self, subjects: Collection[Subject], work: Callable[[], Awaitable[None]]) -> None:
        """Do it under the lock that a transfer holds from looking at its fence until it is committed."""
        await self.check()
        async with self._database.transaction(locked(subjects, shared=False)):
            await work()

    async def settle(self, uuid: str) -> None:
        """Do nothing: a transaction leaves nothing half-done, and an open lease stays."""

    async def list(self) -> Changes:
        """Give everything at one cursor."""
        await self.check()
        return await read_all(self._database)

    async def watch(self, after: int) -> AsyncGenerator[Changes, None]:
        """Give every change after a cursor."""
        await self.check()
        async with aclosing(changes_after(self._database, after, self._poll_seconds)) as steps:
            async for changes in steps:
                yield changes

    async def prune(self, kept_for: timedelta = KEPT_FOR) -> int:
        """Throw away changes that are older, and say how many. Several may do it at the same time."""
        await self.check()
        return await prune_log(self._database, self._clock() - kept_for)

    async def check(self) -> None:
        """See that the tables are there and complete. Raises StoreRefused with what to do about it."""
        if self._checked:
            return
        (row,) = await self._database.fetch(statements.VERSION)
        if row["version"] < NEWEST:
            raise StoreRefused(f"the tables are at version {row['version']}, needed is {NEWEST}; {MIGRATE}")
        if row["copying"] is not None:
            raise StoreRefused(
                f"a copy from {row['copying']} is not finished: run `cellplane topology copy-claims` again"
            )
        self._checked = True

    async def _try_begin(
        self, wanted: Wanted, cell: Compare | None
    ) -> Begun | Obstructed | CellChanged | None:
        """Try once; None: somebody was faster, or is gone by now."""
        batch = wanted.batch
        locks = admitted((batch.cell_id,), shared=True) + locked(wanted.subjects, shared=True)
        async with self._database.transaction(locks) as connection:
            # Under the lock: whoever ends the cell has it alone until that is written.
            if cell is not None and (self._stands is None or not await self._stands((cell,))):
                return CellChanged(batch.cell_id)
            held: tuple[Record, ...] = ()
            if batch.destroys:
                found = await found_by(connection, statements.FIND_AND_HOLD, batch.buckets)
                if standing := obstacles(batch, found, await owners_by(connection, wanted.subjects)):
                    return await self._unless_ours(connection, wanted) or Obstructed(standing)
                held = tuple(each for each in found.values() if isinstance(each, Record))
            with told():
                done = await connection.fetchrow(
                    statements.BEGIN,
                    wanted.lease.uuid,
                    batch.cell_id,
                    wanted.lease.created_at,
                    wanted.lease.updated_by,
                    *columns_of(wanted.creates),
                    [record.uuid for record in held],
                )
            if done is not None and done["records"] == len(batch.buckets):
                records = (*wanted.creates, *wanted.leased(held))
                return Begun(wanted.lease, await commit_changes(connection, (wanted.lease, *records)))
        async with self._database.transaction() as connection:
            if begun := await self._unless_ours(connection, wanted):
                return begun
            found = await found_by(connection, statements.FIND, batch.buckets)
            standing = obstacles(batch, found, await owners_by(connection, wanted.subjects))
        return Obstructed(standing) if standing else None

    async def _unless_ours(self, connection: Connection, wanted: Wanted) -> Begun | None:
        """See whether what stands in the way is our own lease, begun by an attempt whose answer got lost."""
        with told():
            begun = await connection.fetchval(statements.LEASE, wanted.lease.uuid)
        return None if begun is None else Begun(wanted.lease)

    async def _close(self, cell_id: int, lease: str, stays: Status, by: str) -> Closed | WrongCell:
        await self.check()
        lost: StoreUnavailable | None = None
        for _ in range(ATTEMPTS):
            try:
                async with self._database.transaction() as connection:
                    with told():
                        rows = await connection.fetch(
                            statements.CLOSE, lease, cell_id, stays, self._clock(), by
                        )
                    if rows:
                        return Closed(found=True, cursor=await commit_end(connection, lease, rows))
                    with told():
                        owner = await connection.fetchval(statements.LEASE, lease)
            except (Clash, OutcomeUnknown) as error:
                lost = error
                continue
            if owner is None:
                return Closed(found=isinstance(lost, OutcomeUnknown))
            return WrongCell(lease, owner)
        raise lost or AssertionError("an attempt ends, or says why not")
