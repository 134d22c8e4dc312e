"""Batches that one transaction can't hold: prepared in parts, opened by one write, decided by one write.

`stored` hands it large batches, and leases that a dead writer left. `plan` says how a batch stays whole.
Third road: commits one wish as several `Txn`s that count together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from topology.claims import closing as ending
from topology.claims import plan
from topology.claims.closing import Closing
from topology.claims.ledger import ATTEMPTS, Ledger
from topology.claims.model import ClaimBatch, Lease, Phase, Record, Subject
from topology.claims.plan import Opening, Seen, SeenLease, Write
from topology.claims.rules import DECIDED
from topology.errors import StoreUnavailable
from topology.store import Committed, Compare, Conflict

GIVEN_UP_AFTER: Final = timedelta(seconds=30)
"""So long may a lease be prepared; whoever is still at it then finds it given up, and has changed nothing."""


class LargeLeases:
    """Leases in several parts."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock

    async def begin(
        self,
        batch: ClaimBatch,
        opening: Opening,
        writes: tuple[Write, ...],
        owners: Mapping[Subject, int] = plan.NEVER_MOVED,
        cell: Compare | None = None,
    ) -> SeenLease | Conflict:
        """Prepare a lease in parts and open it. A conflict: nothing of it is left."""
        keyspace = self._ledger.keyspace
        parts = plan.divide(writes)
        lease = plan.lease_of(batch, opening, len(parts))
        started = plan.begin_lease(keyspace, lease, cell)
        made = await self._ledger.commit(started, keyspace.lease(lease.uuid))
        if isinstance(made, Conflict):
            return made
        begun = SeenLease(lease, made.revision)
        for number, part in enumerate(parts):
            txn = plan.write_part(keyspace, begun, number, part, owners)
            outcome = await self._ledger.commit(txn, keyspace.part(lease.uuid, number))
            if isinstance(outcome, Conflict):
                await self._give_up(begun)
                return outcome
        opened = replace(lease, phase=Phase.OPEN)
        return SeenLease(opened, await self._change(opened, begun.revision))

    async def decide(self, seen: SeenLease, closing: Closing) -> int:
        """Decide an open lease and rewrite its records; give the revision of the decision.

        Raises StoreUnavailable where another was faster.
        """
        decided = await self._change(ending.decided(seen.lease, closing), seen.revision)
        await self.settle(seen.lease.uuid)
        return decided

    async def decide_whole(self, seen: SeenLease, records: tuple[Record, ...], closing: Closing) -> int:
        """Decide a lease that began whole and can't end so, and rewrite its records; give the revision of the
        decision, 0 where another was faster.
        """
        keyspace, uuid = self._ledger.keyspace, seen.lease.uuid
        txn = ending.decide_in_parts(keyspace, seen.lease, seen.revision, records, closing)
        outcome = await self._ledger.commit(txn, keyspace.lease(uuid))
        if isinstance(outcome, Conflict):
            return 0
        await self.settle(uuid)
        return outcome.revision

    async def settle(self, uuid: str) -> None:
        """Finish a lease that is decided, or that was prepared for too long; others stay as they are."""
        for _ in range(ATTEMPTS):
            seen = await self._ledger.lease(uuid)
            if seen is None or seen.lease.phase is Phase.OPEN:
                return
            if seen.lease.phase is Phase.PREPARING:
                if self._clock() - seen.lease.created_at < GIVEN_UP_AFTER:
                    return
                await self._give_up(seen)
            elif await self._finished(seen):
                return
        raise StoreUnavailable(f"lease {uuid} is being finished by several at once: try again")

    async def _give_up(self, seen: SeenLease) -> None:
        given_up = replace(seen.lease, phase=Phase.ROLLING_BACK, updated_at=self._clock())
        txn = plan.change_lease(self._ledger.keyspace, given_up, seen.revision)
        outcome = await self._ledger.commit(txn, self._ledger.keyspace.lease(seen.lease.uuid))
        if isinstance(outcome, Committed):
            await self._finished(SeenLease(given_up, outcome.revision))

    async def _change(self, lease: Lease, revision: int) -> int:
        txn = plan.change_lease(self._ledger.keyspace, lease, revision)
        outcome = await self._ledger.commit(txn, self._ledger.keyspace.lease(lease.uuid))
        if isinstance(outcome, Conflict):
            raise StoreUnavailable(f"lease {lease.uuid} was changed by another at the same moment: try again")
        return outcome.revision

    async def _finished(self, seen: SeenLease) -> bool:
        """Rewrite the records of a decided lease part by part; False where another is at it too."""
        if seen.lease.phase not in DECIDED:
            raise AssertionError(f"lease {seen.lease.uuid} is {seen.lease.phase}: it has not been decided")
        ledger, lease = self._ledger, seen.lease
        commit = lease.phase is Phase.COMMITTING
        closing = Closing(commit=commit, now=lease.updated_at, by=lease.updated_by)
        for part in await ledger.parts(lease.uuid):
            found = await ledger.read(part.buckets)
            left = tuple(each.record for each in found.values() if isinstance(each, Seen))
            at = part.revision
            while at:
                taken, left = ending.at_once(lease, left, closing)
                ended = ending.ends(taken, closing)
                rewrite = ending.close(
                    ledger.keyspace, lease, seen.revision, ended, closing, (part.key, at), left
                )
                outcome = await ledger.store.commit(rewrite)
                if isinstance(outcome, Conflict):
                    return False
                at = outcome.revision if left else 0
        end = ending.close(ledger.keyspace, lease, seen.revision, ending.Ends(), closing)
        return isinstance(await ledger.store.commit(end), Committed)
