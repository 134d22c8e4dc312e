"""Owners announced as about to leave a cell, and announcements taken back: what sidecars of the source go by.

The gate before a transfer writes them, and a move, for which they are its freeze. It waits for nobody. Third
road: plans and commits a `Txn`; it comes back as an Event.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from topology import forms
from topology.claims.generations import bucket_name
from topology.claims.model import Bucket, Subject
from topology.claims.owners import OwnerMoving, name_of
from topology.claims.transfer import Hindered, TransferStore, TransferWish
from topology.codec import decode
from topology.departing import (
    DEPARTING,
    GIVEN_UP_AFTER,
    Departing,
    announced,
    departing_of,
    named,
    names_below,
)
from topology.keys import DocumentKey, Keyspace
from topology.model import Document, Stamp
from topology.store import MAX_TXN_OPERATIONS, Committed, Compare, Conflict, Record, Store, Txn

_ATTEMPTS: Final = 4


class Announcements:
    """Announcements in one topology. `claims` say whether somebody is gone by now."""

    def __init__(self, claims: TransferStore, store: Store, keyspace: Keyspace) -> None:
        self._claims = claims
        self._store = store
        self._keyspace = keyspace

    async def announce(
        self, wish: TransferWish, by: str, buckets: Collection[Bucket], move: str = ""
    ) -> tuple[tuple[Compare, ...], int] | Hindered:
        """Write that owners are about to leave, and with which names.

        Gives what the transfer has to find unchanged, and the revision that sidecars have to have.
        """
        stamp = Stamp(updated_by=by, updated_at=forms.format_utc(datetime.now(UTC)), reason=wish.reason)
        fence, revision = [], 0
        for subject, epoch in wish.owners:
            departure = Departing(
                owner=name_of(subject),
                transfer=wish.id,
                from_cell=wish.from_cell,
                to_cell=wish.to_cell,
                epoch=epoch + 1,
                stamp=stamp,
                move=move,
            )
            found = await self._announce(departure, subject, buckets)
            if isinstance(found, Hindered):
                return found
            fence.append(found[0])
            revision = max(revision, found[1])
        return tuple(fence), revision

    async def lift(self, subjects: Collection[Subject], transfer: str) -> None:
        """Have the source let owners in again, unless they are gone by now."""

        async def lift() -> None:
            for subject in subjects:
                await self._lift_one(subject, transfer)

        await self._claims.aside(subjects, lift)

    async def _announce(
        self, departure: Departing, subject: Subject, buckets: Collection[Bucket]
    ) -> tuple[Compare, int] | Hindered:
        revision, standing = 0, ""
        for _ in range(_ATTEMPTS):
            key, txn = announced(self._keyspace, departure, revision)
            outcome = await self._store.commit(txn)
            if isinstance(outcome, Committed):
                break
            (record,) = outcome.records or (None,)
            other = None if record is None else self._departing(departure.owner, record)
            standing = other.transfer if other else ""
            if other and standing != departure.transfer and not is_old(other):
                return Hindered((OwnerMoving(subject, standing),))
            if other and standing != departure.transfer:
                await self.lift((subject,), standing)
            # An earlier call with the same id is overtaken: it compares what is rewritten here.
            revision = record.mod_revision if record and standing == departure.transfer else 0
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


def is_old(wish: Departing) -> bool:
    """Tell whether a service that died left it. A move takes back its own."""
    moment = forms.parse_utc(wish.stamp.updated_at)
    return not wish.move and (moment is None or datetime.now(UTC) - moment > GIVEN_UP_AFTER)
