"""Claims of one cell from threads: begin inside a local transaction, commit behind it; and the jobs.

An application gives it a channel and its cell's id. `steps` says what is done, here it is done.
Third road: who asks for a `Txn`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol, TypeVar

import grpc

from pb.gitlab.cells.topology_service.claims.v1 import service_pb2_grpc
from topology.claims.model import Bucket, BucketType, Metadata, SourceType
from topology.client.calls import DEFAULT_PATIENCE, Patience, Steps, carry_out_here
from topology.client.limiter import NO_LIMIT, Limiter
from topology.client.reconcile import Action
from topology.client.steps import ClaimSteps, HeldLease
from topology.client.verify import Drift, Stated

T = TypeVar("T")


class SyncOutstandingLeases(Protocol):
    """The cell's own table of leases, written in the local transaction."""

    def rows(self) -> Mapping[str, datetime]:
        """Give every lease that is noted down, with when that was."""
        ...

    def forget(self, lease: str) -> None:
        """Delete the row of a lease."""
        ...


class SyncClaimedTable(Protocol):
    """A table of the cell whose rows stand for claims, in the order of their ids."""

    def claims_behind(self, after: bytes, rows: int) -> Mapping[Bucket, Stated]:
        """Give the claims of the next so many rows behind an id, all of each row; nothing: there are none.

        Count only rows that claim something: where none of those that are read does, the table ends there,
        and what is claimed behind it is taken for too much.
        """
        ...


class SyncClaimClient:
    """The claims of one cell. Threads may share it."""

    def __init__(
        self,
        channel: grpc.Channel,
        cell_id: int,
        *,
        patience: Patience = DEFAULT_PATIENCE,
        limiter: Limiter = NO_LIMIT,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._stub = service_pb2_grpc.ClaimServiceStub(channel)
        self._steps = ClaimSteps(cell_id, patience, chance)
        self._limiter = limiter
        self._sleep = sleep

    @contextmanager
    def claiming(
        self, creates: Iterable[Metadata] = (), destroys: Iterable[Metadata] = ()
    ) -> Iterator[HeldLease]:
        """Hold a lease while the block notes it down and commits the local transaction.

            with claims.claiming(creates=[…]) as lease:
                insert_row(lease.uuid)
                lease.about_to_commit()
                local.commit()

        The block's end commits the lease, an exception takes it back; one after `about_to_commit` leaves it.
        Where the service is away it stays too, and nothing is raised for that: `reconcile` closes it by the
        row that is there, or not.
        """
        lease = HeldLease(self.begin(creates, destroys))
        try:
            yield lease
        except BaseException:
            self._done(self._steps.after(lease, failed=True))
            raise
        self._done(self._steps.after(lease, failed=False))

    def begin(self, creates: Iterable[Metadata] = (), destroys: Iterable[Metadata] = ()) -> str:
        """Take a lease on all or none, and give its uuid."""
        return self._done(self._steps.begin(creates, destroys))

    def commit(self, lease: str) -> None:
        """Keep what the lease created. Repeated while nobody answers."""
        self._done(self._steps.close(lease, commit=True))

    def rollback(self, lease: str) -> None:
        """Take back what the lease did. Repeated while nobody answers."""
        self._done(self._steps.close(lease, commit=False))

    def leases(self) -> dict[str, datetime]:
        """Give every open lease of the cell, with when it began."""
        return self._done(self._steps.leases())

    def records(
        self, source: SourceType, buckets: Iterable[BucketType] = (), after: bytes = b"", upto: bytes = b""
    ) -> dict[Bucket, Stated]:
        """Give the cell's claims for rows of a table, from behind one id up to another."""
        return self._done(self._steps.records(source, buckets, after, upto))

    def reconcile(self, outstanding: SyncOutstandingLeases, now: datetime) -> tuple[Action, ...]:
        """Close what a crash left open, and say what was done. Safe to run at any time, and by several."""
        return self._done(self._steps.reconcile(outstanding.rows, outstanding.forget, now))

    def verify(
        self,
        own: Mapping[Bucket, Stated],
        source: SourceType,
        buckets: Iterable[BucketType] = (),
        ids: tuple[bytes, bytes] = (b"", b""),
        *,
        now: datetime,
    ) -> Drift:
        """Say what differs between a range of rows, from behind one id up to another, and its claims."""
        return self._done(self._steps.verify(own, source, buckets, ids, now))

    def verify_all(
        self,
        table: SyncClaimedTable,
        source: SourceType,
        buckets: Iterable[BucketType] = (),
        *,
        now: datetime,
    ) -> Drift:
        """Say what differs between a whole table and its claims, which are read a stretch at a time."""
        return self._done(self._steps.verify_all(table.claims_behind, source, buckets, now))

    def mend(self, found: Drift) -> tuple[Metadata, ...]:
        """Make the claims what the cell says they are. Give those that others hold: a person has to look."""
        return self._done(self._steps.mend(found))

    def _done(self, steps: Steps[T]) -> T:
        return carry_out_here(steps, self._stub, self._limiter, self._sleep)
