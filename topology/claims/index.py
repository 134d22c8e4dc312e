"""All claims in memory, so that classification and listings wait for nobody.

The follower keeps it up to date; the service asks it. Unlike a View it is changed in place: it may hold
millions, of which a change touches few. `Request -> ClassificationKey -> Decision`: looks the key up.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import merge

from topology.claims.model import Bucket, BucketType, Lease, Phase, Record, SourceType
from topology.claims.rules import amounts_to
from topology.claims.store import Changes, Gone, LeaseGone, Odd

_Place = tuple[bytes, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """Records of a cell by where they come from, in the order of their source ids.

    `source` None: of all tables. `upto` empty: to the end.
    """

    cell_id: int
    source: SourceType | None = None
    buckets: frozenset[BucketType] = frozenset()
    after: bytes = b""
    upto: bytes = b""
    limit: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseQuery:
    """Open leases of a cell, the oldest first, after the one at which the last page ended."""

    cell_id: int
    after: tuple[datetime, str] | None = None
    created_after: datetime | None = None
    limit: int = 100


class ClaimIndex:
    """Claims and leases as of a cursor. What it answers is what records count as, leases considered."""

    def __init__(self) -> None:
        self.cursor = 0
        self.odd: dict[Bucket | str, Odd] = {}
        """What can't be read."""
        self._records: dict[Bucket, Record] = {}
        self._leases: dict[str, Lease] = {}
        self._places: dict[tuple[int, SourceType], list[_Place]] = {}

    @property
    def leases(self) -> Mapping[str, Lease]:
        """Every lease, in whatever phase."""
        return self._leases

    def __len__(self) -> int:
        """Count the records, those in leases too."""
        return len(self._records)

    def load(self, listing: Changes) -> None:
        """Hold exactly what a listing says."""
        self.odd, self._records, self._leases, self._places = {}, {}, {}, {}
        for entry in listing.entries:
            match entry:
                case Record():
                    self._records[entry.bucket] = entry
                    self._places.setdefault(_shelf(entry), []).append(_place(entry))
                case Lease():
                    self._leases[entry.uuid] = entry
                case Odd(about=about):
                    self.odd[about] = entry
        for places in self._places.values():
            places.sort()
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
                case Odd(reason="", about=about):
                    self.odd.pop(about, None)
                case Odd(about=about):
                    # A record that turned bad keeps counting as it last was: nobody else can have it.
                    self.odd[about] = entry
        self.cursor = changes.cursor

    def owned_by(self, cell_id: int) -> tuple[int, int]:
        """Count the records and the leases of a cell."""
        records = sum(len(places) for (owner, _), places in self._places.items() if owner == cell_id)
        return records, sum(lease.cell_id == cell_id for lease in self._leases.values())

    def find(self, bucket: Bucket) -> Record | None:
        """Give the record of a bucket as it counts."""
        record = self._records.get(bucket)
        return None if record is None else self._seen(record)

    def records(self, query: RecordQuery) -> tuple[tuple[Record, ...], bool]:
        """Give a page of records, and whether there are more.

        A page ends between two source ids, for whoever reads on does so after the last id of the page; so it
        may be a few longer than the limit.
        """
        page: list[Record] = []
        for record in self._matching(query):
            if len(page) >= query.limit and record.metadata.source.id != page[-1].metadata.source.id:
                return tuple(page), True
            page.append(record)
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
        """Name the leases that are not open: somebody is at them, or died over them."""
        return tuple(lease.uuid for lease in self._leases.values() if lease.phase is not Phase.OPEN)

    def oldest_lease(self) -> Lease | None:
        """Give the lease that has been open for longest."""
        leases = (lease for lease in self._leases.values() if lease.phase is Phase.OPEN)
        return min(leases, key=lambda lease: lease.created_at, default=None)

    def _matching(self, query: RecordQuery) -> Iterator[Record]:
        sources = tuple(SourceType) if query.source is None else (query.source,)
        shelves = [self._places.get((query.cell_id, source), []) for source in sources]
        for source_id, kind, value in merge(*(_after(shelf, query.after) for shelf in shelves)):
            if query.upto and source_id > query.upto:
                return
            bucket = Bucket(BucketType(kind), value)
            if query.buckets and bucket.type not in query.buckets:
                continue
            record = self.find(bucket)
            if record is not None:
                yield record

    def _seen(self, record: Record) -> Record | None:
        if not record.lease:
            return record
        lease = self._leases.get(record.lease)
        return amounts_to(record, lease.phase if lease else Phase.OPEN)

    def _put(self, record: Record) -> None:
        self.odd.pop(record.bucket, None)
        before = self._records.get(record.bucket)
        # Most changes are of a lease alone; only others move a record on its shelf, which may be a long one.
        if before is None or (_shelf(before), _place(before)) != (_shelf(record), _place(record)):
            self._remove(record.bucket)
            insort(self._places.setdefault(_shelf(record), []), _place(record))
        self._records[record.bucket] = record

    def _remove(self, bucket: Bucket) -> None:
        record = self._records.pop(bucket, None)
        if record is not None:
            places = self._places[_shelf(record)]
            places.pop(bisect_right(places, _place(record)) - 1)


def _shelf(record: Record) -> tuple[int, SourceType]:
    return record.cell_id, record.metadata.source.type


def _place(record: Record) -> _Place:
    return record.metadata.source.id, int(record.bucket.type), record.bucket.value


def _after(places: list[_Place], source_id: bytes) -> Iterator[_Place]:
    """Give the places behind all those of a source id; no id: all."""
    if not source_id:
        return iter(places)
    # The first id that is greater is this one with a zero byte behind it.
    first = bisect_right(places, (source_id + b"\0", 0, ""))
    return (places[at] for at in range(first, len(places)))
