"""Claims to start from, spelled out once: a test says only what matters to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from topology.claims.model import (
    Bucket,
    BucketType,
    ClaimBatch,
    Lease,
    Metadata,
    Phase,
    Record,
    Source,
    SourceType,
    Status,
    Subject,
    SubjectType,
)
from topology.claims.owners import Owner, Transfer, TransferPhase
from topology.model import Stamp

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE_1 = "00000000-0000-4000-8000-000000000001"
LEASE_2 = "00000000-0000-4000-8000-000000000002"
OWNER = Subject(SubjectType.NAMESPACE, 42)
OTHER = Subject(SubjectType.ORGANIZATION, 7)
STAMP = Stamp(updated_by="ADMIN", updated_at="2026-03-01T12:00:00.000000Z", reason="a test")


def route(value: str) -> Bucket:
    return Bucket(BucketType.ROUTES, value)


def metadata(value: str, row: int = 7, kind: BucketType = BucketType.ROUTES) -> Metadata:
    return Metadata(
        bucket=Bucket(kind, value),
        subject=OWNER,
        source=Source(SourceType.RAILS_TABLE_ROUTES, row.to_bytes(8, "big")),
    )


def batch(
    cell_id: int, creates: Iterable[str] = (), destroys: Iterable[str] = (), subject: Subject = OWNER
) -> ClaimBatch:
    return ClaimBatch(
        cell_id=cell_id,
        creates=tuple(metadata(value)._replace(subject=subject) for value in creates),
        destroys=tuple(metadata(value) for value in destroys),
    )


def record(
    value: str, cell_id: int = 1, status: Status = Status.ACTIVE, lease: str = "", row: int = 7
) -> Record:
    return Record(
        uuid="00000000-0000-4000-9000-00000000000a",
        metadata=metadata(value, row),
        cell_id=cell_id,
        status=status,
        lease=lease,
        created_at=NOON,
        updated_at=NOON,
        updated_by="CELL-1",
    )


def lease(
    uuid: str = LEASE_1, cell_id: int = 1, phase: Phase = Phase.OPEN, created_at: datetime = NOON
) -> Lease:
    return Lease(
        uuid=uuid,
        cell_id=cell_id,
        phase=phase,
        created_at=created_at,
        updated_at=created_at,
        updated_by="CELL-1",
    )


def owner(cell_id: int = 2, epoch: int = 2, transfer: str = "", subject: Subject = OWNER) -> Owner:
    return Owner(subject=subject, cell_id=cell_id, epoch=epoch, transfer=transfer, stamp=STAMP)


def transfer(phase: TransferPhase = TransferPhase.PREPARING, *owners: tuple[Subject, int]) -> Transfer:
    return Transfer(
        id=LEASE_2,
        phase=phase,
        from_cell=1,
        to_cell=2,
        owners=owners or ((OWNER, 1),),
        records=0,
        slots=(),
        created_at=NOON,
        stamp=STAMP,
    )


def counting_uuids(start: int = 1) -> Callable[[], str]:
    """Give a function that makes one UUID after the other."""
    numbers = itertools.count(start)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012x}"


class TestClock:
    """A clock that a test moves."""

    __test__ = False

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **much: float) -> None:
        self.now += timedelta(**much)
