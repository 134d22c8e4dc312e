"""The claim store on any `Store`: etcd in production, memory in tests and demos.

The composition root gives it a store; the service writes through it. It decides nothing: `rules` say what may
be, `plan` how it is written. Third road: plans, commits, and looks again where another was faster.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from topology.claims import closing as ending
from topology.claims import plan
from topology.claims.closing import Closing
from topology.claims.entries import entries_of, entry_of
from topology.claims.keys import ClaimKeyspace
from topology.claims.large import LargeLeases
from topology.claims.ledger import ATTEMPTS, Found, Ledger, SeenLease
from topology.claims.model import Bucket, ClaimBatch, Lease, Phase, Record
from topology.claims.plan import Opening, Seen
from topology.claims.rules import Leased, Obstacle, Unreadable, amounts_to, batch_problems, obstacles
from topology.claims.store import Begun, Changes, Closed, Entry, Invalid, Obstructed, WrongCell
from topology.errors import Compacted, OutcomeUnknown, StoreUnavailable
from topology.store import Committed, Conflict, Store

REMEMBERED: Final = 50_000  # records
READ_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class _Open:
    """A lease that is closed by one write, its revision, and its records."""

    lease: Lease
    revision: int
    records: tuple[Record, ...]


class StoredClaims:
    """A `ClaimStore` on a `Store`. It remembers the leases that it began: closing one is one write."""

    def __init__(
        self,
        store: Store,
        keyspace: ClaimKeyspace,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_uuid: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._ledger = Ledger(store, keyspace)
        self._large = LargeLeases(self._ledger, clock)
        self._clock = clock
        self._new_uuid = new_uuid
        self._begun: OrderedDict[str, _Open] = OrderedDict()
        self._remembered = 0

    async def begin(self, batch: ClaimBatch, by: str) -> Begun | Invalid | Obstructed:
        """Take a lease on every record of a batch, or on none."""
        if problems := batch_problems(batch):
            return Invalid(problems)
        # What is to be created is taken to be absent: if not, the commit's answer says what is there.
        blind = not batch.destroys and len(batch.creates) <= plan.MAX_RECORDS_WHOLE
        found = {} if blind else await self._ledger.read(batch.buckets)
        before: tuple[Obstacle, ...] = ()
        for _ in range(ATTEMPTS):
            standing = obstacles(batch, {bucket: _plain(each) for bucket, each in found.items()})
            if standing:
                if standing == before or not await self._cleared(standing):
                    return Obstructed(standing)
                before = standing
                found = await self._ledger.read(batch.buckets)
                continue
            outcome = await self._try_begin(batch, self._opening(batch, by), found)
            if isinstance(outcome, Begun):
                return outcome
            found = self._after(outcome, found)
        raise StoreUnavailable(f"other writers were faster {ATTEMPTS} times in a row: try again")

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
            if not seen.record.lease:
                return seen.record
            # Both at once: the lease in whose light the record is seen must be the one that holds it.
            both = await self._ledger.fetch((keyspace.record(bucket), keyspace.lease(seen.record.lease)))
            again = self._ledger.found(both).get(bucket)
            if isinstance(again, Seen) and again.record.lease == seen.record.lease:
                lease = self._ledger.lease_in(both)
                return amounts_to(again.record, lease.lease.phase if lease else Phase.OPEN)
        raise StoreUnavailable(f"{bucket} changed {ATTEMPTS} times while it was read: try again")

    async def settle(self, lease: str) -> None:
        """Finish what a writer that died left of a lease."""
        await self._large.settle(lease)

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
                yield Changes(batch.revision, entries_of(ledger.keyspace, batch.events))

    async def _try_begin(self, batch: ClaimBatch, opening: Opening, found: Found) -> Begun | Conflict:
        ledger = self._ledger
        seen = {bucket: each for bucket, each in found.items() if isinstance(each, Seen)}
        writes = plan.writes(ledger.keyspace, batch, opening, seen)
        if not plan.fits(writes):
            begun = await self._large.begin(batch, opening, writes)
            return begun if isinstance(begun, Conflict) else Begun(begun)
        lease = plan.lease_of(batch, opening)
        txn = plan.begin_whole(ledger.keyspace, lease, writes)
        outcome = await ledger.commit(txn, ledger.keyspace.lease(lease.uuid))
        if isinstance(outcome, Conflict):
            return outcome
        self._remember(_Open(lease, outcome.revision, tuple(each.record for each in writes)))
        return Begun(lease)

    def _remember(self, begun: _Open) -> None:
        self._begun[begun.lease.uuid] = begun
        self._remembered += len(begun.records)
        while self._remembered > REMEMBERED:
            _, oldest = self._begun.popitem(last=False)
            self._remembered -= len(oldest.records)

    def _recall(self, lease: str) -> _Open | None:
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
                    await self._large.decide(seen, closing)
                    return Closed(found=True)
                records = seen.records if isinstance(seen, _Open) else await self._records(seen.lease)
                taken, left = ending.at_once(seen.lease, records, closing)
                if left:
                    whole = SeenLease(seen.lease, seen.revision)
                    if await self._large.decide_whole(whole, records, closing):
                        return Closed(found=True)
                    continue
                txn = ending.close(self._ledger.keyspace, seen.lease, seen.revision, taken, closing)
                if isinstance(await self._ledger.store.commit(txn), Committed):
                    return Closed(found=True)
            except OutcomeUnknown:
                lost = True
        raise StoreUnavailable(f"lease {lease} could not be closed within {ATTEMPTS} attempts: try again")

    async def _records(self, lease: Lease) -> tuple[Record, ...]:
        found = await self._ledger.read((*lease.creates, *lease.destroys))
        return tuple(each.record for each in found.values() if isinstance(each, Seen))

    async def _cleared(self, standing: Iterable[Obstacle]) -> bool:
        """Finish decided leases that stand in the way; True where one did, so that looking again pays."""
        if not all(isinstance(each, Leased) for each in standing):
            return False
        cleared = False
        for uuid_ in dict.fromkeys(each.lease for each in standing if isinstance(each, Leased)):
            before = await self._ledger.lease(uuid_)
            if before is not None and before.lease.phase is not Phase.OPEN:
                await self._large.settle(uuid_)
                before = await self._ledger.lease(uuid_)
            cleared |= before is None
        return cleared

    def _after(self, conflict: Conflict, found: Found) -> Found:
        """Correct what was found by what the conflict says."""
        parsed = (self._ledger.keyspace.parse(key) for key in conflict.keys)
        differing = {each for each in parsed if isinstance(each, Bucket)}
        rest = {bucket: each for bucket, each in found.items() if bucket not in differing}
        return {**rest, **self._ledger.found(conflict.records)}

    def _opening(self, batch: ClaimBatch, by: str) -> Opening:
        return Opening(
            uuid=self._new_uuid(),
            uuids=tuple(self._new_uuid() for _ in batch.creates),
            now=self._clock(),
            by=by,
        )


def _plain(found: Seen | Unreadable) -> Record | Unreadable:
    return found.record if isinstance(found, Seen) else found
