"""Transfers carried out: held, listed, moved by one write, rewritten; and finished where a writer died.

`stored` hands it wishes, and ids to settle. `transfer` says what stands in the way, `transfer_plan` how a
transfer stays whole. Third road: commits one wish as several `Txn`s that count together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from topology.claims import plan, transfer_plan
from topology.claims.keys import TransferKey
from topology.claims.large import GIVEN_UP_AFTER
from topology.claims.ledger import ATTEMPTS, Ledger
from topology.claims.model import Record, Subject
from topology.claims.owner_codec import decode_transfer, encode_transfer
from topology.claims.owners import Owner, OwnerMoving, Transfer, TransferPhase
from topology.claims.plan import Seen
from topology.claims.rules import Unreadable
from topology.claims.store import Invalid
from topology.claims.transfer import (
    Hindered,
    Inventory,
    Previewed,
    Transferred,
    TransferWish,
    Unfit,
    hindrances,
    same_wish,
    wish_problems,
)
from topology.claims.transfer_obstacles import FenceLifted, TransferObstacle
from topology.codec import Undecodable
from topology.errors import StoreError, StoreRefused, StoreUnavailable
from topology.model import Problem
from topology.store import MAX_TXN_OPERATIONS, Committed, Compare, Conflict, Txn

Outcome = Transferred | Previewed | Invalid | Unfit | Hindered


@dataclass(frozen=True, slots=True)
class _SeenTransfer:
    """A transfer and the revision at which it was written."""

    transfer: Transfer
    revision: int


class Transfers:
    """Transfers on a ledger. Between two calls it remembers nothing."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock

    async def transfer(self, wish: TransferWish, by: str, inventory: Inventory | None = None) -> Outcome:
        """Move the claims of owners from one cell to another, all or none."""
        if problems := tuple(wish_problems(wish)):
            return Invalid(problems)
        before: tuple[TransferObstacle, ...] = ()
        for _ in range(ATTEMPTS):
            if (earlier := await self._earlier(wish)) is not None:
                return earlier
            if wish.unfit:
                return Unfit(wish.unfit)
            seen = await self._ledger.owners(wish.subjects)
            owners = {subject: each.owner for subject, each in seen.items()}
            found = await self._claimed(wish, inventory, 0) if wish.dry_run else ()
            # What is claimed is seen for certain once the owners are held; till then their records tell.
            asked = wish if wish.dry_run else replace(wish, owners=_on_record(wish, owners))
            standing = hindrances(asked, owners, map(_plain, found))
            if standing:
                if standing == before or not await self._cleared(standing):
                    return Hindered(standing)
                before = standing
                continue
            if wish.dry_run:
                return Previewed(len(found))
            transfer = transfer_plan.transfer_of(wish, self._clock(), by)
            txn = transfer_plan.hold(self._ledger.keyspace, transfer, seen)
            held = await self._ledger.commit(txn, self._ledger.keyspace.transfer(transfer.id))
            if isinstance(held, Committed):
                return await self._move(wish, _SeenTransfer(transfer, held.revision), inventory)
        raise StoreUnavailable(f"others were faster at these owners {ATTEMPTS} times in a row: try again")

    async def settle(self, uuid: str) -> None:
        """Finish a transfer that has moved, give up one that was prepared for too long."""
        for _ in range(ATTEMPTS):
            seen = await self._read(uuid)
            if seen is None or seen.transfer.phase is TransferPhase.DONE:
                return
            if seen.transfer.phase is TransferPhase.PREPARING:
                if self._clock() - seen.transfer.created_at < GIVEN_UP_AFTER:
                    return
                await self._give_up(seen)
            elif seen.transfer.phase is TransferPhase.GIVEN_UP:
                await self._let_go(seen)
            elif await self._finished(seen):
                return
        raise StoreUnavailable(f"transfer {uuid} is being finished by several at once: try again")

    async def _move(self, wish: TransferWish, held: _SeenTransfer, inventory: Inventory | None) -> Outcome:
        """Move owners that are held: nothing can be claimed for them any more, nor given up."""
        try:
            moved = await self._switched(wish, held, inventory)
        except StoreError:
            # Nobody should wait for owners that may not move; if they did move, this changes nothing.
            with suppress(StoreError):
                await self._give_up(held)
            raise
        if isinstance(moved, Hindered):
            await self._give_up(held)
            return moved
        await self.settle(moved.transfer.id)
        return Transferred(moved.transfer, moved.revision)

    async def _switched(
        self, wish: TransferWish, held: _SeenTransfer, inventory: Inventory | None
    ) -> _SeenTransfer | Hindered:
        ledger, keyspace = self._ledger, self._ledger.keyspace
        owners = {each: seen.owner for each, seen in (await ledger.owners(wish.subjects)).items()}
        found = await self._claimed(wish, inventory, held.revision)
        if standing := hindrances(wish, owners, map(_plain, found)):
            return Hindered(standing)
        records = tuple(each for each in found if isinstance(each, Seen))
        writes = transfer_plan.rewrites(keyspace, held.transfer, records)
        parts = plan.divide(writes) if writes else ()
        for txn in transfer_plan.list_parts(keyspace, held.transfer, held.revision, parts):
            if isinstance(await ledger.commit(txn, txn.puts[0][0]), Conflict):
                raise _overtaken(held)
        listed = replace(held.transfer, records=len(records))
        buckets = [each.record.bucket for each in records]
        moved, txn = transfer_plan.switch(
            keyspace, listed, held.revision, buckets, self._clock(), wish.fence, wish.arrival
        )
        outcome = await ledger.commit(txn, keyspace.transfer(moved.id))
        if isinstance(outcome, Conflict):
            if not {each.key for each in wish.fence}.isdisjoint(outcome.keys):
                return Hindered(tuple(FenceLifted(subject) for subject in wish.subjects))
            if not {each.key for each in wish.arrival}.isdisjoint(outcome.keys):
                raise StoreUnavailable(f"cell {wish.to_cell} was changed at the same moment: try again")
            raise _overtaken(held)
        return _SeenTransfer(moved, outcome.revision)

    async def _earlier(self, wish: TransferWish) -> Outcome | None:
        """Say what came of the same request before; None where nothing did."""
        seen = await self._read(wish.id)
        if seen is None:
            return None
        if not same_wish(wish, seen.transfer):
            message = f"{wish.id} was used for another transfer: send a new one"
            return Invalid((Problem(field="request_id", message=message),))
        await self.settle(wish.id)
        if seen.transfer.phase in (TransferPhase.MOVED, TransferPhase.DONE):
            return Transferred(seen.transfer, seen.revision, repeated=True)
        if await self._read(wish.id) is not None:
            raise StoreUnavailable(f"transfer {wish.id} is being prepared: try again")
        return None

    async def _claimed(
        self, wish: TransferWish, inventory: Inventory | None, cursor: int
    ) -> tuple[Seen | Unreadable, ...]:
        """Read what is claimed for the owners, as it is now or was after a cursor."""
        ledger, wanted = self._ledger, set(wish.subjects)
        if inventory is not None:
            found = await ledger.read(await inventory.claimed_for(wish.subjects, cursor))
        else:
            found = ledger.found((await ledger.store.list(ledger.keyspace.records())).records)
            found = {bucket: each for bucket, each in found.items() if isinstance(each, Seen)}
        return tuple(
            each
            for each in found.values()
            if isinstance(each, Unreadable) or each.record.metadata.subject in wanted
        )

    async def _cleared(self, standing: tuple[TransferObstacle, ...]) -> bool:
        """Finish other transfers that hold the owners; True where one is over, so that looking again pays."""
        moving = {each.transfer for each in standing if isinstance(each, OwnerMoving)}
        for uuid in moving:
            await self.settle(uuid)
        left = [await self._read(uuid) for uuid in moving]
        return any(each is None or each.transfer.phase is TransferPhase.DONE for each in left)

    async def _give_up(self, seen: _SeenTransfer) -> None:
        given_up = replace(seen.transfer, phase=TransferPhase.GIVEN_UP)
        key = self._ledger.keyspace.transfer(given_up.id)
        txn = Txn(compares=(Compare(key, seen.revision),), puts=((key, encode_transfer(given_up)),))
        outcome = await self._ledger.commit(txn, key)
        if isinstance(outcome, Committed):
            await self._let_go(_SeenTransfer(given_up, outcome.revision))

    async def _let_go(self, seen: _SeenTransfer) -> bool:
        ledger, transfer = self._ledger, seen.transfer
        keys = [part.key for part in await ledger.parts(transfer.id)]
        for at in range(0, len(keys), MAX_TXN_OPERATIONS):
            some = keys[at : at + MAX_TXN_OPERATIONS]
            txn = transfer_plan.drop_parts(ledger.keyspace, transfer, seen.revision, some)
            if isinstance(await ledger.store.commit(txn), Conflict):
                return False
        held = await ledger.owners(subject for subject, _ in transfer.owners)
        owners = [each.owner for each in held.values()]
        end = transfer_plan.let_go(ledger.keyspace, transfer, seen.revision, owners)
        return isinstance(await ledger.store.commit(end), Committed)

    async def _finished(self, seen: _SeenTransfer) -> bool:
        """Rewrite what has moved; False where another is at it too."""
        ledger, keyspace = self._ledger, self._ledger.keyspace
        while seen.transfer.slots:
            rest, txn = transfer_plan.write_slots(keyspace, seen.transfer, seen.revision)
            outcome = await ledger.store.commit(txn)
            if isinstance(outcome, Conflict):
                return False
            seen = _SeenTransfer(rest, outcome.revision)
        for part in await ledger.parts(seen.transfer.id):
            found = await ledger.read(part.buckets)
            records = [each for each in found.values() if isinstance(each, Seen)]
            rewritten = transfer_plan.rewrites(keyspace, seen.transfer, records)
            txn = transfer_plan.rewrite_part(
                keyspace, seen.transfer, seen.revision, (part.key, part.revision), rewritten
            )
            if isinstance(await ledger.store.commit(txn), Conflict):
                return False
        end = transfer_plan.finish(keyspace, seen.transfer, seen.revision)
        return isinstance(await ledger.store.commit(end), Committed)

    async def _read(self, uuid: str) -> _SeenTransfer | None:
        for stored in await self._ledger.fetch((self._ledger.keyspace.transfer(uuid),)):
            transfer = decode_transfer(TransferKey(uuid), stored.value)
            if isinstance(transfer, Undecodable):
                raise StoreRefused(f"the transfer at {stored.key} can't be read: {transfer.reason}")
            return _SeenTransfer(transfer, stored.mod_revision)
        return None


def _on_record(wish: TransferWish, owners: Mapping[Subject, Owner]) -> tuple[tuple[Subject, int], ...]:
    return tuple((subject, epoch) for subject, epoch in wish.owners if subject in owners)


def _plain(found: Seen | Unreadable) -> Record | Unreadable:
    return found.record if isinstance(found, Seen) else found


def _overtaken(held: _SeenTransfer) -> StoreUnavailable:
    return StoreUnavailable(f"transfer {held.transfer.id} took too long and was given up: try again")
