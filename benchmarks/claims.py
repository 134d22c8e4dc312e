"""Claims on paths that benchmarks own, look up and write: all of one organization."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from topology.claims.model import (
    Bucket,
    BucketType,
    Metadata,
    Record,
    Source,
    SourceType,
    Status,
    Subject,
    SubjectType,
)

NOW = datetime.now(UTC)


def metadata(value: str) -> Metadata:
    """Make a claim on a path."""
    return Metadata(
        bucket=Bucket(BucketType.ROUTES, value),
        subject=Subject(SubjectType.ORGANIZATION, 1),
        source=Source(SourceType.RAILS_TABLE_ROUTES, value.encode()),
    )


def record(value: str, cell_id: int = 1) -> Record:
    """Make the record of such a claim."""
    return Record(
        uuid=str(uuid4()),
        metadata=metadata(value),
        cell_id=cell_id,
        status=Status.ACTIVE,
        lease="",
        created_at=NOW,
        updated_at=NOW,
        updated_by="benchmark",
    )
