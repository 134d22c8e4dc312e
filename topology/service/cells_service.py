"""Our own CellService: cells read, changed under their guards, and watched from a revision.

The server registers it. Every change goes through `planning` and the changer. Third road: a service call
plans a `Txn`; its effect comes back as an Event, and goes out on a watch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Final

import grpc

from pb.cellplane.topology.v1 import cells_pb2, cells_pb2_grpc
from topology import guards
from topology.checks import cell_problems
from topology.claims.index import ClaimIndex
from topology.claims.store import ClaimStore
from topology.drain_load import Load, drain_problems
from topology.keys import Keyspace
from topology.model import MAX_WEIGHT, Cell, CellState, Problem
from topology.placements import Placements
from topology.planning import (
    MAX_REMOVED_AT_ONCE,
    Outcome,
    Plan,
    Refusal,
    plan_add,
    plan_remove,
    plan_set_state,
    plan_set_weight,
    plan_update,
)
from topology.service.cells_wire import changed_cell, new_cell, seconds_of, state_of
from topology.service.changer import Changer, stamp_of_caller
from topology.service.claimants import Claimants
from topology.service.failure import Failure, invalid, invalid_fields, not_found
from topology.service.gate import Context
from topology.service.owners_in_cell import owners_in
from topology.service.reader import Reader, kept_out
from topology.service.sources import Sources
from topology.service.watches import Watches, stored_message
from topology.steps import Step
from topology.store import Store
from topology.view import View

_EMPTY_HANDED: Final = (CellState.DRAINED, CellState.DECOMMISSIONED)


class CellsService(cells_pb2_grpc.CellServiceServicer):
    """Cells, with all that is known of them."""

    def __init__(self, sources: Sources, claims: ClaimStore, store: Store, keyspace: Keyspace) -> None:
        self._sources = sources
        self._reader = Reader(sources, store, keyspace)
        self._changer = Changer(store, keyspace, Claimants(sources, claims, store))
        self._placements = Placements(store, keyspace)
        self.watches = Watches(store, keyspace)
        sources.listen(self.watches)

    async def ListCells(
        self, request: cells_pb2.ListCellsRequest, context: Context
    ) -> cells_pb2.ListCellsResponse:
        read = await self._reader.read(request.revision, fresh=request.fresh)
        return cells_pb2.ListCellsResponse(
            cells=[stored_message(read.view, cell) for cell in read.view.cells.values()],
            revision=read.view.revision,
            kept_out=kept_out(read.view.quarantined.values()),
            stale=read.stale,
        )

    async def GetCell(self, request: cells_pb2.GetCellRequest, context: Context) -> cells_pb2.GetCellResponse:
        view = (await self._reader.read(0, fresh=request.fresh)).view
        _check_there(view, request.id)
        return cells_pb2.GetCellResponse(cell=stored_message(view, view.cells[request.id]))

    async def CreateCell(
        self, request: cells_pb2.CreateCellRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        return await self._changer.change([_adding(request)], dry_run=request.dry_run)

    async def UpdateCell(
        self, request: cells_pb2.UpdateCellRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        return await self._changer.change([_updating(request)], dry_run=request.dry_run)

    async def TransitionCell(
        self, request: cells_pb2.TransitionCellRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        return await self._changer.change([await self._moving(request)], dry_run=request.dry_run)

    async def SetCellWeight(
        self, request: cells_pb2.SetCellWeightRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        return await self._changer.change([_weighing(request)], dry_run=request.dry_run)

    async def DeleteCells(
        self, request: cells_pb2.DeleteCellsRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        return await self._changer.change([self._deleting(request)], dry_run=request.dry_run)

    async def ChangeCells(
        self, request: cells_pb2.ChangeCellsRequest, context: Context
    ) -> cells_pb2.ChangeResponse:
        steps = [await self._step(at, change) for at, change in enumerate(request.changes)]
        return await self._changer.change(steps, dry_run=request.dry_run, shown=request.shown)

    async def Watch(  # type: ignore[override]  # spelled already: the gate lets it through
        self, request: cells_pb2.WatchCellsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        if request.after_revision < 0:
            raise invalid(f"after_revision: {request.after_revision} is none: send one that was given, or 0")
        async for response in self.watches.follow(request.after_revision):
            yield response

    async def _step(self, at: int, change: cells_pb2.CellChange) -> Step:
        match change.WhichOneof("change"):
            case "create":
                return _adding(change.create)
            case "update":
                return _updating(change.update)
            case "transition":
                return await self._moving(change.transition)
            case "set_weight":
                return _weighing(change.set_weight)
            case "delete":
                return self._deleting(change.delete)
            case _:
                raise invalid(f"changes[{at}]: says no change that this version knows")

    async def _moving(self, request: cells_pb2.TransitionCellRequest) -> Step:
        stamp = stamp_of_caller(request.reason)
        to = state_of(request.state, "state")
        if to is None:
            raise invalid("state: is not said: name where the cell shall go")
        over = seconds_of(request.over, "over") if request.HasField("over") else None
        drains = to is CellState.DRAINING and not request.force
        load = await self._load_of(request.id) if drains else None

        def plan(view: View) -> Outcome:
            _check_there(view, request.id)
            if to in _EMPTY_HANDED and not request.force:
                problems = tuple(still_owned(self._sources.claims, request.id, to))
                if problems:
                    return Refusal(problems=problems)
            expected = request.expected_revision or None
            outcome = plan_set_state(view, request.id, to, stamp, over, expected, force=request.force)
            if load is not None and isinstance(outcome, Plan):
                now = datetime.now(UTC)
                if problems := tuple(drain_problems(view, view.cells[request.id], load, now)):
                    return Refusal(problems=problems)
            return outcome

        empties = (request.id,) if to in _EMPTY_HANDED and not request.force else ()
        return Step(f"moving cell {request.id} to {to}", plan, empties)

    async def _load_of(self, cell_id: int) -> Load:
        owners = await owners_in(self._sources.claims, cell_id)
        return Load(len(owners), await self._placements.occupancy())

    def _deleting(self, request: cells_pb2.DeleteCellsRequest) -> Step:
        stamp, many = stamp_of_caller(request.reason), len(set(request.ids))
        if not 1 <= many <= MAX_REMOVED_AT_ONCE:
            raise _misshapen("ids", f"{many} are named: name 1 to {MAX_REMOVED_AT_ONCE}")

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

        empties = () if request.force else tuple(dict.fromkeys(request.ids))
        return Step(f"removing cell {', '.join(map(str, request.ids))}", plan, empties)


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


def _adding(request: cells_pb2.CreateCellRequest) -> Step:
    cell = new_cell(request.cell, stamp_of_caller(request.reason))
    _check_form(cell)

    def plan(view: View) -> Outcome:
        if used := tuple(guards.already_used(view, cell)):
            raise invalid_fields(used, grpc.StatusCode.ALREADY_EXISTS, "CELL_EXISTS")
        return plan_add(view, cell, force=request.force)

    return Step(f"adding cell {cell.id}", plan)


def _updating(request: cells_pb2.UpdateCellRequest) -> Step:
    stamp = stamp_of_caller(request.reason)

    def plan(view: View) -> Outcome:
        before = view.cells.get(request.cell.id)
        if before is None and view.keyspace.cell(request.cell.id) not in view.quarantined:
            _check_there(view, request.cell.id)
        cell = changed_cell(request.cell, before, stamp) if before else new_cell(request.cell, stamp)
        _check_form(cell)
        return plan_update(view, cell, request.expected_revision or None, force=request.force)

    return Step(f"updating cell {request.cell.id}", plan)


def _weighing(request: cells_pb2.SetCellWeightRequest) -> Step:
    stamp = stamp_of_caller(request.reason)
    if not 0 <= request.weight <= MAX_WEIGHT:
        raise _misshapen("weight", f"{request.weight} is out of range: use 0 to {MAX_WEIGHT}")

    def plan(view: View) -> Outcome:
        _check_there(view, request.id)
        expected = request.expected_revision or None
        return plan_set_weight(view, request.id, request.weight, stamp, expected, force=request.force)

    return Step(f"setting the weight of cell {request.id}", plan)


def _check_form(cell: Cell) -> None:
    if problems := cell_problems(cell):
        raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "CELL_INVALID")


def _misshapen(field: str, message: str) -> Failure:
    problem = Problem(field=field, message=message)
    return invalid_fields((problem,), grpc.StatusCode.INVALID_ARGUMENT, "CELL_INVALID")


def _check_there(view: View, cell_id: int) -> None:
    if cell_id in view.cells:
        return
    if record := view.quarantined.get(view.keyspace.cell(cell_id)):
        words = f"what the store holds for cell {cell_id} cannot be read: {record.reason}"
        raise not_found(words, "CELL_UNREADABLE")
    raise not_found(f"there is no cell {cell_id}")
