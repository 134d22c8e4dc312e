"""One of several replicas leads: by a key under a lease, whose revision every write of the leader compares.

Whoever has work for a single actor runs a `Campaign` and does the work while it leads. It does no work by
itself. Third road: who may plan a `Txn` that only one may commit.

    /cellplane/v1-leaders/moves      {"who": "replica-2", …}, for as long as that one's lease runs
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from topology import forms
from topology.codec import SCHEMA, to_json
from topology.errors import LeaseGone, OutcomeUnknown, StoreError, StoreUnavailable
from topology.keys import Keyspace
from topology.store import Committed, Compare, EventKind, LeasingStore, Txn

LEASE_SECONDS: Final = 5
_MARGIN: Final = 0.2  # of the lease: so long before its end a leader that heard nothing stops
_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Leadership:
    """The right to act alone, and its proof: the key, and the revision at which this leader created it."""

    key: str
    token: int

    @property
    def fence(self) -> Compare:
        """Compare that this leader still leads."""
        return Compare(self.key, self.token)

    def fenced(self, txn: Txn) -> Txn:
        """Give a transaction that commits only while this leader leads. A leader writes in no other way."""
        return replace(txn, compares=(*txn.compares, self.fence))


def leader_key(keyspace: Keyspace, role: str) -> str:
    """Spell the key of whoever leads in a role."""
    return f"{keyspace.prefix}-leaders/{role}"


class Campaign:
    """One replica's part in the election for a role. `who` is what others see of it."""

    def __init__(
        self,
        store: LeasingStore,
        keyspace: Keyspace,
        role: str,
        who: str,
        *,
        lease_seconds: int = LEASE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.leadership: Leadership | None = None
        """What this replica leads by now; None while another does, or nobody."""
        self._store = store
        self._key = leader_key(keyspace, role)
        self._who = who
        self._lease_seconds = lease_seconds
        self._sleep = sleep

    async def run(self, lead: Callable[[Leadership], Awaitable[None]]) -> None:
        """Wait to be elected and lead, again and again, until `lead` returns.

        `lead` is cancelled before the lease can run out, where it can't be kept. While the store is away
        nobody is elected; an error of the store that ends `lead` ends that leadership only.
        """
        while True:
            try:
                if await self._reign(lead):
                    return
            except StoreError:
                await self._sleep(_RETRY_SECONDS)

    async def _reign(self, lead: Callable[[Leadership], Awaitable[None]]) -> bool:
        """Lead once; True where the work is done."""
        await self._vacant()
        began = asyncio.get_running_loop().time()
        lease = await self._store.grant(self._lease_seconds)
        try:
            token = await self._elected(lease)
            if token is None:
                return False
            self.leadership = Leadership(self._key, token)
            return await self._led(lead, self.leadership, lease, began)
        finally:
            self.leadership = None
            with suppress(StoreError):  # it runs out by itself
                await self._store.revoke(lease)

    async def _led(
        self,
        lead: Callable[[Leadership], Awaitable[None]],
        leadership: Leadership,
        lease: int,
        began: float,
    ) -> bool:
        async def work() -> None:
            await lead(leadership)
            keeping.cancel()

        async def keep() -> None:
            await self._kept(lease, began)
            working.cancel()

        try:
            async with asyncio.TaskGroup() as tasks:
                working = tasks.create_task(work())
                keeping = tasks.create_task(keep())
        except* StoreError as errors:
            raise StoreUnavailable("the store failed under the leader's work") from errors
        return not working.cancelled()

    async def _kept(self, lease: int, began: float) -> None:
        """Keep the lease alive; return while there is time left to stop, where it can't be kept."""
        loop = asyncio.get_running_loop()
        length = float(self._lease_seconds)
        until = began + length * (1 - _MARGIN)
        while True:
            await self._sleep(max(0.0, min(length / 3, until - loop.time())))
            sent = loop.time()
            try:
                async with asyncio.timeout_at(until):
                    await self._store.keep_alive(lease)
            except (LeaseGone, TimeoutError):
                return
            except StoreError:
                if loop.time() + _RETRY_SECONDS / 10 >= until:
                    return
                await self._sleep(_RETRY_SECONDS / 10)
                continue
            # It runs from when the store heard of it, which was not before it was sent.
            until = sent + length * (1 - _MARGIN)

    async def _elected(self, lease: int) -> int | None:
        """Try to create the key; give the revision at which it was, or None where another was faster."""
        value = to_json(
            {
                "schema": SCHEMA,
                "who": self._who,
                "since": forms.format_utc(datetime.now(UTC)),
                "nonce": str(uuid.uuid4()),
            }
        )
        txn = Txn(compares=(Compare(self._key, 0),), puts=((self._key, value),), lease=lease)
        try:
            outcome = await self._store.commit(txn)
        except OutcomeUnknown:
            found = [each for each in (await self._store.list(self._key)).records if each.key == self._key]
            return found[0].create_revision if found and found[0].value == value else None
        return outcome.revision if isinstance(outcome, Committed) else None

    async def _vacant(self) -> None:
        """Wait until nobody leads."""
        listing = await self._store.list(self._key)
        if not any(each.key == self._key for each in listing.records):
            return
        async with aclosing(self._store.watch(self._key, listing.revision)) as batches:
            async for batch in batches:
                for event in batch.events:
                    if event.key == self._key and event.kind is EventKind.DELETE:
                        return
