"""Watches on cells: every change after a revision, in order, as differences between Views.

The cells service opens one for each watcher, on a watch of the store's own. A watcher never sees a record
that a View keeps out. `etcd Event -> View -> Snapshot -> Response`, as far as a watcher of cells goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

import grpc

from pb.cellplane.topology.v1 import cells_pb2
from topology.errors import Compacted, ListAgain
from topology.keys import Keyspace
from topology.model import Cell
from topology.service.cells_wire import cell_message
from topology.service.failure import Failure
from topology.store import Batch, Store
from topology.view import View, fold, from_listing

MAX_WATCHES: Final = 1000


class Watches:
    """The open watches of one server."""

    def __init__(self, store: Store, keyspace: Keyspace, most: int = MAX_WATCHES) -> None:
        self._store = store
        self._keyspace = keyspace
        self._most = most
        self._open = 0
        self._waiting: set[asyncio.Timeout] = set()
        self._ending = False

    def __len__(self) -> int:
        """Count the open watches."""
        return self._open

    def end(self) -> None:
        """Send watchers elsewhere: this server is going away.

        Only the wait for the next change is cut short: gRPC, which writes in the same task, must not be
        cancelled, or the watcher never hears why.
        """
        if self._ending:
            return
        self._ending = True
        for waiting in self._waiting:
            waiting.reschedule(asyncio.get_running_loop().time())

    async def follow(self, after: int) -> AsyncIterator[cells_pb2.WatchCellsResponse]:
        """Give all changes after a revision; after 0, all cells first."""
        if self._open >= self._most:
            words = f"{self._most} watches are open at this replica: go to another"
            raise Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, words, "TOO_MANY_WATCHES")
        self._open += 1
        try:
            async for response in self._changes(after):
                yield response
        except ListAgain as error:
            reason = "COMPACTED" if isinstance(error, Compacted) else "REVISION_UNKNOWN"
            raise Failure(grpc.StatusCode.OUT_OF_RANGE, str(error), reason) from error
        finally:
            self._open -= 1

    async def _changes(self, after: int) -> AsyncIterator[cells_pb2.WatchCellsResponse]:
        listing = await self._store.list(self._keyspace.root, after or None)
        view = from_listing(listing, self._keyspace)
        if not after:
            cells = [stored_message(view, cell) for cell in view.cells.values()]
            yield cells_pb2.WatchCellsResponse(revision=view.revision, complete=True, upserted=cells)
        async with aclosing(self._store.watch(self._keyspace.root, view.revision)) as batches:
            while True:
                before, view = view, fold(view, await self._next(batches))
                yield changes_between(before, view)

    async def _next(self, batches: AsyncGenerator[Batch, None]) -> Batch:
        waiting = asyncio.timeout(0 if self._ending else None)
        self._waiting.add(waiting)
        try:
            async with waiting:
                return await anext(batches)
        except TimeoutError:
            words = "this server is going away: watch again"
            raise Failure(grpc.StatusCode.UNAVAILABLE, words, "GOING_AWAY") from None
        finally:
            self._waiting.discard(waiting)


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
