"""Tells the other replicas of this one's Envoys: a record under a lease, written behind the pushes.

It reads the `Fleet` and the hold book and writes to the store at most once a pause, in one transaction,
and only what changed; when the process ends or is cut off, its lease and so its records go. Nobody waits for
it (`Snapshot -> Response`, on its way back).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from zlib import crc32

from cellplane.fleet_node import node_body
from cellplane.fleet_record import encode_part
from cellplane.operation_keys import FleetKeys
from topology.errors import LeaseGone, StoreError
from topology.store import MAX_TXN_BYTES, LeasingStore, Txn
from xds.hold_book import HoldBook
from xds.status import Fleet

log = logging.getLogger("cellplane.fleet_reporter")

LEASE_SECONDS: Final = 15
NODES_A_PART: Final = 200
_AT_A_STRETCH: Final = 50
_MOST_BYTES: Final = MAX_TXN_BYTES * 9 // 10
_MOST_PARTS: Final = 100


class FleetReporter:
    """Keep this replica's records what its fleet is. `about` gives what it says of itself."""

    def __init__(
        self,
        store: LeasingStore,
        keys: FleetKeys,
        fleet: Fleet,
        holds: HoldBook,
        about: Callable[[], Mapping[str, Any]],
        pause_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease = 0
        self.problem = ""
        self._store = store
        self._keys = keys
        self._fleet = fleet
        self._holds = holds
        self._about = about
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._alive_at = 0.0
        self._written: dict[str, bytes] = {}
        self._seen = -1
        self._parts = 1

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            seen = self._fleet.changes
            try:
                all_written = await self._report()
                self.problem = ""
            except LeaseGone:
                log.warning("lease_lost lease=%x", self.lease)
                self.lease, all_written = 0, False
            except StoreError as error:
                all_written = False
                if not self.problem:
                    log.warning("fleet_not_reported error=%s", error)
                self.problem = str(error)
            await asyncio.sleep(self._pause_seconds)
            if all_written and self._fleet.changes == seen:
                await self._news()

    async def close(self) -> None:
        """Take back what was told, so that an orderly end shows at once."""
        lease, self.lease = self.lease, 0
        if lease:
            try:
                await self._store.revoke(lease)
            except StoreError as error:
                log.warning("lease_not_revoked lease=%x error=%s", lease, error)

    async def _news(self) -> None:
        """Wait until something happens in the fleet, or the lease is to be kept alive."""
        try:
            async with asyncio.timeout(max(0.0, self._alive_at + LEASE_SECONDS / 3 - self._clock())):
                await self._fleet.changed()
        except TimeoutError:
            pass

    async def _report(self) -> bool:
        """Write what changed; say whether that is all that is to be written."""
        await self._keep_lease()
        wanted = await self._wanted()
        about = self._keys.about(self.lease)
        news = [key for key in wanted if wanted[key] != self._written.get(key)]
        gone = [key for key in self._written if key not in wanted][:_MOST_PARTS]
        if not news and not gone:
            return True
        size = 0
        taken: list[str] = []
        for key in news:
            size += len(wanted[key])
            if taken and (size > _MOST_BYTES or len(taken) + len(gone) >= _MOST_PARTS):
                break
            taken.append(key)
        puts = [(key, self._dated(wanted[key]) if key == about else wanted[key]) for key in taken]
        await self._store.commit(Txn(puts=tuple(puts), deletes=tuple(gone), lease=self.lease))
        self._written |= {key: wanted[key] for key in taken}
        for key in gone:
            del self._written[key]
        return len(taken) == len(news)

    async def _keep_lease(self) -> None:
        if not self.lease:
            self._written = {}
            self._alive_at = self._clock()
            self.lease = await self._store.grant(LEASE_SECONDS)
        elif self._clock() - self._alive_at >= LEASE_SECONDS / 3:
            self._alive_at, before = self._clock(), self._alive_at
            try:
                await self._store.keep_alive(self.lease)
            except StoreError:
                self._alive_at = before
                raise

    async def _wanted(self) -> dict[str, bytes]:
        """Give what ought to be on record by key; it lets pushes through between a few nodes and the next."""
        nodes = self._fleet.nodes()
        while len(nodes) > self._parts * NODES_A_PART:
            self._parts *= 2
        parts: list[list[dict[str, Any]]] = [[] for _ in range(self._parts)]
        for number, node in enumerate(nodes):
            if number % _AT_A_STRETCH == _AT_A_STRETCH - 1:
                await asyncio.sleep(0)
            body = node_body(node, self._holds.at_node(node.group, node.node.id))
            # By its name a node stays in its part, and the others need not be written because one came.
            parts[crc32(node.node.id.encode()) % self._parts].append(body)
        wanted = {self._keys.about(self.lease): json.dumps(self._about(), sort_keys=True).encode()}
        for number, bodies in enumerate(parts):
            if bodies:
                bodies.sort(key=lambda body: str(body["id"]))
                key = self._keys.part(self.lease, number)
                wanted[key] = await asyncio.to_thread(encode_part, bodies)
        return wanted

    def _dated(self, about: bytes) -> bytes:
        return json.dumps({**json.loads(about), "written_at": time.time()}).encode()
