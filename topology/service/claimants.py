"""Cells as those who claim: whether one may, as the store has it, and whether one owns nothing any more.

The claim service asks before a begin, the service of cells before what relies on an empty cell. It says no
only after a look into the store; so whoever made a cell may claim for it at once, at any replica. Third road:
what `Txn`s of claims and of cells compare.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

import grpc

from topology.claims.store import Begins, ClaimStore
from topology.model import Cell, CellState
from topology.service.failure import Failure
from topology.service.sources import Sources
from topology.store import Compare, Conflict, Store, Txn

T = TypeVar("T")
KNOWN_WITHIN: Final = 5.0  # seconds: a change that was just written arrives within milliseconds
_NO_CLAIMS: Final = (CellState.DRAINED, CellState.DECOMMISSIONED)


class Claimants:
    """Cells of one topology. `store` is the topology's."""

    def __init__(self, sources: Sources, claims: ClaimStore, store: Store) -> None:
        self._sources = sources
        self._claims = claims
        self._store = store

    async def admitted(self, cell_id: int, *, creates: bool, again: bool = False) -> Compare:
        """Give the record of a cell that may begin a batch, for the begin to compare. Raises Failure where it
        may not. `again`: what is known here was not true any more.
        """
        if again or self._problem(cell_id, creates=creates) is not None:
            there = await self._looked(cell_id)
            if problem := self._problem(cell_id, creates=creates, there=there):
                raise problem
        view = self._sources.view
        return Compare(view.keyspace.cell(cell_id), view.cell_revision(cell_id))

    async def relied_on(
        self,
        cells: Collection[int],
        work: Callable[[Callable[[], Awaitable[tuple[Compare, ...]]]], Awaitable[T]],
    ) -> T:
        """Make a change that relies on cells owning nothing. Before each attempt all claims that were begun
        are known here.
        """

        async def quiet(begins: Callable[[], Awaitable[Begins]]) -> T:
            async def relied_on() -> tuple[Compare, ...]:
                begun = await begins()
                await _within(self._sources.follower.reached(begun.cursor), "claims")
                return begun.compares

            return await work(relied_on)

        return await self._claims.quiet(cells, quiet)

    async def _looked(self, cell_id: int) -> bool:
        """See to it that the View is as new as the record of the cell; False where there is none."""
        key = self._sources.view.keyspace.cell(cell_id)
        outcome = await self._store.commit(Txn(compares=(Compare(key, 0),)))
        if not isinstance(outcome, Conflict):
            return False
        await _within(self._sources.reached(outcome.records[0].mod_revision), "topology")
        return True

    def _problem(self, cell_id: int, *, creates: bool, there: bool = True) -> Failure | None:
        cell: Cell | None = self._sources.view.cells.get(cell_id) if there else None
        if cell is None:
            words = f"there is no cell {cell_id}"
            return Failure(grpc.StatusCode.FAILED_PRECONDITION, words, "CELL_UNKNOWN")
        if creates and cell.state in _NO_CLAIMS:
            words = f"cell {cell.id} is {cell.state} and can't claim anything new"
            return Failure(grpc.StatusCode.FAILED_PRECONDITION, words, "CELL_STATE")
        return None


async def _within(reached: Awaitable[None], what: str) -> None:
    try:
        async with asyncio.timeout(KNOWN_WITHIN):
            await reached
    except TimeoutError:
        words = f"this replica is behind with the {what}: try again, or another one"
        raise Failure(grpc.StatusCode.UNAVAILABLE, words, "BEHIND", retry_seconds=0.5) from None
