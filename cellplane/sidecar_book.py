"""Keeps on record which sidecars there are and what they have acknowledged, for the transfers that wait for
them.

Reads the `Fleet` and the newest View, writes beside the topology, without a lease: a sidecar that is cut off
has to be waited for too. What a sidecar has acknowledged is written while an owner leaves its cell, and at
no other time (`Snapshot -> Response`, on its way back).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from cellplane.sidecar_groups import PREFIX, is_sidecar
from topology import forms
from topology.departing import departing
from topology.errors import StoreError
from topology.sidecars import Sidecar, SidecarKeys, encode_sidecar
from topology.store import Committed, Compare, Store, Txn
from topology.view import View
from xds.hold_book import HoldBook
from xds.node_status import NodeStatus
from xds.status import Fleet

log = logging.getLogger("cellplane.sidecars")

RETRY_SECONDS: Final = 0.5


class SidecarBook:
    """The records of the sidecars that are connected to this replica."""

    def __init__(
        self,
        store: Store,
        keys: SidecarKeys,
        fleet: Fleet,
        holds: HoldBook,
        view: Callable[[], View | None],
        replica: str,
    ) -> None:
        self._store = store
        self._keys = keys
        self._fleet = fleet
        self._holds = holds
        self._view = view
        self._replica = replica
        self._written: dict[str, tuple[Sidecar, int]] = {}

    async def run(self) -> None:
        """Keep them true until cancelled."""
        while True:
            seen = self._fleet.changes
            try:
                await self._write()
            except StoreError as error:
                log.warning("sidecars_not_recorded error=%s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if self._fleet.changes == seen:
                await self._fleet.changed()

    async def _write(self) -> None:
        view = self._view()
        leaving = {each.from_cell for each in departing(view).values()} if view is not None else set()
        here: set[str] = set()
        for node in self._fleet.nodes():
            if is_sidecar(node.group):
                here.add(node.node.id)
                await self._put(self._record(node, leaving))
        for name in self._written.keys() - here:
            await self._left(name)

    def _record(self, node: NodeStatus, leaving: set[int]) -> Sidecar:
        cell_id, name = int(node.group.removeprefix(PREFIX)), node.node.id
        found = Sidecar(
            node=name,
            cell_id=cell_id,
            settled=node.settled_revision,
            connected=True,
            behind=any(self._holds.at_node(node.group, name)),
            at=forms.format_utc(datetime.fromtimestamp(node.connected_at, UTC)),
            replica=self._replica,
        )
        before = self._written.get(name)
        if before is None or cell_id in leaving:
            return found
        # Nobody waits for it: what it acknowledges meanwhile need not be written each time.
        return replace(found, settled=min(found.settled, before[0].settled))

    async def _put(self, sidecar: Sidecar) -> None:
        before = self._written.get(sidecar.node)
        if before is None or before[0] != sidecar:
            key = self._keys.sidecar(sidecar.cell_id, sidecar.node)
            outcome = await self._store.commit(Txn(puts=((key, encode_sidecar(sidecar)),)))
            if isinstance(outcome, Committed):
                self._written[sidecar.node] = sidecar, outcome.revision

    async def _left(self, name: str) -> None:
        """Note that a sidecar is cut off, unless it has come to another replica."""
        sidecar, revision = self._written.pop(name)
        key = self._keys.sidecar(sidecar.cell_id, name)
        gone = replace(sidecar, connected=False, at=forms.format_utc(datetime.now(UTC)))
        try:
            txn = Txn(compares=(Compare(key, revision),), puts=((key, encode_sidecar(gone)),))
            await self._store.commit(txn)
        except StoreError:
            self._written[name] = sidecar, revision
            raise
