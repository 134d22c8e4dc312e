"""Watches on cells: every change after a revision, in order, as differences between Views.

All watchers are told from one history, of what this replica follows anyway. Who comes from further back gets
a watch of the store's own until it has caught up. A watcher never sees a record that a View keeps out. `etcd
Event -> View -> Snapshot -> Response`, as far as a watcher of cells goes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from pb.cellplane.topology.v1 import cells_pb2
from topology.errors import StoreError
from topology.keys import Keyspace
from topology.model import Cell
from topology.service.cells_wire import cell_message
from topology.service.history import History
from topology.service.open_watches import MAX_WATCHES, OpenWatches
from topology.store import Batch, Store
from topology.view import EMPTY, View, fold, from_listing


class Watches:
    """The open watches on cells of one server. It listens to whoever follows the store."""

    def __init__(self, store: Store, keyspace: Keyspace, most: int = MAX_WATCHES) -> None:
        self._store = store
        self._keyspace = keyspace
        self._open = OpenWatches(most)
        self._history = History(_bookmark)
        self._newest = EMPTY

    def __len__(self) -> int:
        """Count them."""
        return len(self._open)

    def end(self) -> None:
        """Send watchers elsewhere: this server is going away."""
        self._open.end()

    def listed(self, view: View) -> None:
        """Begin anew with a listing."""
        self._newest = view
        self._history.listed(view.revision)

    def moved(self, before: View, after: View, batch: Batch) -> None:
        """Have watchers told how a View differs from the one before."""
        self._newest = after
        cells = self._keyspace.cells()
        if after.cells is before.cells and not any(each.key.startswith(cells) for each in batch.events):
            self._history.reached(after.revision)
            return
        response = changes_between(before, after)
        size = len(response.upserted) + len(response.removed)
        if size:
            spelled = (response.SerializeToString(),)
            self._history.add(after.revision, size, lambda: spelled)
        else:
            self._history.reached(after.revision)

    def broke(self, error: StoreError) -> None:
        """Cut watchers off: what happens meanwhile is not seen here."""
        self._history.broke(error)

    async def follow(self, after: int) -> AsyncIterator[bytes]:
        """Give all changes after a revision, as spelled answers; after 0, all cells first."""
        async for response in self._open.following(self._changes(after)):
            yield response

    async def _changes(self, after: int) -> AsyncIterator[bytes]:
        if not self._history.covers(after or self._newest.revision):
            async with aclosing(self._on_its_own(after)) as responses:
                async for response, revision in responses:
                    yield response
                    after = revision
        elif not after:
            view = self._newest
            after = view.revision
            yield _all_of(view)
        async for response in self._history.follow(after, self._open):
            yield response

    async def _on_its_own(self, after: int) -> AsyncGenerator[tuple[bytes, int], None]:
        """Follow the store itself, until what all are told has been reached."""
        listing = await self._store.list(self._keyspace.root, after or None)
        view = from_listing(listing, self._keyspace)
        if not after:
            yield _all_of(view), view.revision
        async with aclosing(self._store.watch(self._keyspace.root, view.revision)) as batches:
            while not self._history.covers(view.revision):
                before, view = view, fold(view, await self._open.next(batches))
                yield changes_between(before, view).SerializeToString(), view.revision


def _bookmark(revision: int) -> bytes:
    return cells_pb2.WatchCellsResponse(revision=revision).SerializeToString()


def _all_of(view: View) -> bytes:
    cells = [stored_message(view, cell) for cell in view.cells.values()]
    told = cells_pb2.WatchCellsResponse(revision=view.revision, complete=True, upserted=cells)
    return told.SerializeToString()


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
