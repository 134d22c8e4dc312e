"""Rows of the tables as the values of the port, and back; and what a transaction changed, as keys and bodies.

`store` and `watch` hand it rows. The log speaks the keys and bodies of the other stores, so one reader does
for all. It talks to nobody. Third road.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, Final, Protocol

from topology import store
from topology.claims.codec import encode_lease, encode_record
from topology.claims.entries import entry_of, removal_of
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import (
    Bucket,
    BucketType,
    Lease,
    Metadata,
    Phase,
    Record,
    Source,
    SourceType,
    Spelling,
    Status,
    Subject,
    SubjectType,
    UserData,
)
from topology.claims.owner_codec import encode_owner
from topology.claims.owners import Owner
from topology.claims.rules import Unreadable
from topology.claims.store import Entry, Odd
from topology.keys import Keyspace
from topology.model import Stamp

KEYS: Final = ClaimKeyspace.beside(Keyspace())
"""How keys are spelled in the log, whatever prefix the topology has in etcd."""


class Row(Protocol):
    """A row, by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any: ...


def digest(bucket: Bucket) -> bytes:
    """Give what the unique index holds of a value."""
    return sha256(bucket.value.encode()).digest()


def record_of(row: Row) -> Record | Odd:
    """Read a claim. What a later version wrote may be odd to this one."""
    try:
        bucket = Bucket(BucketType(row["bucket_type"]), row["bucket_value"])
    except ValueError as error:
        key = f"claims/{row['uuid']}"
        return Odd(key, str(error), key)
    try:
        kind = row["user_data_type"]
        return Record(
            uuid=str(row["uuid"]),
            metadata=Metadata(
                bucket=bucket,
                subject=Subject(SubjectType(row["subject_type"]), row["subject_id"]),
                source=Source(SourceType(row["source_type"]), row["source_id"]),
                user_data=None if kind is None else UserData(kind, row["user_data"]),
                spelling=Spelling(row["spelling"]),
            ),
            cell_id=row["cell_id"],
            status=Status(row["status"]),
            lease="" if row["lease"] is None else str(row["lease"]),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            updated_by=row["updated_by"],
        )
    except ValueError as error:
        return Odd(KEYS.record(bucket), str(error), bucket)


def found_in(rows: Iterable[Row]) -> dict[Bucket, Record | Unreadable]:
    """Read the claims that were looked for by their buckets."""
    found: dict[Bucket, Record | Unreadable] = {}
    for row in rows:
        record = record_of(row)
        if isinstance(record, Record):
            found[record.bucket] = record
        elif isinstance(record.about, Bucket):
            found[record.about] = Unreadable(record.about, record.reason)
    return found


def lease_of(row: Row) -> Lease:
    """Read a lease. What it holds is found by the records' own word."""
    return Lease(
        uuid=str(row["uuid"]),
        cell_id=row["cell_id"],
        phase=Phase.OPEN,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
    )


def owner_of(row: Row) -> Owner | Odd:
    """Read an owner that was moved."""
    try:
        subject = Subject(SubjectType(row["subject_type"]), row["subject_id"])
    except ValueError as error:
        key = f"claim_owners/{row['subject_type']}/{row['subject_id']}"
        return Odd(key, str(error), key)
    return Owner(
        subject=subject,
        cell_id=row["cell_id"],
        epoch=row["epoch"],
        transfer="",
        stamp=Stamp(updated_by=row["updated_by"], updated_at=row["updated_at"], reason=row["reason"]),
    )


def columns_of(records: Sequence[Record]) -> tuple[list[Any], ...]:
    """Give new claims as the ten columns that `BEGIN` takes."""
    stated = [record.metadata for record in records]
    return (
        [record.uuid for record in records],
        [int(each.bucket.type) for each in stated],
        [each.bucket.value for each in stated],
        [int(each.subject.type) for each in stated],
        [each.subject.id for each in stated],
        [int(each.source.type) for each in stated],
        [each.source.id for each in stated],
        [each.user_data.type_url if each.user_data else None for each in stated],
        [each.user_data.value if each.user_data else None for each in stated],
        [each.spelling.value for each in stated],
    )


def row_of(record: Record) -> tuple[Any, ...]:
    """Give a claim as it is copied in, in the order of `statements.COLUMNS`."""
    return (
        *(column[0] for column in columns_of([record])),
        record.cell_id,
        record.status.value,
        record.lease or None,
        record.created_at,
        record.updated_at,
        record.updated_by,
    )


def change_of(
    written: Iterable[Record | Lease | Owner], gone: Iterable[Bucket] = (), closed: Iterable[str] = ()
) -> tuple[list[str], list[str | None]]:
    """Give what a transaction did as the log keeps it: keys, and what was written there."""
    keys: list[str] = []
    bodies: list[str | None] = []
    for each in written:
        key, body = _written(each)
        keys.append(key)
        bodies.append(body.decode())
    away = [*map(KEYS.record, gone), *map(KEYS.lease, closed)]
    return keys + away, bodies + [None] * len(away)


def entries_of(keys: Sequence[str], bodies: Sequence[str | None]) -> tuple[Entry, ...]:
    """Read what a transaction did."""
    entries = (
        removal_of(KEYS, key) if body is None else entry_of(KEYS, store.Record(key, body.encode(), 0, 0, 0))
        for key, body in zip(keys, bodies, strict=True)
    )
    return tuple(entry for entry in entries if entry is not None)


def _written(each: Record | Lease | Owner) -> tuple[str, bytes]:
    match each:
        case Record():
            return KEYS.record(each.bucket), encode_record(each)
        case Lease():
            return KEYS.lease(each.uuid), encode_lease(each)
        case Owner():
            return KEYS.owner(each.subject), encode_owner(each)
