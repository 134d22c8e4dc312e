"""Claims of one cell over asyncio: begin inside a local transaction, commit behind it; and the jobs.

An application gives it a channel and its cell's id. `steps` says what is done, here it is awaited.
Third road: who asks for a `Txn`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol, TypeVar

import grpc
import grpc.aio

from pb.gitlab.cells.topology_service.claims.v1 import service_pb2_grpc
from topology.claims.model import Bucket, BucketType, Metadata, SourceType
from topology.client.calls import DEFAULT_PATIENCE, Patience, Steps, carry_out
from topology.client.limiter import NO_LIMIT, Limiter
from topology.client.reconcile import Action
from topology.client.steps import ClaimSteps, HeldLease
from topology.client.verify import Drift, Stated

T = TypeVar("T")


class OutstandingLeases(Protocol):
    """The cell's own table of leases, written in the local transaction."""

    async def rows(self) -> Mapping[str, datetime]:
        """Give every lease that is noted down, with when that was."""
        ...

    async def forget(self, lease: str) -> None:
        """Delete the row of a lease."""
        ...


class ClaimedTable(Protocol):
    """A table of the cell whose rows stand for claims, in the order of their ids."""

    async def claims_behind(self, after: bytes, rows: int) -> Mapping[Bucket, Stated]:
        """Give the claims of the next so many rows behind an id, all of each row; nothing: there are none.

        Count only rows that claim something: where none of those that are read does, the table ends there,
        and what is claimed behind it is taken for too much.
        """
        ...


class ClaimClient:
    """The claims of one cell. For one event loop."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        cell_id: int,
        *,
        patience: Patience = DEFAULT_PATIENCE,
        limiter: Limiter = NO_LIMIT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._stub = service_pb2_grpc.ClaimServiceStub(channel)
        self._steps = ClaimSteps(cell_id, patience, chance)
        self._limiter = limiter
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
            await self._done(self._steps.after(lease, failed=True))
            raise
        await self._done(self._steps.after(lease, failed=False))

    async def begin(self, creates: Iterable[Metadata] = (), destroys: Iterable[Metadata] = ()) -> str:
        """Take a lease on all or none, and give its uuid."""
        return await self._done(self._steps.begin(creates, destroys))

    async def commit(self, lease: str) -> None:
        """Keep what the lease created. Repeated while nobody answers."""
        await self._done(self._steps.close(lease, commit=True))

    async def rollback(self, lease: str) -> None:
        """Take back what the lease did. Repeated while nobody answers."""
        await self._done(self._steps.close(lease, commit=False))

    async def leases(self) -> dict[str, datetime]:
        """Give every open lease of the cell, with when it began."""
        return await self._done(self._steps.leases())

    async def records(
        self, source: SourceType, buckets: Iterable[BucketType] = (), after: bytes = b"", upto: bytes = b""
    ) -> dict[Bucket, Stated]:
        """Give the cell's claims for rows of a table, from behind one id up to another."""
        return await self._done(self._steps.records(source, buckets, after, upto))

    async def reconcile(self, outstanding: OutstandingLeases, now: datetime) -> tuple[Action, ...]:
        """Close what a crash left open, and say what was done. Safe to run at any time, and by several."""
        return await self._done(self._steps.reconcile(outstanding.rows, outstanding.forget, now))

    async def verify(
        self,
        own: Mapping[Bucket, Stated],
        source: SourceType,
        buckets: Iterable[BucketType] = (),
        ids: tuple[bytes, bytes] = (b"", b""),
        *,
        now: datetime,
    ) -> Drift:
        """Say what differs between a range of rows, from behind one id up to another, and its claims."""
        return await self._done(self._steps.verify(own, source, buckets, ids, now))

    async def verify_all(
        self, table: ClaimedTable, source: SourceType, buckets: Iterable[BucketType] = (), *, now: datetime
    ) -> Drift:
        """Say what differs between a whole table and its claims, which are read a stretch at a time."""
        return await self._done(self._steps.verify_all(table.claims_behind, source, buckets, now))

    async def mend(self, found: Drift) -> tuple[Metadata, ...]:
        """Make the claims what the cell says they are. Give those that others hold: a person has to look."""
        return await self._done(self._steps.mend(found))

    async def _done(self, steps: Steps[T]) -> T:
        return await carry_out(steps, self._stub, self._limiter, self._sleep)
