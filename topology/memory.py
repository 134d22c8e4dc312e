"""A store in memory that keeps every promise of the port: for tests, and for a control plane without etcd.

Chosen by the composition root, or by a test, which can also make it fail. It writes nothing to disk, and is
no mock: the contract suite that runs over etcd runs over it. `etcd Event -> View -> Snapshot -> Response`:
where an Event comes from.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field

from topology.errors import Compacted, LeaseGone, OutcomeUnknown, Rewound, StoreError, StoreUnavailable
from topology.store import Batch, Committed, Conflict, Event, EventKind, Listing, Record, Txn


@dataclass(slots=True)
class Faults:
    """What a test can make go wrong.

    `unreachable`: every call fails and running watches end. `errors`: what the next calls of a method raise,
    in order. `lose_answers`: so many of the next commits happen, and their answers get lost.
    """

    unreachable: bool = False
    errors: dict[str, list[StoreError]] = field(default_factory=dict)
    lose_answers: int = 0


class MemoryStore:
    """A keyspace in one process. Its revision starts anywhere, so that nobody comes to rely on 1."""

    def __init__(self, start_revision: int | None = None) -> None:
        self._revision = random.randrange(1000, 1_000_000) if start_revision is None else start_revision
        self._records: dict[str, Record] = {}
        self._compacted = self._revision
        self._compacted_records: dict[str, Record] = {}
        self._history: list[Batch] = []
        self._bookmarks = 0
        self._leases: dict[int, set[str]] = {}
        self._leases_given = 0
        self._faults = Faults()
        self._closed = False
        self._stirred = asyncio.Event()

    @property
    def revision(self) -> int:
        """The newest revision."""
        return self._revision

    async def list(self, prefix: str, revision: int | None = None) -> Listing:
        """Give everything below the prefix at one revision."""
        self._fail_if_wanted("list")
        at = self._revision if revision is None else revision
        self._check_known(at)
        records = self._records if at == self._revision else self._as_of(at)
        return Listing(at, tuple(records[key] for key in sorted(records) if key.startswith(prefix)))

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        """Give every change below the prefix after a revision."""
        self._fail_if_wanted("watch")
        self._check_known(after)
        yield Batch(after)
        seen, bookmarks = after, self._bookmarks
        while True:
            self._fail_if_wanted("watch")
            if seen != self._revision:
                self._check_known(seen)
                batch = next(each for each in self._history if each.revision > seen)
                seen = batch.revision
                events = tuple(event for event in batch.events if event.key.startswith(prefix))
                if events:
                    yield Batch(seen, events)
            elif bookmarks < self._bookmarks:
                bookmarks = self._bookmarks
                yield Batch(seen)
            else:
                await self._stirred.wait()

    async def commit(self, txn: Txn) -> Committed | Conflict:
        """Do the transaction if its compares hold."""
        self._fail_if_wanted("commit")
        if conflict := self._conflict(txn):
            return conflict
        if txn.lease and txn.lease not in self._leases:
            raise LeaseGone(f"lease {txn.lease:x} is over")
        self._write(tuple(self._events(txn, self._revision + 1)))
        self._end_leases_of(txn)
        if txn.lease:
            self._leases[txn.lease].update(key for key, _ in txn.puts)
        self._lose_answer_if_wanted()
        return Committed(self._revision)

    async def commit_together(self, txns: Sequence[Txn]) -> tuple[Committed | Conflict, ...]:
        """Do those of the transactions whose compares hold, all at one revision: a `GroupingStore`."""
        self._fail_if_wanted("commit")
        conflicts = [self._conflict(txn) for txn in txns]
        done = [txn for txn, conflict in zip(txns, conflicts, strict=True) if conflict is None]
        events = {each.key: each for txn in done for each in self._events(txn, self._revision + 1)}
        self._write(tuple(events.values()))
        for txn in done:
            self._end_leases_of(txn)
        self._lose_answer_if_wanted()
        return tuple(conflict or Committed(self._revision) for conflict in conflicts)

    async def grant(self, seconds: int) -> int:  # noqa: ARG002  no clock here: see below
        """Give a new lease, which runs out when a test revokes it and not before."""
        self._fail_if_wanted("grant")
        self._leases_given += 1
        self._leases[self._leases_given] = set()
        return self._leases_given

    async def keep_alive(self, lease: int) -> None:
        """Let a lease run on."""
        self._fail_if_wanted("keep_alive")
        if lease not in self._leases:
            raise LeaseGone(f"lease {lease:x} is over")

    async def revoke(self, lease: int) -> None:
        """End a lease now, with all keys under it."""
        self._fail_if_wanted("revoke")
        keys = self._leases.pop(lease, set())
        self._write(tuple(self._events(Txn(deletes=tuple(sorted(keys))), self._revision + 1)))

    async def close(self) -> None:
        """End every watch; every later call fails."""
        self._closed = True
        self._stir()

    def inject(self, faults: Faults) -> None:
        """Make calls fail from now on as described; `Faults()` makes all well again."""
        self._faults = faults
        self._stir()

    def compact(self, revision: int | None = None) -> None:
        """Throw history away up to a revision, or all of it."""
        self._compacted = max(self._compacted, self._revision if revision is None else revision)
        for batch in self._history:
            if batch.revision <= self._compacted:
                _replay(self._compacted_records, batch.events)
        self._history = [batch for batch in self._history if batch.revision > self._compacted]

    def bookmark(self) -> None:
        """Make every watch say how far it has come, as etcd does from time to time."""
        self._bookmarks += 1
        self._stir()

    def become(self, other: MemoryStore) -> None:
        """Hold what another store holds, at its revision: what a restored backup looks like to a client."""
        self._revision = self._compacted = other.revision
        self._records, self._compacted_records = dict(other._records), dict(other._records)
        self._history = []
        self._stir()

    def _as_of(self, revision: int) -> dict[str, Record]:
        records = dict(self._compacted_records)
        for batch in self._history:
            if batch.revision <= revision:
                _replay(records, batch.events)
        return records

    def _fail_if_wanted(self, method: str) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._faults.unreachable:
            raise StoreUnavailable("the store can't be reached")
        if errors := self._faults.errors.get(method):
            raise errors.pop(0)

    def _lose_answer_if_wanted(self) -> None:
        if self._faults.lose_answers:
            self._faults.lose_answers -= 1
            raise OutcomeUnknown("the commit's answer got lost")

    def _check_known(self, revision: int) -> None:
        if revision > self._revision:
            raise Rewound(revision, self._revision)
        if revision < self._compacted:
            raise Compacted(self._compacted)

    def _conflict(self, txn: Txn) -> Conflict | None:
        failed = tuple(each.key for each in txn.compares if self._written_at(each.key) != each.mod_revision)
        if not failed:
            return None
        return Conflict(failed, tuple(self._records[key] for key in failed if key in self._records))

    def _end_leases_of(self, txn: Txn) -> None:
        for key in (*(key for key, _ in txn.puts), *txn.deletes):
            for keys in self._leases.values():
                keys.discard(key)

    def _written_at(self, key: str) -> int:
        return self._records[key].mod_revision if key in self._records else 0

    def _events(self, txn: Txn, revision: int) -> Iterable[Event]:
        for key, value in txn.puts:
            before = self._records.get(key)
            created, version = (before.create_revision, before.version + 1) if before else (revision, 1)
            yield Event(EventKind.PUT, key, revision, Record(key, value, created, revision, version))
        for key in txn.deletes:
            if key in self._records:
                yield Event(EventKind.DELETE, key, revision)

    def _write(self, events: tuple[Event, ...]) -> None:
        if events:
            self._revision += 1
            _replay(self._records, events)
            self._history.append(Batch(self._revision, events))
            self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = asyncio.Event()


def _replay(records: dict[str, Record], events: Iterable[Event]) -> None:
    for event in events:
        if event.record is None:
            records.pop(event.key, None)
        else:
            records[event.key] = event.record
