"""What a client of claims does, step by step, without doing it: calls, pauses, and what the application does.

The asyncio client and the one for threads carry the steps out and send back what came of each. Begin is never
repeated by itself; closing a lease may be repeated, and is. Third road: who asks for a `Txn`.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.message import Message

from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2
from pb.gitlab.cells.topology_service.types.v1 import uuid_pb2
from topology.claims.model import MAX_BATCH, Bucket, BucketType, Metadata, SourceType
from topology.client.errors import ClaimError, NameHeld, NameTaken, ServiceAway, TooBusy
from topology.client.reconcile import Action, Commit, Forget, Rollback, actions
from topology.client.verify import Drift, Stated, drift
from topology.service.claim_wire import metadata_message, metadata_of

log = logging.getLogger("topology.client")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take, in seconds. A begin is waited for inside a local transaction.

    `close` and `listing` are for one attempt; `budget` is for all attempts of a call with the pauses between,
    which double from `pause` on.
    """

    begin: float = 0.2
    close: float = 1.0
    listing: float = 10.0
    attempts: int = 4
    pause: float = 0.1
    budget: float = 15.0


DEFAULT_PATIENCE: Final = Patience()


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


@dataclass(frozen=True, slots=True)
class Call:
    """Call a method of ClaimService, with so many seconds for it."""

    method: str
    request: Message
    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Local:
    """Do something of the application's own."""

    work: Callable[[], Any]


Steps: TypeAlias = Generator[Call | Pause | Local, Any, T]


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
        self._chance = chance
        self._clock = clock

    def begin(self, creates: Iterable[Metadata], destroys: Iterable[Metadata]) -> Steps[str]:
        """Take a lease on all or none."""
        request = service_pb2.BeginUpdateRequest(
            cell_id=self._cell_id,
            create_records=[metadata_message(each) for each in creates],
            destroy_records=[metadata_message(each) for each in destroys],
        )
        answer = yield Call("BeginUpdate", request, self._patience.begin)
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
            if not isinstance(action, Forget):
                yield from self.close(lease, commit=isinstance(action, Commit))
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

    def mend(self, found: Drift) -> Steps[tuple[Metadata, ...]]:
        """Make the claims what the cell says they are. Give those that others hold: a person has to look.

        What is different is destroyed and then created: between the two nobody owns it.
        """
        yield from self._claimed((), (*found.different, *found.extra))
        return (yield from self._claimed((*found.missing, *found.different), ()))

    def _claimed(
        self, creates: tuple[Metadata, ...], destroys: tuple[Metadata, ...]
    ) -> Steps[tuple[Metadata, ...]]:
        held: list[Metadata] = []
        wanted = creates or destroys
        for at in range(0, len(wanted), MAX_BATCH):
            batch = wanted[at : at + MAX_BATCH]
            try:
                lease = yield from self.begin(batch if creates else (), batch if destroys else ())
            except (NameTaken, NameHeld):
                if len(batch) == 1:
                    held += batch
                    continue
                for each in batch:
                    one = ((each,), ()) if creates else ((), (each,))
                    held += yield from self._claimed(*one)
            else:
                yield from self.close(lease, commit=True)
        return tuple(held)

    def _repeated(self, method: str, request: Message, timeout: float) -> Steps[Any]:
        """Call until somebody answers, attempts or budget are used up. Who is too busy is given time, too."""
        patience, until = self._patience, self._clock() + self._patience.budget
        for attempt in range(1, patience.attempts + 1):
            left = max(until - self._clock(), 0.001)
            try:
                return (yield Call(method, request, min(timeout, left)))
            except (ServiceAway, TooBusy):
                pause = patience.pause * 2 ** (attempt - 1) * (0.5 + self._chance())
                if attempt == patience.attempts or self._clock() + pause >= until:
                    raise
            yield Pause(pause)
        raise AssertionError("the last attempt returns or raises")
