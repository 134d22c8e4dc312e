"""How a batch begins: look, let the rules judge, commit; and look again where another was faster.

`stored` hands it batches and remembers what came of them. It decides nothing by itself: `rules` say what may
be, `plan` how it is written. Third road: commits the `Txn` that begins a lease.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from topology.claims import plan
from topology.claims.keys import OwnerKey
from topology.claims.large import LargeLeases
from topology.claims.ledger import ATTEMPTS, Found, Ledger
from topology.claims.model import Bucket, ClaimBatch, Lease, Phase, Record, Subject
from topology.claims.own_writes import OwnWrites
from topology.claims.owners import OwnerMoving, is_owner
from topology.claims.plan import Opening, Seen, SeenOwner
from topology.claims.rules import Leased, Obstacle, Unreadable, batch_problems, obstacles
from topology.claims.store import Begun, CellChanged, Invalid, Obstructed
from topology.claims.transferring import Transfers
from topology.errors import StoreUnavailable
from topology.store import Compare, Conflict


@dataclass(frozen=True, slots=True)
class Whole:
    """A lease that was begun by one write, its revision, and its records."""

    lease: Lease
    revision: int
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class _Sight:
    """What was seen of a batch's records, and of those for whom they are."""

    found: Found
    owners: Mapping[Subject, SeenOwner]


class Beginnings:
    """Begins batches. It remembers nothing of them."""

    def __init__(
        self,
        ledger: Ledger,
        large: LargeLeases,
        transfers: Transfers,
        own: OwnWrites,
        clock: Callable[[], datetime],
        new_uuid: Callable[[], str],
    ) -> None:
        self._ledger = ledger
        self._large = large
        self._transfers = transfers
        self._own = own
        self._clock = clock
        self._new_uuid = new_uuid

    async def begin(
        self, batch: ClaimBatch, by: str, cell: Compare | None = None
    ) -> Whole | Begun | Invalid | Obstructed | CellChanged:
        """Take a lease on every record of a batch, or on none."""
        if problems := batch_problems(batch):
            return Invalid(problems)
        # What is to be created is taken to be absent, and its owner never to have moved: if not, the commit's
        # answer says what is there.
        blind = not batch.destroys and len(batch.creates) <= plan.MAX_RECORDS_WHOLE
        sight = _Sight({}, {}) if blind else await self._look(batch)
        before: tuple[Obstacle, ...] = ()
        for _ in range(ATTEMPTS):
            standing = _standing(batch, sight)
            if standing:
                if standing == before or not await self._cleared(standing):
                    return Obstructed(standing)
                before = standing
                sight = await self._look(batch)
                continue
            outcome = await self._try(batch, self._opening(batch, by), sight, cell)
            if not isinstance(outcome, Conflict):
                return outcome
            if cell is not None and cell.key in outcome.keys:
                return CellChanged(batch.cell_id)
            sight = self._after(outcome, sight)
        raise StoreUnavailable(f"other writers were faster {ATTEMPTS} times in a row: try again")

    async def _look(self, batch: ClaimBatch) -> _Sight:
        """Read the records of a batch and their owners: as stated, and as found where that differs."""
        keyspace = self._ledger.keyspace
        stated = dict.fromkeys(each.subject for each in (*batch.creates, *batch.destroys))
        keys = [keyspace.owner(subject) for subject in stated if is_owner(subject)]
        keys += [keyspace.record(bucket) for bucket in batch.buckets]
        records = await self._ledger.fetch(keys)
        found, owners = self._ledger.found(records), self._ledger.owners_in(records)
        kept = {each.record.metadata.subject for each in found.values() if isinstance(each, Seen)}
        if others := kept - stated.keys():
            owners |= await self._ledger.owners(others)
        return _Sight(found, owners)

    async def _try(
        self, batch: ClaimBatch, opening: Opening, sight: _Sight, cell: Compare | None
    ) -> Whole | Begun | Conflict:
        ledger = self._ledger
        seen = {bucket: each for bucket, each in sight.found.items() if isinstance(each, Seen)}
        writes = plan.writes(ledger.keyspace, batch, opening, seen)
        owners = {subject: each.revision for subject, each in sight.owners.items()}
        if not plan.fits(writes):
            begun = await self._large.begin(batch, opening, writes, owners, cell)
            return begun if isinstance(begun, Conflict) else Begun(begun.lease, begun.revision)
        lease = plan.lease_of(batch, opening)
        txn = plan.begin_whole(ledger.keyspace, lease, writes, owners, cell)
        records = tuple(each.record for each in writes)
        self._own.note(txn.puts, (lease, *records))
        outcome = await ledger.commit(txn, ledger.keyspace.lease(lease.uuid))
        if isinstance(outcome, Conflict):
            return outcome
        return Whole(lease, outcome.revision, records)

    async def _cleared(self, standing: Iterable[Obstacle]) -> bool:
        """Finish what is decided and stands in the way; True where something was, so that looking again
        pays.
        """
        cleared = False
        for each in standing:
            match each:
                case Leased(_, uuid):
                    before = await self._ledger.lease(uuid)
                    if before is not None and before.lease.phase is not Phase.OPEN:
                        await self._large.settle(uuid)
                        before = await self._ledger.lease(uuid)
                    cleared |= before is None
                case OwnerMoving(subject, transfer):
                    await self._transfers.settle(transfer)
                    now = (await self._ledger.owners([subject])).get(subject)
                    cleared |= now is None or now.owner.transfer != transfer
                case _:
                    return False
        return cleared

    def _after(self, conflict: Conflict, sight: _Sight) -> _Sight:
        """Correct what was seen by what the conflict says."""
        differing = {self._ledger.keyspace.parse(key) for key in conflict.keys}
        gone = {each.subject for each in differing if isinstance(each, OwnerKey)}
        found = {bucket: each for bucket, each in sight.found.items() if bucket not in differing}
        owners = {subject: each for subject, each in sight.owners.items() if subject not in gone}
        return _Sight(
            {**found, **self._ledger.found(conflict.records)},
            {**owners, **self._ledger.owners_in(conflict.records)},
        )

    def _opening(self, batch: ClaimBatch, by: str) -> Opening:
        return Opening(
            uuid=self._new_uuid(),
            uuids=tuple(self._new_uuid() for _ in batch.creates),
            now=self._clock(),
            by=by,
        )


def _standing(batch: ClaimBatch, sight: _Sight) -> tuple[Obstacle, ...]:
    found: dict[Bucket, Record | Unreadable] = {
        bucket: each.record if isinstance(each, Seen) else each for bucket, each in sight.found.items()
    }
    return obstacles(batch, found, {subject: each.owner for subject, each in sight.owners.items()})
