"""Reads and commits of claims on a `Store`: by exact keys, and with lost answers looked up.

`stored` and `large` work through it. It knows keys and bytes, and decides nothing. Third road: where a `Txn`
is committed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from topology.claims import plan
from topology.claims.codec import decode_lease, decode_part, decode_record
from topology.claims.keys import ClaimKeyspace, LeaseKey, OwnerKey, PartKey
from topology.claims.model import Bucket, Subject
from topology.claims.owner_codec import decode_owner
from topology.claims.owners import is_owner
from topology.claims.plan import Seen, SeenLease, SeenOwner
from topology.claims.rules import Unreadable
from topology.codec import Undecodable
from topology.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from topology.store import MAX_TXN_OPERATIONS, Committed, Compare, Conflict, Record, Store, Txn

ATTEMPTS: Final = 5
Found = Mapping[Bucket, Seen | Unreadable]


@dataclass(frozen=True, slots=True)
class SeenPart:
    """A part of a lease, the revision at which it was written, and the records that it holds."""

    key: str
    revision: int
    buckets: tuple[Bucket, ...]


class Ledger:
    """The keys of claims in one store."""

    def __init__(self, store: Store, keyspace: ClaimKeyspace) -> None:
        self.store = store
        self.keyspace = keyspace

    async def fetch(self, keys: Sequence[str]) -> tuple[Record, ...]:
        """Read keys as they are now; up to 128 of them at one revision.

        The port has no read of single keys, and needs none: a transaction that writes nothing and expects
        every key to be absent fails with whatever is there.
        """
        records: list[Record] = []
        for at in range(0, len(keys), MAX_TXN_OPERATIONS):
            wanted = keys[at : at + MAX_TXN_OPERATIONS]
            outcome = await self.store.commit(Txn(compares=tuple(Compare(key, 0) for key in wanted)))
            if isinstance(outcome, Conflict):
                records += outcome.records
        return tuple(records)

    async def read(self, buckets: Iterable[Bucket]) -> Found:
        """Read the records of buckets; those that nobody owns are left out."""
        return self.found(await self.fetch([self.keyspace.record(bucket) for bucket in buckets]))

    def found(self, records: Iterable[Record]) -> Found:
        """Decode those that are claims."""
        found: dict[Bucket, Seen | Unreadable] = {}
        for stored in records:
            bucket = self.keyspace.parse(stored.key)
            if isinstance(bucket, Bucket):
                record = decode_record(bucket, stored.value)
                found[bucket] = (
                    Unreadable(bucket, record.reason)
                    if isinstance(record, Undecodable)
                    else Seen(record, stored.mod_revision)
                )
        return found

    async def owners(self, subjects: Iterable[Subject]) -> dict[Subject, SeenOwner]:
        """Read the records of owners; those that were never moved have none."""
        wanted = dict.fromkeys(subject for subject in subjects if is_owner(subject))
        return self.owners_in(await self.fetch([self.keyspace.owner(subject) for subject in wanted]))

    def owners_in(self, records: Iterable[Record]) -> dict[Subject, SeenOwner]:
        """Decode those that are owners. Raises StoreRefused where one can't be read: a person mends that."""
        owners: dict[Subject, SeenOwner] = {}
        for stored in records:
            key = self.keyspace.parse(stored.key)
            if isinstance(key, OwnerKey):
                owner = decode_owner(key, stored.value)
                if isinstance(owner, Undecodable):
                    raise StoreRefused(f"the owner at {stored.key} can't be read: {owner.reason}")
                owners[key.subject] = SeenOwner(owner, stored.mod_revision)
        return owners

    async def lease(self, uuid: str) -> SeenLease | None:
        """Read a lease; None where it is closed, or never was."""
        return self.lease_in(await self.fetch((self.keyspace.lease(uuid),)))

    def lease_in(self, records: Iterable[Record]) -> SeenLease | None:
        """Decode the lease among these. Raises StoreRefused where it can't be read: a person mends that."""
        for stored in records:
            key = self.keyspace.parse(stored.key)
            if isinstance(key, LeaseKey):
                lease = decode_lease(key, stored.value)
                if isinstance(lease, Undecodable):
                    raise StoreRefused(f"the lease at {stored.key} can't be read: {lease.reason}")
                return SeenLease(lease, stored.mod_revision)
        return None

    async def quieted(self, cells: Collection[int]) -> dict[str, int]:
        """See to it that every cell has the mark of its quiet; give the marks with their revisions.

        One that is there already is as good: no begin of its cell came since it was written.
        """
        keys = {self.keyspace.quiet(cell_id): cell_id for cell_id in cells}
        for _ in range(ATTEMPTS):
            found = {record.key: record.mod_revision for record in await self.fetch(list(keys))}
            lacking = [cell_id for key, cell_id in keys.items() if key not in found]
            if not lacking:
                return found
            await self.store.commit(plan.quiet(self.keyspace, lacking[:MAX_TXN_OPERATIONS]))
        raise StoreUnavailable(f"cells {', '.join(map(str, cells))} begin batch after batch: try again")

    async def parts(self, uuid: str) -> tuple[SeenPart, ...]:
        """Read what is left of the parts of a lease."""
        listing = await self.store.list(self.keyspace.parts(uuid))
        parts: list[SeenPart] = []
        for stored in listing.records:
            key = self.keyspace.parse(stored.key)
            if isinstance(key, PartKey):
                part = decode_part(key, stored.value)
                if isinstance(part, Undecodable):
                    raise StoreRefused(f"the part of a lease at {stored.key} can't be read: {part.reason}")
                parts.append(SeenPart(stored.key, stored.mod_revision, (*part[0], *part[1])))
        return tuple(parts)

    async def commit(self, txn: Txn, marker: str) -> Committed | Conflict:
        """Commit, also where the answer gets lost: committing again is safe, for the second of the two fails.

        `marker` is a key that the transaction compares, and writes what nobody else writes. Found as written,
        the commit has happened.
        """
        written = dict(txn.puts)[marker]
        lost: OutcomeUnknown | None = None
        for _ in range(ATTEMPTS):
            try:
                outcome = await self.store.commit(txn)
            except OutcomeUnknown as error:
                lost = error
                continue
            if isinstance(outcome, Conflict):
                for stored in outcome.records:
                    if stored.key == marker and stored.value == written:
                        return Committed(stored.mod_revision)
            return outcome
        raise lost or AssertionError("every attempt ends, or loses its answer")
