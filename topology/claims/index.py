"""All claims in memory, so that classification and listings wait for nobody.

The follower keeps it up to date; the service asks it. Unlike a View it is changed in place: it may hold
millions, of which a change touches few. `Request -> ClassificationKey -> Decision`: looks the key up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from topology.claims.model import Bucket, BucketType, Lease, Phase, Record, SourceType, Subject
from topology.claims.owners import Owner, OwnerGone, is_owner
from topology.claims.rules import amounts_to, placed
from topology.claims.shelves import Possessions, Shelves
from topology.claims.store import Changes, Entry, Gone, LeaseGone, Odd


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """Records of a cell by where they come from, in the order of their source ids.

    `source` None: of all tables. `upto` empty: to the end. `room`: for values and user data, in bytes.
    """

    cell_id: int
    source: SourceType | None = None
    buckets: frozenset[BucketType] = frozenset()
    after: bytes = b""
    upto: bytes = b""
    limit: int = 1000
    room: int = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseQuery:
    """Open leases of a cell, the oldest first, after the one at which the last page ended."""

    cell_id: int
    after: tuple[datetime, str] | None = None
    created_after: datetime | None = None
    limit: int = 100


class ClaimIndex:
    """Claims and leases as of a cursor. What it answers is what records count as, leases and owners
    considered.
    """

    def __init__(self) -> None:
        self.cursor = 0
        self.odd: dict[Bucket | str, Odd] = {}
        """What can't be read."""
        self._records: dict[Bucket, Record] = {}
        self._leases: dict[str, Lease] = {}
        self._owners: dict[Subject, Owner] = {}
        self._held: dict[Subject, str] = {}
        self._shelves = Shelves()
        self._possessions = Possessions()

    @property
    def leases(self) -> Mapping[str, Lease]:
        """Every lease, in whatever phase."""
        return self._leases

    @property
    def owners(self) -> Mapping[Subject, Owner]:
        """Every owner that was moved, or is about to be."""
        return self._owners

    def __len__(self) -> int:
        """Count the records, those in leases too."""
        return len(self._records)

    def load(self, listing: Changes) -> None:
        """Hold exactly what a listing says."""
        self.odd, self._records, self._leases, self._owners, self._held = {}, {}, {}, {}, {}
        self._possessions = Possessions()
        for entry in listing.entries:
            match entry:
                case Record():
                    self._records[entry.bucket] = entry
                    self._possess(entry)
                case Lease():
                    self._leases[entry.uuid] = entry
                case Owner():
                    self._owners[entry.subject] = entry
                    self._hold(entry)
                case Odd(about=about):
                    self.odd[about] = entry
        self._shelves.fill(placed(record, self._owners) for record in self._records.values())
        self.cursor = listing.cursor

    def apply(self, changes: Changes) -> None:
        """Take in one step of a watch; one at or below the cursor changes nothing."""
        if changes.cursor <= self.cursor:
            return
        for entry in changes.entries:
            match entry:
                case Record():
                    self._put(entry)
                case Gone(bucket):
                    self.odd.pop(bucket, None)
                    self._remove(bucket)
                case Lease():
                    self.odd.pop(entry.uuid, None)
                    self._leases[entry.uuid] = entry
                case LeaseGone(uuid):
                    self.odd.pop(uuid, None)
                    self._leases.pop(uuid, None)
                case Owner():
                    self._own(entry.subject, entry)
                case OwnerGone(subject):
                    self._own(subject, None)
                case Odd(reason="", about=about):
                    self.odd.pop(about, None)
                case Odd(about=about):
                    # A record that turned bad keeps counting as it last was: nobody else can have it.
                    self.odd[about] = entry
        self.cursor = changes.cursor

    def owned_by(self, cell_id: int) -> tuple[int, int]:
        """Count the records and the leases of a cell."""
        return self._shelves.count(cell_id), sum(lease.cell_id == cell_id for lease in self._leases.values())

    def entries(self) -> tuple[Entry, ...]:
        """Give all that can be read, as it is stored, at the cursor."""
        return (*self._leases.values(), *self._owners.values(), *self._records.values())

    def find(self, bucket: Bucket) -> Record | None:
        """Give the record of a bucket as it counts."""
        record = self._records.get(bucket)
        return None if record is None else self._seen(record)

    def claimed_for(self, subject: Subject) -> tuple[Bucket, ...]:
        """Name every claim of an owner, in whatever lease, also one that does not count yet."""
        return self._possessions.of(subject)

    def records(self, query: RecordQuery) -> tuple[tuple[Record, ...], bool]:
        """Give a page of records, and whether there are more.

        A page ends between two source ids, for whoever reads on does so after the last id of the page; so it
        may be a few longer than the limit, and a little larger than its room.
        """
        page: list[Record] = []
        taken = 0
        for record in self._matching(query):
            full = len(page) >= query.limit or taken >= query.room
            if full and record.metadata.source.id != page[-1].metadata.source.id:
                return tuple(page), True
            page.append(record)
            data = record.metadata.user_data
            taken += len(record.bucket.value) + (len(data.value) if data else 0)
        return tuple(page), False

    def open_leases(self, query: LeaseQuery) -> tuple[tuple[Lease, ...], bool]:
        """Give a page of leases, and whether there are more."""
        found = sorted(
            (
                lease
                for lease in self._leases.values()
                if lease.cell_id == query.cell_id
                and lease.phase is Phase.OPEN
                and (query.created_after is None or lease.created_at > query.created_after)
                and (query.after is None or (lease.created_at, lease.uuid) > query.after)
            ),
            key=lambda lease: (lease.created_at, lease.uuid),
        )
        return tuple(found[: query.limit]), len(found) > query.limit

    def unfinished(self) -> tuple[str, ...]:
        """Name the leases that are not open and the transfers that are not over: somebody is at them, or died
        over them.
        """
        leases = (lease.uuid for lease in self._leases.values() if lease.phase is not Phase.OPEN)
        return (*leases, *dict.fromkeys(self._held.values()))

    def oldest_lease(self) -> Lease | None:
        """Give the lease that has been open for longest."""
        leases = (lease for lease in self._leases.values() if lease.phase is Phase.OPEN)
        return min(leases, key=lambda lease: lease.created_at, default=None)

    def _matching(self, query: RecordQuery) -> Iterator[Record]:
        sources = tuple(SourceType) if query.source is None else (query.source,)
        for source_id, bucket in self._shelves.walk(query.cell_id, sources, query.after):
            if query.upto and source_id > query.upto:
                return
            if query.buckets and bucket.type not in query.buckets:
                continue
            record = self.find(bucket)
            if record is not None:
                yield record

    def _seen(self, record: Record) -> Record | None:
        lease = self._leases.get(record.lease) if record.lease else None
        return amounts_to(record, lease.phase if lease else Phase.OPEN, self._owners)

    def _put(self, record: Record) -> None:
        bucket = record.metadata.bucket
        if self.odd:
            self.odd.pop(bucket, None)
        before = self._records.get(bucket)
        self._records[bucket] = record
        if before is not None and before.metadata is record.metadata and before.cell_id == record.cell_id:
            return  # the lease alone is another: as after most writes of this process
        possessed = before is not None and before.metadata.subject == record.metadata.subject
        if before is not None and not possessed:
            self._possessions.discard(before.metadata.subject, bucket)
        self._shelves.replace(before and placed(before, self._owners), placed(record, self._owners))
        if not possessed:
            self._possess(record)

    def _remove(self, bucket: Bucket) -> None:
        record = self._records.pop(bucket, None)
        if record is not None:
            self._shelves.replace(placed(record, self._owners), None)
            self._possessions.discard(record.metadata.subject, bucket)

    def _possess(self, record: Record) -> None:
        if is_owner(record.metadata.subject):
            self._possessions.add(record.metadata.subject, record.bucket)

    def _own(self, subject: Subject, owner: Owner | None) -> None:
        """Note where an owner is; all its claims are there with it."""
        records = [self._records[bucket] for bucket in self.claimed_for(subject)]
        before = [placed(record, self._owners) for record in records]
        self._held.pop(subject, None)
        if owner is None:
            self._owners.pop(subject, None)
        else:
            self.odd.pop(owner.name, None)
            self._owners[subject] = owner
            self._hold(owner)
        after = (placed(record, self._owners) for record in records)
        self._shelves.replace_all(
            (was, now) for was, now in zip(before, after, strict=True) if was.cell_id != now.cell_id
        )

    def _hold(self, owner: Owner) -> None:
        if owner.transfer:
            self._held[owner.subject] = owner.transfer
