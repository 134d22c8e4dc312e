"""What goes on beside the store: generations told to the topology, and the log of changes kept short.

The service runs one. Of all replicas one tells at a time, at least once for each change; where a part of the
log is gone that had not been told, it tells all generations. It never touches a claim. Third road.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from topology import forms
from topology.claims.generations import written
from topology.claims_postgresql import statements
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.failures import told
from topology.claims_postgresql.store import POLL_SECONDS, PostgresClaims
from topology.claims_postgresql.watch import woken_within
from topology.codec import decode
from topology.departing import DEPARTING
from topology.errors import StoreError
from topology.keys import SLOTS, DepartureKey, Keyspace
from topology.model import Departure, Stamp
from topology.store import MAX_TXN_OPERATIONS, Committed, Compare, Store, Txn

log = logging.getLogger("topology.claims_postgresql")

PRUNE_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0


@dataclass
class UpkeepState:
    """How it goes: `telling` while this replica is the one that tells, and how far it has come."""

    telling: bool = False
    published: int = 0
    failures: int = 0
    last_error: str = ""


class Upkeep:
    """Tells generations and prunes the log until it is cancelled."""

    def __init__(
        self,
        database: Database,
        claims: PostgresClaims,
        store: Store,
        keyspace: Keyspace,
        *,
        poll_seconds: float = POLL_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.state = UpkeepState()
        self._database = database
        self._claims = claims
        self._store = store
        self._keyspace = keyspace
        self._poll_seconds = poll_seconds
        self._sleep = sleep

    async def run(self) -> None:
        """Do both for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._supervised(self._tell, RETRY_SECONDS))
            tasks.create_task(self._supervised(self._prune, PRUNE_SECONDS))

    async def _supervised(self, work: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            try:
                await work()
            except StoreError as error:
                self.state.failures += 1
                self.state.last_error = str(error)
                log.warning("claims_upkeep_failed error=%s", error)
            finally:
                self.state.telling &= work != self._tell
            await self._sleep(pause * (0.5 + random.random()))

    async def _prune(self) -> None:
        await self._claims.prune()

    async def _tell(self) -> None:
        """Tell for as long as this replica is the one that does."""
        await self._claims.check()
        woken = asyncio.Event()

        def wake(*_: object) -> None:
            woken.set()

        async with self._database.dedicated() as connection:
            with told():
                if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", statements.PUBLISH_LOCK):
                    return
                connection.add_termination_listener(wake)
                await connection.add_listener(statements.CHANNEL, wake)
            self.state.telling = True
            while True:
                woken.clear()
                with told():
                    row = await connection.fetchrow(statements.UNPUBLISHED)
                if row is None:
                    raise AssertionError("claim_log has one row")
                missed = row["pruned"] > row["published"]
                departures: Sequence[str] = row["departures"]
                if missed:
                    with told():
                        departures = [each[0] for each in await connection.fetch(statements.ALL_DEPARTURES)]
                # Fences first: whoever forgets a lookup shall not ask the cell that was left.
                for departure in departures:
                    await self._depart(departure)
                await self._put(range(SLOTS) if missed else row["slots"], row["newest"])
                if row["newest"] > row["published"]:
                    with told():
                        await connection.execute(statements.PUBLISHED, row["newest"])
                self.state.published = row["newest"]
                await woken_within(woken, self._poll_seconds)

    async def _depart(self, value: str) -> None:
        """Write where an owner went, unless the topology knows of a later departure already."""
        owner, epoch = json.loads(value)["owner"], json.loads(value)["epoch"]
        key, revision = self._keyspace.departure(owner), 0
        over = (self._keyspace.document(DEPARTING, owner),)  # what was about to leave has left
        while True:
            txn = Txn(compares=(Compare(key, revision),), puts=((key, value.encode()),), deletes=over)
            outcome = await self._store.commit(txn)
            if isinstance(outcome, Committed):
                return
            there = decode(DepartureKey(owner), outcome.records[0].value) if outcome.records else None
            if isinstance(there, Departure) and there.epoch >= epoch:
                return
            revision = outcome.records[0].mod_revision if outcome.records else 0

    async def _put(self, slots: Sequence[int], cursor: int) -> None:
        stamp = Stamp(
            updated_by="claims in PostgreSQL",
            updated_at=forms.format_utc(datetime.now(UTC)),
            reason=f"claims were dropped or moved up to cursor {cursor}",
        )
        for at in range(0, len(slots), MAX_TXN_OPERATIONS):
            some = slots[at : at + MAX_TXN_OPERATIONS]
            await self._store.commit(Txn(puts=written(self._keyspace, some, stamp)))
