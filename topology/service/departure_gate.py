"""The gate before a transfer: its owners are announced, and move only once every sidecar of the source has
acknowledged that it refuses them.

The transfer service sends wishes through it. Where the source has no sidecars it stands open. What was
announced for a transfer that does not happen is taken back; a service that died over it leaves that to
`sweep`. Third road: between the wish for a transfer and its `Txn`s.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Final

from topology import forms
from topology.claims.owners import subject_of
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
from topology.departing import departing
from topology.errors import ListAgain, StoreError, StoreUnavailable
from topology.keys import DocumentKey, Keyspace
from topology.model import Document
from topology.service.announcements import Announcements, is_old
from topology.sidecars import FORGOTTEN, SidecarKeys, forgotten_name, unacknowledged
from topology.store import Store
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
        self._announcements = Announcements(claims, store, keyspace)
        self._keyspace = keyspace
        self._keys = SidecarKeys.beside(keyspace)
        self._patience_seconds = patience_seconds

    async def transfer(self, wish: TransferWish, by: str, inventory: Inventory, move: str = "") -> Outcome:
        """Carry a wish out, behind the gate if there is one.

        What is announced for a move stands until that lifts it, also where the owners can't go now.
        """
        if wish.dry_run or not (move or await self._guarded(wish.from_cell)):
            return await self._claims.transfer(wish, by, inventory)
        # Nothing is announced for what was done already, or can't be done.
        outcome = await self._claims.transfer(replace(wish, dry_run=True), by, inventory)
        if not isinstance(outcome, Previewed):
            return outcome
        if move:
            return await self._through(wish, by, inventory, move)
        try:
            outcome = await self._through(wish, by, inventory)
        except BaseException:
            with suppress(StoreError):
                await self._announcements.lift(wish.subjects, wish.id)
            raise
        if not isinstance(outcome, Transferred):
            await self._announcements.lift(wish.subjects, wish.id)
        return outcome

    async def sweep(self, view: View) -> None:
        """Take back what a service announced that died over it."""
        for wish in departing(view).values():
            subject = subject_of(wish.owner)
            if subject is not None and is_old(wish):
                log.warning("departure_given_up owner=%s transfer=%s", wish.owner, wish.transfer)
                await self._announcements.lift((subject,), wish.transfer)

    async def _guarded(self, cell_id: int) -> bool:
        return bool((await self._store.list(self._keys.of_cell(cell_id))).records)

    async def _through(self, wish: TransferWish, by: str, inventory: Inventory, move: str = "") -> Outcome:
        buckets = frozenset(await inventory.claimed_for(wish.subjects, 0))
        outcome: Outcome | None = None
        for _ in range(_ATTEMPTS):
            announced = await self._announcements.announce(wish, by, buckets, move)
            if isinstance(announced, Hindered):
                return announced
            behind = await self._waited(wish.from_cell, announced[1])
            if behind:
                return Hindered(tuple(SidecarsBehind(subject, behind) for subject in wish.subjects))
            fenced = replace(wish, fenced=buckets, fence=announced[0])
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

    async def _waited(self, cell_id: int, revision: int) -> tuple[str, ...]:
        """Wait until all sidecars have a revision; name those that do not in time."""
        behind: tuple[str, ...] = ()
        prefix = self._keys.of_cell(cell_id)
        try:
            async with asyncio.timeout(self._patience_seconds):
                while True:
                    listing = await self._store.list(prefix)
                    sidecars = map(self._keys.read, listing.records)
                    behind = unacknowledged(sidecars, revision, await self._forgotten(cell_id))
                    if not behind:
                        return ()
                    with suppress(ListAgain):
                        await self._changed(prefix, listing.revision)
        except TimeoutError:
            return behind or ("nobody could say in time",)

    async def _forgotten(self, cell_id: int) -> dict[str, str]:
        prefix = self._keyspace.document(FORGOTTEN, forgotten_name(cell_id, "x"))[:-1]
        found = {}
        for record in (await self._store.list(prefix)).records:
            key = self._keyspace.parse(record.key)
            document = decode(key, record.value) if isinstance(key, DocumentKey) else None
            if isinstance(document, Document):
                moment = forms.parse_utc(document.stamp.updated_at)
                found[document.name] = "" if moment is None else forms.format_utc(moment)
        return found

    async def _changed(self, prefix: str, after: int) -> None:
        async with aclosing(self._store.watch(prefix, after)) as batches:
            async for batch in batches:
                if batch.events:
                    return
        raise StoreUnavailable("the watch on sidecars ended: try again")
