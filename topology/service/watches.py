"""Watches on cells: every change after a revision, in order, as differences between Views.

The cells service opens one for each watcher, on a watch of the store's own. A watcher never sees a record
that a View keeps out. `etcd Event -> View -> Snapshot -> Response`, as far as a watcher of cells goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from pb.cellplane.topology.v1 import cells_pb2
from topology.keys import Keyspace
from topology.model import Cell
from topology.service.cells_wire import cell_message
from topology.service.open_watches import MAX_WATCHES, OpenWatches
from topology.store import Batch, Store
from topology.view import View, fold, from_listing

_KEPT: Final = 32


@dataclass(frozen=True, slots=True)
class _Step:
    """A batch, the View after it, and what a watcher is told."""

    batch: Batch
    view: View
    response: cells_pb2.WatchCellsResponse


class Watches:
    """The open watches on cells of one server."""

    def __init__(self, store: Store, keyspace: Keyspace, most: int = MAX_WATCHES) -> None:
        self._store = store
        self._keyspace = keyspace
        self._open = OpenWatches(most)
        self._steps: OrderedDict[tuple[int, int], _Step] = OrderedDict()

    def __len__(self) -> int:
        """Count them."""
        return len(self._open)

    def end(self) -> None:
        """Send watchers elsewhere: this server is going away."""
        self._open.end()

    async def follow(self, after: int) -> AsyncIterator[cells_pb2.WatchCellsResponse]:
        """Give all changes after a revision; after 0, all cells first."""
        async for response in self._open.following(self._changes(after)):
            yield response

    async def _changes(self, after: int) -> AsyncIterator[cells_pb2.WatchCellsResponse]:
        listing = await self._store.list(self._keyspace.root, after or None)
        view = from_listing(listing, self._keyspace)
        if not after:
            cells = [stored_message(view, cell) for cell in view.cells.values()]
            yield cells_pb2.WatchCellsResponse(revision=view.revision, complete=True, upserted=cells)
        async with aclosing(self._store.watch(self._keyspace.root, view.revision)) as batches:
            while True:
                step = self._step(view, await self._open.next(batches))
                view = step.view
                yield step.response

    def _step(self, before: View, batch: Batch) -> _Step:
        """Take a View on by a batch: once for all watchers that are where this one is."""
        at = before.revision, batch.revision
        kept = self._steps.get(at)
        if kept is None or kept.batch != batch:
            view = fold(before, batch)
            kept = self._steps[at] = _Step(batch, view, changes_between(before, view))
            while len(self._steps) > _KEPT:
                self._steps.popitem(last=False)
        return kept


def stored_message(view: View, cell: Cell) -> cells_pb2.Cell:
    """Spell a cell of a View."""
    return cell_message(cell, view.cell_revision(cell.id))


def changes_between(before: View, after: View) -> cells_pb2.WatchCellsResponse:
    """Say which cells changed from one View to the next; none: a bookmark."""
    return cells_pb2.WatchCellsResponse(
        revision=after.revision,
        upserted=[
            stored_message(after, cell)
            for cell_id, cell in after.cells.items()
            if before.cells.get(cell_id) is not cell
            or before.cell_revision(cell_id) != after.cell_revision(cell_id)
        ],
        removed=[cell_id for cell_id in before.cells if cell_id not in after.cells],
    )
