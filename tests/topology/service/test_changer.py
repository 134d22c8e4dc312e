"""Several changes in one call: all of them or none, and only what was shown."""

from __future__ import annotations

from typing import Any

import grpc

from pb.cellplane.topology.v1 import cells_pb2 as wire
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, failure
from topology.apply import read_view
from topology.memory import MemoryStore
from topology.model import CellState
from topology.service.changer import MAX_STEPS
from topology.store import Committed, Conflict, Txn


def creating(cell_id: int, **more: Any) -> wire.CellChange:
    endpoints = [wire.Endpoint(host=f"10.9.0.{cell_id}", port=80)]
    return wire.CellChange(
        create=wire.CreateCellRequest(cell=wire.Cell(id=cell_id, endpoints=endpoints, **more))
    )


def moving(cell_id: int, state: wire.CellState.ValueType) -> wire.CellChange:
    return wire.CellChange(transition=wire.TransitionCellRequest(id=cell_id, state=state, reason="up"))


def weighing(cell_id: int, weight: int) -> wire.CellChange:
    return wire.CellChange(set_weight=wire.SetCellWeightRequest(id=cell_id, weight=weight))


def several(*changes: wire.CellChange, **more: Any) -> wire.ChangeCellsRequest:
    return wire.ChangeCellsRequest(changes=changes, **more)


UP = (moving(4, wire.CELL_STATE_CANARY), moving(4, wire.CELL_STATE_ACTIVE))


async def test_each_change_builds_on_those_before(stage: Stage, client: Client) -> None:
    dry = await client.cells.ChangeCells(several(creating(4), *UP, dry_run=True))
    assert (dry.revision, dry.summary[0]) == (0, "cell 4: add cell-4 in PROVISIONING, weight 100")
    assert "cell 4: CANARY → ACTIVE" in dry.summary
    assert 4 not in (await read_view(stage.store, stage.keyspace)).cells
    done = await client.cells.ChangeCells(several(creating(4), *UP, shown=dry.summary))
    view = await read_view(stage.store, stage.keyspace)
    assert (view.cells[4].state, view.cells[4].stamp.reason) == (CellState.ACTIVE, "up")
    assert (done.summary, done.revision, done.cell.state) == (
        dry.summary,
        view.revision,
        wire.CELL_STATE_ACTIVE,
    )


async def test_every_kind_of_change_is_one(stage: Stage, client: Client) -> None:
    cell_2 = (await client.cells.GetCell(wire.GetCellRequest(id=2))).cell
    cell_2.region = "eu"
    await client.cells.ChangeCells(
        several(
            wire.CellChange(update=wire.UpdateCellRequest(cell=cell_2)),
            weighing(2, 7),
            wire.CellChange(delete=wire.DeleteCellsRequest(ids=[3])),
        )
    )
    cells = (await read_view(stage.store, stage.keyspace)).cells
    assert (cells[2].region, cells[2].weight, 3 in cells) == ("eu", 7, False)


async def test_none_is_made_where_one_cannot_be(stage: Stage, client: Client) -> None:
    before = await stage.store.list("/service/")
    refused = await failure(client.cells.ChangeCells(several(creating(4), creating(5, session_prefix="two"))))
    assert (refused.code, set(refused.fields)) == (grpc.StatusCode.FAILED_PRECONDITION, {"session_prefix"})
    assert refused.info.metadata["what"] == "adding cell 5"
    used = await failure(client.cells.ChangeCells(several(creating(4), creating(1))))
    assert (used.code, used.info.metadata["what"]) == (grpc.StatusCode.ALREADY_EXISTS, "adding cell 1")
    for odd in (several(), several(wire.CellChange()), several(*[creating(4)] * (MAX_STEPS + 1))):
        assert (await failure(client.cells.ChangeCells(odd))).code is grpc.StatusCode.INVALID_ARGUMENT
    assert before == await stage.store.list("/service/")


async def test_what_was_shown_and_holds_no_more_is_not_done(stage: Stage, client: Client) -> None:
    dry = await client.cells.ChangeCells(several(weighing(2, 7), dry_run=True))
    await stage.put(cell(2, session_prefix="two", weight=55))
    late = await failure(client.cells.ChangeCells(several(weighing(2, 7), shown=dry.summary)))
    assert (late.code, late.info.reason) == (grpc.StatusCode.ABORTED, "OVERTAKEN")
    assert (late.info.metadata["key"], late.info.metadata["what"]) == (
        "/service/cells/2",
        "setting the weight of cell 2",
    )
    assert "weight 55 → 7" in late.info.metadata["changes"]
    assert (await read_view(stage.store, stage.keyspace)).cells[2].weight == 55


async def test_what_was_done_before_somebody_was_faster_is_told(stage: Stage, client: Client) -> None:
    """The second of two steps loses its race."""
    store = stage.store
    assert isinstance(store, MemoryStore)
    commit, commits = store.commit, 0

    async def racing(txn: Txn) -> Committed | Conflict:
        nonlocal commits
        commits += 1
        if commits == 2:
            await stage.put(cell(2, session_prefix="two", weight=55))
        return await commit(txn)

    store.commit = racing  # type: ignore[method-assign]
    lost = await failure(client.cells.ChangeCells(several(weighing(1, 9), weighing(2, 7))))
    assert (lost.code, lost.info.metadata["what"]) == (
        grpc.StatusCode.ABORTED,
        "setting the weight of cell 2",
    )
    assert lost.info.metadata["done"] == "cell 1: weight 100 → 9, of unowned traffic and newcomers only"
