"""Places of owners that were moved: taken along to where the owner is by now, whoever moved it.

The server runs it in every replica, for a service may die between a transfer and what follows from it. It
looks at owners whose epoch it has not seen yet. Third road, behind the `Txn` of a transfer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from topology import forms
from topology.claims.model import Subject
from topology.claims.owners import Owner
from topology.errors import StoreRefused, StoreUnavailable
from topology.model import Stamp
from topology.placements import Placements
from topology.service import audit
from topology.service.failure import Failure
from topology.service.sources import Sources

log = logging.getLogger("topology.audit")

FOLLOW_SECONDS: Final = 2.0
_WHO: Final = "topology-service"


class PlacementFollower:
    """Follows owners."""

    def __init__(self, sources: Sources, placements: Placements) -> None:
        self._sources = sources
        self._placements = placements
        self._seen: dict[Subject, int] = {}
        self._cursor = 0
        self._noted = False

    async def run(self) -> None:
        """Follow owners from time to time, until cancelled."""
        while True:
            await asyncio.sleep(FOLLOW_SECONDS * (0.5 + random.random()))
            with suppress(StoreUnavailable, Failure):  # the store, or the claims, are not there: later
                if not self._noted:
                    await self._note_owners()
                await self.follow()

    async def follow(self) -> None:
        """Take along the places of owners that moved since the last time."""
        claims = self._sources.claims
        if (cursor := claims.cursor) == self._cursor:
            return
        for owner in tuple(claims.owners.values()):
            if not owner.transfer and self._seen.get(owner.subject) != owner.epoch:
                await self._follow(owner)
                self._seen[owner.subject] = owner.epoch
        self._cursor = cursor

    async def _note_owners(self) -> None:
        """See to it, once in a replica's life, that places from before owners were noted are found."""
        now = forms.format_utc(datetime.now(UTC))
        stamp = Stamp(updated_by=_WHO, updated_at=now, reason="placed before owners were noted")
        if count := await self._placements.note_owners(stamp):
            log.info("placements_noted count=%d by=%s", count, _WHO)
        self._noted = True

    async def _follow(self, owner: Owner) -> None:
        stamp = replace(owner.stamp, updated_at=forms.format_utc(datetime.now(UTC)))
        try:
            followed = await self._placements.follow(owner.name, owner.cell_id, stamp)
        except StoreRefused as error:  # a person mends that; others go on
            log.warning("placement_not_followed owner=%s error=%s", owner.name, error)
            return
        for each in followed:
            log.info(
                "placement_followed owner=%s key=%s from=%d to=%d revision=%d by=%s",
                owner.name,
                audit.named(each.key),
                each.from_cell,
                owner.cell_id,
                each.revision,
                stamp.updated_by,
            )
