"""The gate before a transfer: its owners are announced, and move only once every sidecar of the source has
acknowledged that it refuses them.

The transfer service sends wishes through it. Where the source has no sidecars it stands open. What was
announced for a transfer that does not happen is taken back; a service that died over it leaves that to
`sweep`. Third road: between the wish for a transfer and its `Txn`s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from topology import forms
from topology.claims.generations import bucket_name
from topology.claims.model import Bucket, Subject
from topology.claims.owners import OwnerMoving, name_of, subject_of
from topology.claims.store import Invalid
from topology.claims.transfer import (
    Hindered,
    Inventory,
    Previewed,
    Transferred,
    TransferStore,
    TransferWish,
    Unfit,
)
from topology.claims.transfer_obstacles import SidecarsBehind, Unfenced
from topology.codec import decode
from topology.departing import (
    DEPARTING,
    GIVEN_UP_AFTER,
    Departing,
    announced,
    departing,
    departing_of,
    named,
    names_below,
)
from topology.errors import ListAgain, StoreError, StoreUnavailable
from topology.keys import DocumentKey, Keyspace
from topology.model import Document, Stamp
from topology.sidecars import SidecarKeys, unacknowledged
from topology.store import MAX_TXN_OPERATIONS, Committed, Compare, Conflict, Record, Store, Txn
from topology.view import View

log = logging.getLogger("topology.service.departures")

Outcome = Transferred | Previewed | Invalid | Unfit | Hindered
PATIENCE_SECONDS: Final = 15.0
SWEEP_SECONDS: Final = 30.0
_ATTEMPTS: Final = 4


class DepartureGate:
    """Lets transfers through. `store` is the topology's."""

    def __init__(
        self,
        claims: TransferStore,
        store: Store,
        keyspace: Keyspace,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._claims = claims
        self._store = store
        self._keyspace = keyspace
        self._keys = SidecarKeys.beside(keyspace)
        self._patience_seconds = patience_seconds

    async def transfer(self, wish: TransferWish, by: str, inventory: Inventory) -> Outcome:
        """Carry a wish out, behind the gate if there is one."""
        if wish.dry_run or not (await self._store.list(self._keys.of_cell(wish.from_cell))).records:
            return await self._claims.transfer(wish, by, inventory)
        # Nothing is announced for what was done already, or can't be done.
        outcome = await self._claims.transfer(replace(wish, dry_run=True), by, inventory)
        if not isinstance(outcome, Previewed):
            return outcome
        try:
            outcome = await self._through(wish, by, inventory)
        except BaseException:
            with suppress(StoreError):
                await self._lift(wish.subjects, wish.id)
            raise
        if not isinstance(outcome, Transferred):
            await self._lift(wish.subjects, wish.id)
        return outcome

    async def sweep(self, view: View) -> None:
        """Take back what a service announced that died over it."""
        now = datetime.now(UTC)
        for wish in departing(view).values():
            moment, subject = forms.parse_utc(wish.stamp.updated_at), subject_of(wish.owner)
            if subject is not None and (moment is None or now - moment > GIVEN_UP_AFTER):
                log.warning("departure_given_up owner=%s transfer=%s", wish.owner, wish.transfer)
                await self._lift((subject,), wish.transfer)

    async def _through(self, wish: TransferWish, by: str, inventory: Inventory) -> Outcome:
        buckets = frozenset(await inventory.claimed_for(wish.subjects, 0))
        outcome: Outcome | None = None
        for _ in range(_ATTEMPTS):
            stamp = Stamp(updated_by=by, updated_at=forms.format_utc(datetime.now(UTC)), reason=wish.reason)
            fence, revision = [], 0
            for subject, epoch in wish.owners:
                found = await self._announce(wish, subject, epoch + 1, stamp, buckets)
                if isinstance(found, Hindered):
                    return found
                fence.append(found[0])
                revision = max(revision, found[1])
            behind = await self._waited(wish.from_cell, revision)
            if behind:
                return Hindered(tuple(SidecarsBehind(subject, behind) for subject in wish.subjects))
            fenced = replace(wish, fenced=buckets, fence=tuple(fence))
            outcome = await self._claims.transfer(fenced, by, inventory)
            if not isinstance(outcome, Hindered):
                return outcome
            new = [each for each in outcome.obstacles if isinstance(each, Unfenced)]
            if len(new) < len(outcome.obstacles):
                return outcome
            buckets |= {bucket for each in new for bucket in each.buckets}
        if outcome is None:
            raise AssertionError("there are several attempts")
        return outcome

    async def _announce(
        self, wish: TransferWish, subject: Subject, epoch: int, stamp: Stamp, buckets: Collection[Bucket]
    ) -> tuple[Compare, int] | Hindered:
        """Write that an owner is about to leave, and with which names.

        Gives what the transfer has to find unchanged, and the revision that sidecars have to have.
        """
        departure = Departing(
            owner=name_of(subject),
            transfer=wish.id,
            from_cell=wish.from_cell,
            to_cell=wish.to_cell,
            epoch=epoch,
            stamp=stamp,
        )
        revision, standing = 0, ""
        for _ in range(_ATTEMPTS):
            key, txn = announced(self._keyspace, departure, revision)
            outcome = await self._store.commit(txn)
            if isinstance(outcome, Committed):
                break
            (record,) = outcome.records or (None,)
            other = None if record is None else self._departing(departure.owner, record)
            standing = other.transfer if other else ""
            if other and other.transfer != wish.id and not _is_old(other):
                return Hindered((OwnerMoving(subject, other.transfer),))
            if other and other.transfer != wish.id:
                await self._lift((subject,), other.transfer)
            # An earlier call with the same id is overtaken: it compares what is rewritten here.
            revision = record.mod_revision if record and standing == wish.id else 0
        else:
            return Hindered((OwnerMoving(subject, standing),))
        seen, last = Compare(key, outcome.revision), outcome.revision
        own = [bucket_name(bucket) for bucket in buckets]
        for txn in named(self._keyspace, departure, own, seen):
            outcome = await self._store.commit(txn)
            if isinstance(outcome, Conflict):
                return Hindered((OwnerMoving(subject, standing),))
            last = outcome.revision
        return seen, last

    async def _waited(self, cell_id: int, revision: int) -> tuple[str, ...]:
        """Wait until all sidecars have a revision; name those that do not in time."""
        behind: tuple[str, ...] = ()
        prefix = self._keys.of_cell(cell_id)
        try:
            async with asyncio.timeout(self._patience_seconds):
                while True:
                    listing = await self._store.list(prefix)
                    behind = unacknowledged(map(self._keys.read, listing.records), revision)
                    if not behind:
                        return ()
                    with suppress(ListAgain):
                        await self._changed(prefix, listing.revision)
        except TimeoutError:
            return behind or ("nobody could say in time",)

    async def _changed(self, prefix: str, after: int) -> None:
        async with aclosing(self._store.watch(prefix, after)) as batches:
            async for batch in batches:
                if batch.events:
                    return
        raise StoreUnavailable("the watch on sidecars ended: try again")

    async def _lift(self, subjects: Collection[Subject], transfer: str) -> None:
        """Have the source let owners in again, unless they are gone by now."""

        async def lift() -> None:
            for subject in subjects:
                await self._lift_one(subject, transfer)

        await self._claims.aside(subjects, lift)

    async def _lift_one(self, subject: Subject, transfer: str) -> None:
        owner = name_of(subject)
        key = self._keyspace.document(DEPARTING, owner)
        outcome = await self._store.commit(Txn(compares=(Compare(key, 0),)))
        if isinstance(outcome, Committed):
            return
        (record,) = outcome.records
        wish = self._departing(owner, record)
        if wish is not None:
            moved = await self._claims.owner(subject)
            if wish.transfer != transfer or (moved is not None and moved.epoch >= wish.epoch):
                return
        seen = Compare(key, record.mod_revision)
        listing = await self._store.list(names_below(self._keyspace, owner, wish.epoch)) if wish else None
        names = [each.key for each in listing.records] if listing else []
        for at in range(0, len(names), MAX_TXN_OPERATIONS):
            txn = Txn(compares=(seen,), deletes=tuple(names[at : at + MAX_TXN_OPERATIONS]))
            await self._store.commit(txn)
        await self._store.commit(Txn(compares=(seen,), deletes=(key,)))

    def _departing(self, owner: str, record: Record) -> Departing | None:
        document = decode(DocumentKey(DEPARTING, owner), record.value)
        if not isinstance(document, Document):
            return None
        return departing_of(owner, document.body, document.stamp)


def _is_old(wish: Departing) -> bool:
    moment = forms.parse_utc(wish.stamp.updated_at)
    return moment is None or datetime.now(UTC) - moment > GIVEN_UP_AFTER
