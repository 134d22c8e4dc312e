"""Our own CellService: cells read, changed under their guards, and watched from a revision.

The server registers it. Every change goes through `planning` and `apply`, as the command's do. Third road: a
service call plans a `Txn`; its effect comes back as an Event, and goes out on a watch.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Final, NoReturn

import grpc

from pb.cellplane.topology.v1 import cells_pb2, cells_pb2_grpc
from topology import forms
from topology.apply import apply, read_view
from topology.checks import cell_problems, stamp_problems
from topology.claims.index import ClaimIndex
from topology.keys import Keyspace
from topology.model import Cell, CellState, Problem, Stamp
from topology.planning import (
    Outcome,
    Overtaken,
    Plan,
    Refusal,
    plan_add,
    plan_remove,
    plan_set_state,
    plan_set_weight,
    plan_update,
)
from topology.service.cells_wire import cell_message, changed_cell, new_cell, seconds_of, state_of
from topology.service.failure import Failure, invalid, invalid_fields, not_found
from topology.service.gate import Context, current_caller
from topology.service.sources import Sources
from topology.service.watches import Watches, stored_message
from topology.store import Store
from topology.view import View

log = logging.getLogger("topology.service.cells")

_EMPTY_HANDED: Final = (CellState.DRAINED, CellState.DECOMMISSIONED)


class CellsService(cells_pb2_grpc.CellServiceServicer):
    """Cells, with all that is known of them."""

    def __init__(self, sources: Sources, store: Store, keyspace: Keyspace) -> None:
        self._sources = sources
        self._store = store
        self._keyspace = keyspace
        self.watches = Watches(store, keyspace)

    async def ListCells(
        self, request: cells_pb2.ListCellsRequest, context: Context
    ) -> cells_pb2.ListCellsResponse:
        view = self._sources.view
        cells = [stored_message(view, cell) for cell in view.cells.values()]
        return cells_pb2.ListCellsResponse(cells=cells, revision=view.revision)

    async def GetCell(self, request: cells_pb2.GetCellRequest, context: Context) -> cells_pb2.GetCellResponse:
        view = self._sources.view
        if request.id not in view.cells:
            raise not_found(f"there is no cell {request.id}")
        return cells_pb2.GetCellResponse(cell=stored_message(view, view.cells[request.id]))

    async def CreateCell(
        self, request: cells_pb2.CreateCellRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        cell = new_cell(request.cell, _stamp(request.reason))
        _check_form(cell)

        def plan(view: View) -> Outcome:
            if cell.id in view.cells or cell.id in view.retired:
                raise Failure(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"the id {cell.id} has been used: take one that never was",
                    "CELL_EXISTS",
                )
            return plan_add(view, cell)

        return await self._change(plan, dry_run=request.dry_run)

    async def UpdateCell(
        self, request: cells_pb2.UpdateCellRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        stamp = _stamp(request.reason)

        def plan(view: View) -> Outcome:
            before = view.cells.get(request.cell.id)
            if before is None and view.keyspace.cell(request.cell.id) not in view.quarantined:
                raise not_found(f"there is no cell {request.cell.id}")
            cell = changed_cell(request.cell, before, stamp) if before else new_cell(request.cell, stamp)
            _check_form(cell)
            return plan_update(view, cell, request.expected_revision or None, force=request.force)

        return await self._change(plan, dry_run=request.dry_run)

    async def TransitionCell(
        self, request: cells_pb2.TransitionCellRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        stamp = _stamp(request.reason)
        to = state_of(request.state, "state")
        if to is None:
            raise invalid("state: is not said: name where the cell shall go")
        over = seconds_of(request.over, "over") if request.HasField("over") else None

        def plan(view: View) -> Outcome:
            _check_there(view, request.id)
            if to in _EMPTY_HANDED and not request.force:
                problems = tuple(still_owned(self._sources.claims, request.id, to))
                if problems:
                    return Refusal(problems=problems)
            expected = request.expected_revision or None
            return plan_set_state(view, request.id, to, stamp, over, expected, force=request.force)

        return await self._change(plan, dry_run=request.dry_run)

    async def SetCellWeight(
        self, request: cells_pb2.SetCellWeightRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        stamp = _stamp(request.reason)

        def plan(view: View) -> Outcome:
            _check_there(view, request.id)
            expected = request.expected_revision or None
            return plan_set_weight(view, request.id, request.weight, stamp, expected, force=request.force)

        return await self._change(plan, dry_run=request.dry_run)

    async def DeleteCells(
        self, request: cells_pb2.DeleteCellsRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        stamp = _stamp(request.reason)

        def plan(view: View) -> Outcome:
            for cell_id in request.ids:
                _check_there(view, cell_id)
            problems = [
                problem
                for cell_id in dict.fromkeys(request.ids)
                for problem in still_owned(self._sources.claims, cell_id, None)
            ]
            if problems and not request.force:
                return Refusal(problems=tuple(problems))
            return plan_remove(view, request.ids, stamp, force=request.force)

        return await self._change(plan, dry_run=request.dry_run)

    async def Watch(
        self, request: cells_pb2.WatchCellsRequest, context: Context
    ) -> AsyncIterator[cells_pb2.WatchCellsResponse]:
        async for response in self.watches.follow(request.after_revision):
            yield response

    async def _change(self, plan: Callable[[View], Outcome], *, dry_run: bool) -> cells_pb2.ChangeResponse:
        if dry_run:
            planned = plan(await read_view(self._store, self._keyspace))
            if not isinstance(planned, Plan):
                _refuse(planned)
            return _changed(0, planned.summary, planned.cell)
        outcome = await apply(self._store, self._keyspace, plan)
        if isinstance(outcome, Refusal | Overtaken):
            _refuse(outcome)
        caller = current_caller().name
        log.info("cells_changed by=%s revision=%d what=%s", caller, outcome.revision, list(outcome.summary))
        return _changed(outcome.revision, outcome.summary, outcome.cell)


def still_owned(index: ClaimIndex, cell_id: int, to: CellState | None) -> Iterator[Problem]:
    """Say what a cell still owns that must own nothing."""
    records, leases = index.owned_by(cell_id)
    if records or leases:
        goal = f"be {to}" if to else "be deleted"
        message = (
            f"cell {cell_id} owns {records} claims and has {leases} open leases, and can't {goal}: "
            "have it destroy them, or force it"
        )
        yield Problem(field="claims", message=message)


def _changed(revision: int, summary: tuple[str, ...], cell: Cell | None) -> cells_pb2.ChangeResponse:
    message = None if cell is None else cell_message(cell, revision)
    return cells_pb2.ChangeResponse(revision=revision, summary=summary, cell=message)


def _stamp(reason: str) -> Stamp:
    stamp = Stamp(
        updated_by=current_caller().name, updated_at=forms.format_utc(datetime.now(UTC)), reason=reason
    )
    if problems := stamp_problems(stamp):
        raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "STAMP_INVALID")
    return stamp


def _check_form(cell: Cell) -> None:
    if problems := cell_problems(cell):
        raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "CELL_INVALID")


def _check_there(view: View, cell_id: int) -> None:
    if cell_id not in view.cells:
        raise not_found(f"there is no cell {cell_id}")


def _refuse(outcome: Refusal | Overtaken) -> NoReturn:
    if isinstance(outcome, Refusal):
        raise invalid_fields(outcome.problems, grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
    words = (
        f"somebody else changed {outcome.key} meanwhile ({'; '.join(outcome.changes)}): look, then try again"
    )
    raise Failure(
        grpc.StatusCode.ABORTED, words, "OVERTAKEN", {"key": outcome.key, "revision": str(outcome.revision)}
    )
