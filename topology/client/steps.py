"""What a client of claims does, step by step, without doing it: calls, pauses, and what the application does.

The asyncio client and the one for threads carry the steps out and send back what came of each. Begin is never
repeated by itself; closing a lease may be repeated, and is. Third road: who asks for a `Txn`.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2
from pb.gitlab.cells.topology_service.types.v1 import uuid_pb2
from topology.claims.model import MAX_BATCH, Bucket, BucketType, Metadata, SourceType
from topology.client.calls import CLOSED, DEFAULT_PATIENCE, Call, Local, Patience, Persistence, Steps
from topology.client.errors import ClaimError, ClaimRefused, NameHeld, NameTaken
from topology.client.reconcile import Action, Forget, Rollback, actions
from topology.client.verify import Drift, Stated, drift
from topology.service.claim_wire import metadata_message, metadata_of

log = logging.getLogger("topology.client")

MAX_BATCH_BYTES: Final = 10 * 1000 * 1000
ROWS_AT_ONCE: Final = 1000
_AROUND_A_RECORD: Final = 8  # its tag and its length
_GONE: Final = ("CLAIM_NOT_FOUND", "CLAIM_NOT_OWNED")


@dataclass(slots=True)
class HeldLease:
    """A lease that has begun. `closed`: the service knows how it ended, and the row may be deleted."""

    uuid: str
    closed: bool = False
    in_doubt: bool = False

    def about_to_commit(self) -> None:
        """Say that the local transaction may be committed from here on, whatever is raised.

        A commit may fail in its answer alone; to take the lease back then would lose what it claimed.
        """
        self.in_doubt = True

    def not_committed(self) -> None:
        """Say that the database answered the commit with no, so that what is raised takes the lease back.

        Only for answers that leave no doubt: a constraint, a serialization failure, a deadlock. Without it
        the names stay held until reconciliation.
        """
        self.in_doubt = False


class ClaimSteps:
    """The steps of one cell's calls."""

    def __init__(
        self,
        cell_id: int,
        patience: Patience = DEFAULT_PATIENCE,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cell_id = cell_id
        self._patience = patience
        self._repeated = Persistence(patience, chance, clock).repeated

    def begin(
        self, creates: Iterable[Metadata], destroys: Iterable[Metadata], seconds: float | None = None
    ) -> Steps[str]:
        """Take a lease on all or none. Somebody waits for it in a transaction, unless `seconds` is said."""
        request = service_pb2.BeginUpdateRequest(
            cell_id=self._cell_id,
            create_records=[metadata_message(each) for each in creates],
            destroy_records=[metadata_message(each) for each in destroys],
        )
        answer = yield Call("BeginUpdate", request, seconds or self._patience.begin)
        return str(answer.lease_uuid.value)

    def close(self, lease: str, *, commit: bool) -> Steps[None]:
        """Keep what the lease did, or take it back. Repeated while nobody answers."""
        kind = service_pb2.CommitUpdateRequest if commit else service_pb2.RollbackUpdateRequest
        request = kind(cell_id=self._cell_id, lease_uuid=uuid_pb2.UUID(value=lease))
        method = "CommitUpdate" if commit else "RollbackUpdate"
        yield from self._repeated(method, request, self._patience.close)

    def after(self, lease: HeldLease, *, failed: bool) -> Steps[None]:
        """Close a lease behind the local transaction; where nobody answers it stays, for reconciliation."""
        if failed and lease.in_doubt:
            return
        try:
            yield from self.close(lease.uuid, commit=not failed)
            lease.closed = True
        except ClaimError as error:
            log.warning("lease_left_open lease=%s error=%s", lease.uuid, error)

    def leases(self) -> Steps[dict[str, datetime]]:
        """Give every open lease of the cell, with when it began."""
        found: dict[str, datetime] = {}
        request = service_pb2.ListLeasesRequest(cell_id=self._cell_id, limit=1000)
        while True:
            page = yield from self._repeated("ListLeases", request, self._patience.listing)
            found |= {each.uuid.value: each.created_at.ToDatetime(UTC) for each in page.leases}
            if not page.HasField("next"):
                return found
            request.next.CopyFrom(page.next)

    def records(
        self, source: SourceType, buckets: Iterable[BucketType], after: bytes, upto: bytes
    ) -> Steps[dict[Bucket, Stated]]:
        """Give the cell's claims for rows of a table, from behind one id up to another."""
        found: dict[Bucket, Stated] = {}
        request = service_pb2.ListRecordsRequest(
            cell_id=self._cell_id,
            source_type=messages_pb2.Source.Type.ValueType(source),
            bucket_types=[messages_pb2.Bucket.Type.ValueType(each) for each in buckets],
            source_id_gt=after,
            source_id_lte=upto,
        )
        while True:
            page = yield from self._repeated("ListRecords", request, self._patience.listing)
            for record in page.records:
                metadata = metadata_of(record.metadata, "record")
                found[metadata.bucket] = Stated(metadata, record.updated_at.ToDatetime(UTC))
            if not page.truncated:
                return found
            request.source_id_gt = page.records[-1].metadata.source.rails_primary_key_id

    def reconcile(
        self, rows: Callable[[], Any], forget: Callable[[str], Any], now: datetime
    ) -> Steps[tuple[Action, ...]]:
        """Close what a crash left open, and say what was done."""
        leases = yield from self.leases()
        noted: Mapping[str, datetime] = yield Local(rows)
        due = actions(noted, leases, now)
        for action in due:
            lease = action.lease
            try:
                # Commit what is to be forgotten, too, which is harmless where it is closed: a replica that
                # has lost its store lists no lease that it never heard of, and the row is its only proof.
                yield from self.close(lease, commit=not isinstance(action, Rollback))
            except ClaimRefused as error:
                if not isinstance(action, Forget) or error.reason in (CLOSED, "ACCESS_DENIED"):
                    raise
                log.warning("lease_unknown lease=%s error=%s", lease, error)
            if not isinstance(action, Rollback):
                yield Local(partial(forget, lease))
        return due

    def verify(
        self,
        own: Mapping[Bucket, Stated],
        source: SourceType,
        buckets: Iterable[BucketType],
        ids: tuple[bytes, bytes],
        now: datetime,
    ) -> Steps[Drift]:
        """Say what differs between a range of rows, from behind one id up to another, and its claims."""
        recorded = yield from self.records(source, buckets, *ids)
        return drift(own, recorded, now)

    def verify_all(
        self,
        claims_behind: Callable[[bytes, int], Any],
        source: SourceType,
        buckets: Iterable[BucketType],
        now: datetime,
    ) -> Steps[Drift]:
        """Say what differs between a whole table and its claims, a stretch of rows at a time."""
        wanted, after, found = tuple(buckets), b"", Drift((), (), ())
        while True:
            own: Mapping[Bucket, Stated] = yield Local(partial(claims_behind, after, ROWS_AT_ONCE))
            ids = [side.metadata.source.id for side in own.values()]
            if ids and min(ids) <= after:
                raise ValueError(
                    f"claims_behind({after!r}, …) gave the id {min(ids)!r}, which is not behind it: ids are "
                    "compared byte by byte, so write numbers in a fixed width, the highest byte first"
                )
            upto = max(ids, default=b"")
            found = found.and_also((yield from self.verify(own, source, wanted, (after, upto), now)))
            if not own:  # that was what is claimed behind the last row
                return found
            after = upto

    def mend(self, found: Drift) -> Steps[tuple[Metadata, ...]]:
        """Make the claims what the cell says they are. Give those that others hold: a person has to look.

        What is different is destroyed and then created: between the two nobody owns it.
        """
        yield from self._destroyed((*found.different, *found.extra))
        return (yield from self._created((*found.missing, *found.different)))

    def _created(self, wanted: Sequence[Metadata]) -> Steps[tuple[Metadata, ...]]:
        held: list[Metadata] = []
        for batch in _batches(wanted):
            try:
                lease = yield from self.begin(batch, (), self._patience.batch)
            except (NameTaken, NameHeld):
                if len(batch) == 1:
                    held += batch
                else:
                    for each in batch:
                        held += yield from self._created((each,))
            else:
                yield from self.close(lease, commit=True)
        return tuple(held)

    def _destroyed(self, wanted: Sequence[Metadata]) -> Steps[None]:
        """Destroy what is still there and still ours; what a lease holds is left for the next time."""
        for batch in _batches(wanted):
            try:
                lease = yield from self.begin((), batch, self._patience.batch)
            except (NameHeld, ClaimRefused) as error:
                if not isinstance(error, NameHeld) and error.reason not in _GONE:
                    raise
                if len(batch) > 1:
                    for each in batch:
                        yield from self._destroyed((each,))
            else:
                yield from self.close(lease, commit=True)


def _batches(wanted: Sequence[Metadata]) -> Iterator[list[Metadata]]:
    """Divide what is wanted by what one request may hold."""
    batch: list[Metadata] = []
    size = 0
    for each in wanted:
        more = metadata_message(each).ByteSize() + _AROUND_A_RECORD
        if batch and (len(batch) == MAX_BATCH or size + more > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += more
    if batch:
        yield batch
