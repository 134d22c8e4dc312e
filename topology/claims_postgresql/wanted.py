"""A batch as it will be written: its lease and its records, the same at every attempt.

The store makes one for each begin. Attempts that share a lease's uuid can't both happen. It reads no clock
and makes no uuid. Third road: what the transaction writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from topology.claims.model import ClaimBatch, Lease, Phase, Record, Status, Subject
from topology.claims.owners import is_owner
from topology.claims_postgresql.rows import digest


@dataclass(frozen=True, slots=True)
class Wanted:
    """A batch with the lease and the new records that it would get."""

    batch: ClaimBatch
    lease: Lease
    creates: tuple[Record, ...]

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """For whom something is to be created or destroyed, each once."""
        named = (metadata.subject for metadata in (*self.batch.creates, *self.batch.destroys))
        return tuple(dict.fromkeys(subject for subject in named if is_owner(subject)))

    def leased(self, held: Iterable[Record]) -> tuple[Record, ...]:
        """Give the records that the batch destroys, as its lease holds them."""
        return tuple(
            record._replace(
                status=Status.LEASE_DESTROYING,
                lease=self.lease.uuid,
                updated_at=self.lease.created_at,
                updated_by=self.lease.updated_by,
            )
            for record in held
        )


def wanted_of(batch: ClaimBatch, now: datetime, by: str, new_uuid: Callable[[], str]) -> Wanted:
    """Give lease and records to a batch.

    The records are in the order of the index, so that two batches wait for each other in turn and not in a
    circle.
    """
    lease = Lease(
        uuid=new_uuid(),
        cell_id=batch.cell_id,
        phase=Phase.OPEN,
        created_at=now,
        updated_at=now,
        updated_by=by,
    )
    creates = [
        Record(
            uuid=new_uuid(),
            metadata=metadata,
            cell_id=batch.cell_id,
            status=Status.LEASE_CREATING,
            lease=lease.uuid,
            created_at=now,
            updated_at=now,
            updated_by=by,
        )
        for metadata in batch.creates
    ]
    creates.sort(key=lambda record: (record.bucket.type, digest(record.bucket)))
    return Wanted(batch, lease, tuple(creates))
