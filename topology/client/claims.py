"""Claims of one cell over asyncio: begin inside a local transaction, commit behind it; and the jobs.

An application gives it a channel and its cell's id. Begin has a short deadline and is never repeated by
itself; closing a lease may be repeated, and is. Third road: who asks for a `Txn`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2, service_pb2_grpc
from pb.gitlab.cells.topology_service.types.v1 import uuid_pb2
from topology.claims.model import Bucket, BucketType, Metadata, SourceType
from topology.client.errors import ClaimError, ClaimRefused, NameHeld, NameTaken, ServiceAway
from topology.client.reconcile import Action, Commit, Forget, Rollback, actions
from topology.client.verify import Stated
from topology.service.claim_wire import metadata_message, metadata_of

log = logging.getLogger("topology.client")
T = TypeVar("T")

_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long calls may take, in seconds. A begin is waited for inside a local transaction."""

    begin: float = 0.2
    close: float = 1.0
    listing: float = 10.0
    attempts: int = 3
    pause: float = 0.1


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


class OutstandingLeases(Protocol):
    """The cell's own table of leases, written in the local transaction."""

    async def rows(self) -> Mapping[str, datetime]:
        """Give every lease that is noted down, with when that was."""
        ...

    async def forget(self, lease: str) -> None:
        """Delete the row of a lease."""
        ...


class ClaimClient:
    """The claims of one cell."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        cell_id: int,
        *,
        patience: Patience = DEFAULT_PATIENCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._stub = service_pb2_grpc.ClaimServiceStub(channel)
        self._cell_id = cell_id
        self._patience = patience
        self._sleep = sleep

    @asynccontextmanager
    async def claiming(
        self, creates: Iterable[Metadata] = (), destroys: Iterable[Metadata] = ()
    ) -> AsyncIterator[HeldLease]:
        """Hold a lease while the block notes it down and commits the local transaction.

            async with claims.claiming(creates=[…]) as lease:
                await insert_row(lease.uuid)
                lease.about_to_commit()
                await local.commit()

        The block's end commits the lease, an exception takes it back; one after `about_to_commit` leaves it.
        Where the service is away it stays too, and nothing is raised for that: `reconcile` closes it by the
        row that is there, or not.
        """
        lease = HeldLease(await self.begin(creates, destroys))
        try:
            yield lease
        except BaseException:
            if not lease.in_doubt:
                with suppress(ClaimError):
                    await self.rollback(lease.uuid)
                    lease.closed = True
            raise
        try:
            await self.commit(lease.uuid)
            lease.closed = True
        except ClaimError as error:
            log.warning("lease_left_open lease=%s error=%s", lease.uuid, error)

    async def begin(self, creates: Iterable[Metadata] = (), destroys: Iterable[Metadata] = ()) -> str:
        """Take a lease on all or none, and give its uuid."""
        request = service_pb2.BeginUpdateRequest(
            cell_id=self._cell_id,
            create_records=[metadata_message(each) for each in creates],
            destroy_records=[metadata_message(each) for each in destroys],
        )
        answer = await _told(self._stub.BeginUpdate(request, timeout=self._patience.begin))
        return answer.lease_uuid.value

    async def commit(self, lease: str) -> None:
        """Keep what the lease created. Repeated while nobody answers."""
        request = service_pb2.CommitUpdateRequest(
            cell_id=self._cell_id, lease_uuid=uuid_pb2.UUID(value=lease)
        )
        await self._repeated(lambda: self._stub.CommitUpdate(request, timeout=self._patience.close))

    async def rollback(self, lease: str) -> None:
        """Take back what the lease did. Repeated while nobody answers."""
        request = service_pb2.RollbackUpdateRequest(
            cell_id=self._cell_id, lease_uuid=uuid_pb2.UUID(value=lease)
        )
        await self._repeated(lambda: self._stub.RollbackUpdate(request, timeout=self._patience.close))

    async def leases(self) -> dict[str, datetime]:
        """Give every open lease of the cell, with when it began."""
        found: dict[str, datetime] = {}
        request = service_pb2.ListLeasesRequest(cell_id=self._cell_id, limit=1000)
        while True:
            page = await _told(self._stub.ListLeases(request, timeout=self._patience.listing))
            found |= {each.uuid.value: each.created_at.ToDatetime(UTC) for each in page.leases}
            if not page.HasField("next"):
                return found
            request.next.CopyFrom(page.next)

    async def records(
        self, source: SourceType, buckets: Iterable[BucketType] = (), after: bytes = b"", upto: bytes = b""
    ) -> dict[Bucket, Stated]:
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
            page = await _told(self._stub.ListRecords(request, timeout=self._patience.listing))
            for record in page.records:
                metadata = metadata_of(record.metadata, "record")
                found[metadata.bucket] = Stated(metadata, record.updated_at.ToDatetime(UTC))
            if not page.truncated:
                return found
            request.source_id_gt = page.records[-1].metadata.source.rails_primary_key_id

    async def reconcile(self, outstanding: OutstandingLeases, now: datetime) -> tuple[Action, ...]:
        """Close what a crash left open, and say what was done. Safe to run at any time, and by several."""
        leases = await self.leases()
        due = actions(await outstanding.rows(), leases, now)
        for action in due:
            match action:
                case Commit(lease):
                    await self.commit(lease)
                    await outstanding.forget(lease)
                case Rollback(lease):
                    await self.rollback(lease)
                case Forget(lease):
                    await outstanding.forget(lease)
        return due

    async def _repeated(self, call: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, self._patience.attempts):
            with suppress(ServiceAway):
                return await _told(call())
            await self._sleep(self._patience.pause * attempt)
        return await _told(call())


async def _told(call: Awaitable[T]) -> T:
    """Wait for a call, and raise what its failure means here."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise _meaning(error) from error


def _meaning(error: grpc.aio.AioRpcError) -> ClaimError:
    words, reason = error.details() or error.code().name, _reason(error)
    if error.code() in _AWAY:
        return ServiceAway(words, reason)
    if error.code() is grpc.StatusCode.ALREADY_EXISTS:
        return NameTaken(words, reason)
    if reason in ("CLAIM_LEASED", "OWNER_MOVING"):
        return NameHeld(words, reason)
    return ClaimRefused(words, reason)


def _reason(error: grpc.aio.AioRpcError) -> str:
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(details if isinstance(details, bytes) else b"")
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return str(info.reason)
    return ""
