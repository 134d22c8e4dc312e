"""Decisions on claims, spelled as transactions: begin, close, and the parts of what one can't hold.

The adapter asks for them after `rules` let a batch pass, and commits them. Third road: plans the `Txn`.

How a batch stays whole: a lease that fits into one transaction begins and ends in one. A larger one is
written as PREPARING, then its records in parts, each of which compares the lease's revision. It counts from
the one write that makes it OPEN, and ends by the one that makes it COMMITTING or ROLLING_BACK, after which
anybody may rewrite its parts. Whoever gives a lease up changes it first: no late part commits after that.
Every write of a record compares the record of its owner, so that none slips past a transfer; every new lease
compares the record of its cell and deletes the mark of its quiet, so that none slips past the end of a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from topology.claims.codec import SCHEMA, encode_lease, encode_part, encode_record
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Bucket, ClaimBatch, Lease, Phase, Record, Status, Subject
from topology.claims.owners import Owner, is_owner
from topology.store import MAX_TXN_BYTES, MAX_TXN_OPERATIONS, Compare, Txn

MAX_RECORDS_WHOLE: Final = MAX_TXN_OPERATIONS - 2  # beside the lease and the cell; owners take room too
NEVER_MOVED: Final[Mapping[Subject, int]] = {}
MAX_RECORDS_PART: Final = MAX_TXN_OPERATIONS - 2  # beside the lease and the part
_ROOM: Final = MAX_TXN_BYTES - 10_000  # for the lease or the part itself, without its buckets


class Seen(NamedTuple):
    """A record and the revision at which it was written."""

    record: Record
    revision: int


@dataclass(frozen=True, slots=True)
class SeenLease:
    """A lease and the revision at which it was written."""

    lease: Lease
    revision: int


@dataclass(frozen=True, slots=True)
class SeenOwner:
    """An owner and the revision at which it was written."""

    owner: Owner
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What clock and chance say to a new lease; `uuids` are the records', in the order of the creates."""

    uuid: str
    uuids: tuple[str, ...]
    now: datetime
    by: str


class Write(NamedTuple):
    """One record of a batch as it will be, and the revision that its key must have."""

    record: Record
    key: str
    value: bytes
    revision: int

    @property
    def weight(self) -> int:
        """Count the bytes in the request: the key is compared, written and read on failure, and in the
        lease.
        """
        return 4 * len(self.key) + len(self.value) + 100

    @property
    def owner(self) -> Subject | None:
        """Whose record it is; None of nobody who can be moved."""
        subject = self.record.metadata.subject
        return subject if is_owner(subject) else None


def writes(
    keyspace: ClaimKeyspace, batch: ClaimBatch, opening: Opening, found: Mapping[Bucket, Seen]
) -> tuple[Write, ...]:
    """Give the records of a batch that nothing stands in the way of, creates first."""
    creating = Status.LEASE_CREATING
    leased = [
        (
            Record(
                uuid=uuid,
                metadata=metadata,
                cell_id=batch.cell_id,
                status=creating,
                lease=opening.uuid,
                created_at=opening.now,
                updated_at=opening.now,
                updated_by=opening.by,
            ),
            0,
        )
        for uuid, metadata in zip(opening.uuids, batch.creates, strict=True)
    ]
    for metadata in batch.destroys:
        seen = found[metadata.bucket]
        record = seen.record._replace(
            status=Status.LEASE_DESTROYING,
            lease=opening.uuid,
            updated_at=opening.now,
            updated_by=opening.by,
        )
        leased.append((record, seen.revision))
    return tuple(
        Write(record, keyspace.record(record.metadata.bucket), encode_record(record), revision)
        for record, revision in leased
    )


def fits(batch: tuple[Write, ...]) -> bool:
    """Tell whether one transaction holds the records and their lease."""
    size = len(batch) + len(_owners(batch))
    return size <= MAX_RECORDS_WHOLE and sum(each.weight for each in batch) <= _ROOM


def divide(batch: tuple[Write, ...]) -> tuple[tuple[Write, ...], ...]:
    """Divide the records into parts that one transaction each can hold."""
    parts: list[list[Write]] = [[]]
    owners: set[Subject | None] = set()
    weight = 0
    for each in batch:
        size = len(parts[-1]) + 1 + len((owners | {each.owner}) - {None})
        if size > MAX_RECORDS_PART or weight + each.weight > _ROOM:
            parts.append([])
            owners, weight = set(), 0
        parts[-1].append(each)
        owners.add(each.owner)
        weight += each.weight
    return tuple(tuple(part) for part in parts)


def lease_of(batch: ClaimBatch, opening: Opening, parts: int = 0) -> Lease:
    """Give the new lease: open and whole, or one that begins to be prepared in parts."""
    return Lease(
        uuid=opening.uuid,
        cell_id=batch.cell_id,
        phase=Phase.PREPARING if parts else Phase.OPEN,
        created_at=opening.now,
        updated_at=opening.now,
        updated_by=opening.by,
        creates=() if parts else tuple(each.bucket for each in batch.creates),
        destroys=() if parts else tuple(each.bucket for each in batch.destroys),
        parts=parts,
    )


def begin_whole(
    keyspace: ClaimKeyspace,
    lease: Lease,
    batch: tuple[Write, ...],
    owners: Mapping[Subject, int] = NEVER_MOVED,
    cell: Compare | None = None,
) -> Txn:
    """Plan a lease and its records in one transaction; `owners` come with the revisions of their records,
    `cell` is the record of the cell. The lease is put first, then its records, in their order.
    """
    started = begin_lease(keyspace, lease, cell)
    return Txn(
        compares=(
            *started.compares,
            *(Compare(each.key, each.revision) for each in batch),
            *guards(keyspace, batch, owners),
        ),
        puts=(*started.puts, *((each.key, each.value) for each in batch)),
        deletes=started.deletes,
    )


def begin_lease(keyspace: ClaimKeyspace, lease: Lease, cell: Compare | None = None) -> Txn:
    """Plan a new lease alone: only while its cell is as it was seen, and never unseen by whoever asks for a
    cell that owns nothing. Begins delete its mark and do not compare it, so they don't hinder each other, and
    may be part of one transaction.
    """
    key = keyspace.lease(lease.uuid)
    return Txn(
        compares=(Compare(key, 0), *(() if cell is None else (cell,))),
        puts=((key, encode_lease(lease)),),
        deletes=(keyspace.quiet(lease.cell_id),),
    )


def quiet(keyspace: ClaimKeyspace, cells: Iterable[int]) -> Txn:
    """Plan the marks of cells that have none: whatever gives one of them something deletes its mark."""
    keys = tuple(map(keyspace.quiet, cells))
    return Txn(
        compares=tuple(Compare(key, 0) for key in keys),
        puts=tuple((key, f'{{"schema": {SCHEMA}}}'.encode()) for key in keys),
    )


def change_lease(keyspace: ClaimKeyspace, lease: Lease, revision: int) -> Txn:
    """Plan a lease alone, in another phase."""
    key = keyspace.lease(lease.uuid)
    return Txn(compares=(Compare(key, revision),), puts=((key, encode_lease(lease)),))


def guards(
    keyspace: ClaimKeyspace, batch: Iterable[Write], owners: Mapping[Subject, int]
) -> tuple[Compare, ...]:
    """Compare the owners of records with how they were seen; those that were not have never moved."""
    return tuple(Compare(keyspace.owner(owner), owners.get(owner, 0)) for owner in _owners(batch))


def _owners(batch: Iterable[Write]) -> tuple[Subject, ...]:
    return tuple(filter(is_owner, dict.fromkeys(each.record.metadata.subject for each in batch)))


def write_part(
    keyspace: ClaimKeyspace,
    lease: SeenLease,
    number: int,
    part: tuple[Write, ...],
    owners: Mapping[Subject, int] = NEVER_MOVED,
) -> Txn:
    """Plan one part of a lease that is being prepared and has not been given up."""
    key = keyspace.part(lease.lease.uuid, number)
    return Txn(
        compares=(
            Compare(keyspace.lease(lease.lease.uuid), lease.revision),
            Compare(key, 0),
            *(Compare(each.key, each.revision) for each in part),
            *guards(keyspace, part, owners),
        ),
        puts=((key, part_value(each.record for each in part)), *((each.key, each.value) for each in part)),
    )


def part_value(records: Iterable[Record]) -> bytes:
    """Write which records a part holds."""
    records = tuple(records)
    return encode_part(
        tuple(each.bucket for each in records if each.status is Status.LEASE_CREATING),
        tuple(each.bucket for each in records if each.status is Status.LEASE_DESTROYING),
    )
