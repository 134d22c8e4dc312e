"""The claim store on any `Store`: etcd in production, memory in tests and demos.

The composition root gives it a store; the service writes through it. It decides nothing: `rules` say what may
be, `plan` how it is written. Third road: plans, commits, and looks again where another was faster.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, TypeVar

from topology.claims import closing as ending
from topology.claims.beginning import Beginnings, Whole
from topology.claims.closing import Closing
from topology.claims.entries import entries_of, entry_of
from topology.claims.keys import ClaimKeyspace
from topology.claims.large import LargeLeases
from topology.claims.ledger import ATTEMPTS, Ledger
from topology.claims.model import Bucket, ClaimBatch, Lease, Phase, Record, Subject
from topology.claims.own_writes import OwnWrites
from topology.claims.owners import Owner, is_owner
from topology.claims.plan import Seen, SeenLease
from topology.claims.random_uuid import random_uuid
from topology.claims.rules import Unreadable, amounts_to
from topology.claims.store import (
    Begins,
    Begun,
    CellChanged,
    Changes,
    Closed,
    Entry,
    Invalid,
    Obstructed,
    WrongCell,
)
from topology.claims.transfer import Hindered, Inventory, Previewed, Transferred, TransferWish, Unfit
from topology.claims.transferring import Transfers
from topology.errors import Compacted, OutcomeUnknown, StoreUnavailable
from topology.store import Committed, Compare, Store

T = TypeVar("T")
REMEMBERED: Final = 50_000  # records
READ_AT_ONCE: Final = 500


class StoredClaims:
    """A `ClaimStore` on a `Store`. It remembers the leases that it began: closing one is one write."""

    def __init__(
        self,
        store: Store,
        keyspace: ClaimKeyspace,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_uuid: Callable[[], str] = random_uuid,
    ) -> None:
        self._ledger = Ledger(store, keyspace)
        self._large = LargeLeases(self._ledger, clock)
        self._clock = clock
        self._transfers = Transfers(self._ledger, clock)
        self._own = OwnWrites()
        self._beginnings = Beginnings(self._ledger, self._large, self._transfers, self._own, clock, new_uuid)
        self._begun: OrderedDict[str, Whole] = OrderedDict()
        self._remembered = 0

    async def begin(
        self, batch: ClaimBatch, by: str, cell: Compare | None = None
    ) -> Begun | Invalid | Obstructed | CellChanged:
        """Take a lease on every record of a batch, or on none."""
        outcome = await self._beginnings.begin(batch, by, cell)
        if isinstance(outcome, Whole):
            self._remember(outcome)
            return Begun(outcome.lease, outcome.revision)
        return outcome

    async def quiet(
        self, cells: Collection[int], work: Callable[[Callable[[], Awaitable[Begins]]], Awaitable[T]]
    ) -> T:
        """Do something that relies on cells owning nothing: it compares marks, which begins delete."""

        async def begins() -> Begins:
            marks = await self._ledger.quieted(cells)
            return Begins(max(marks.values(), default=0), tuple(map(Compare, marks.keys(), marks.values())))

        return await work(begins)

    async def commit(self, cell_id: int, lease: str, by: str) -> Closed | WrongCell:
        """Keep what was created, drop what was destroyed."""
        return await self._close(cell_id, lease, Closing(commit=True, now=self._clock(), by=by))

    async def rollback(self, cell_id: int, lease: str, by: str) -> Closed | WrongCell:
        """Take everything back."""
        return await self._close(cell_id, lease, Closing(commit=False, now=self._clock(), by=by))

    async def get(self, bucket: Bucket) -> Record | Unreadable | None:
        """Look a record up."""
        keyspace = self._ledger.keyspace
        for _ in range(ATTEMPTS):
            seen = (await self._ledger.read([bucket])).get(bucket)
            if not isinstance(seen, Seen):
                return seen
            keys, subject = [keyspace.record(bucket)], seen.record.metadata.subject
            if seen.record.lease:
                keys.append(keyspace.lease(seen.record.lease))
            if is_owner(subject):
                keys.append(keyspace.owner(subject))
            if len(keys) == 1:
                return seen.record
            # Together: what the record is seen in the light of must be what holds and owns it.
            together = await self._ledger.fetch(keys)
            again = self._ledger.found(together).get(bucket)
            if isinstance(again, Seen) and _same_light(again.record, seen.record):
                lease = self._ledger.lease_in(together)
                owners = {each: found.owner for each, found in self._ledger.owners_in(together).items()}
                return amounts_to(again.record, lease.lease.phase if lease else Phase.OPEN, owners)
        raise StoreUnavailable(f"{bucket} changed {ATTEMPTS} times while it was read: try again")

    async def transfer(
        self, wish: TransferWish, by: str, inventory: Inventory | None = None
    ) -> Transferred | Previewed | Invalid | Unfit | Hindered:
        """Move the claims of owners from one cell to another, all or none."""
        return await self._transfers.transfer(wish, by, inventory)

    async def owner(self, subject: Subject) -> Owner | None:
        """Look an owner up; None where it was never moved."""
        seen = (await self._ledger.owners([subject])).get(subject)
        return None if seen is None else seen.owner

    async def aside(self, subjects: Collection[Subject], work: Callable[[], Awaitable[None]]) -> None:
        """Just do it: a transfer compares its fence in the write that moves the owners."""
        del subjects
        await work()

    async def settle(self, uuid: str) -> None:
        """Finish what a writer that died left of a lease or a transfer."""
        await self._large.settle(uuid)
        await self._transfers.settle(uuid)

    async def list(self) -> Changes:
        """Give everything at one cursor."""
        ledger = self._ledger
        for _ in range(ATTEMPTS):
            try:
                listing = await ledger.store.list(ledger.keyspace.root)
            except Compacted:  # between two pages of a long listing
                continue
            entries: list[Entry] = []
            for at, record in enumerate(listing.records, 1):
                entry = entry_of(ledger.keyspace, record)
                if entry is not None:
                    entries.append(entry)
                if at % READ_AT_ONCE == 0:  # a million takes half a minute, and others want to be served
                    await asyncio.sleep(0)
            return Changes(listing.revision, tuple(entries))
        raise StoreUnavailable(f"history was compacted during {ATTEMPTS} listings in a row: try again")

    async def watch(self, after: int) -> AsyncGenerator[Changes, None]:
        """Give every change after a cursor."""
        ledger = self._ledger
        async with aclosing(ledger.store.watch(ledger.keyspace.root, after)) as batches:
            async for batch in batches:
                yield Changes(batch.revision, entries_of(ledger.keyspace, batch.events, self._own.take))

    def _remember(self, begun: Whole) -> None:
        self._begun[begun.lease.uuid] = begun
        self._remembered += len(begun.records)
        while self._remembered > REMEMBERED:
            _, oldest = self._begun.popitem(last=False)
            self._remembered -= len(oldest.records)

    def _recall(self, lease: str) -> Whole | None:
        begun = self._begun.pop(lease, None)
        if begun is not None:
            self._remembered -= len(begun.records)
        return begun

    async def _close(self, cell_id: int, lease: str, closing: Closing) -> Closed | WrongCell:
        lost = False
        for _ in range(ATTEMPTS):
            seen = self._recall(lease) or await self._ledger.lease(lease)
            if seen is None:
                return Closed(found=lost)
            if seen.lease.cell_id != cell_id:
                return WrongCell(lease, seen.lease.cell_id)
            if seen.lease.phase is not Phase.OPEN:  # decided already, or never told to anybody
                await self._large.settle(lease)
                return Closed(found=False)
            try:
                if isinstance(seen, SeenLease) and seen.lease.parts:
                    return Closed(found=True, cursor=await self._large.decide(seen, closing))
                records = seen.records if isinstance(seen, Whole) else await self._records(seen.lease)
                taken, left = ending.at_once(seen.lease, records, closing)
                if left:
                    whole = SeenLease(seen.lease, seen.revision)
                    if revision := await self._large.decide_whole(whole, records, closing):
                        return Closed(found=True, cursor=revision)
                    continue
                ended = ending.ends(taken, closing)
                txn = ending.close(self._ledger.keyspace, seen.lease, seen.revision, ended, closing)
                self._own.note(txn.puts, ended.stay)
                outcome = await self._ledger.store.commit(txn)
                if isinstance(outcome, Committed):
                    return Closed(found=True, cursor=outcome.revision)
            except OutcomeUnknown:
                lost = True
        raise StoreUnavailable(f"lease {lease} could not be closed within {ATTEMPTS} attempts: try again")

    async def _records(self, lease: Lease) -> tuple[Record, ...]:
        found = await self._ledger.read((*lease.creates, *lease.destroys))
        return tuple(each.record for each in found.values() if isinstance(each, Seen))


def _same_light(one: Record, other: Record) -> bool:
    return (one.lease, one.metadata.subject) == (other.lease, other.metadata.subject)
