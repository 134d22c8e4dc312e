"""Our own CellService, through a real client."""

from __future__ import annotations

from typing import Any

import grpc

from pb.cellplane.topology.v1 import cells_pb2 as wire
from pb.cellplane.topology.v1 import placement_pb2
from tests.topology.claims.samples import lease, record
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, failure
from tests.topology.service.test_claim_service import begin, commit, request
from topology.claims.index import ClaimIndex
from topology.claims.store import Changes
from topology.codec import decode
from topology.keys import CellKey
from topology.memory import MemoryStore
from topology.model import Cell, CellState
from topology.service.cells_service import still_owned
from topology.store import Committed, Conflict, Txn

ACTIVE, CANARY = wire.CELL_STATE_ACTIVE, wire.CELL_STATE_CANARY


def new(cell_id: int, **more: Any) -> wire.Cell:
    return wire.Cell(id=cell_id, endpoints=[wire.Endpoint(host=f"10.9.0.{cell_id}", port=80)], **more)


async def stored(stage: Stage, cell_id: int) -> Cell:
    for found in (await stage.store.list(stage.keyspace.cell(cell_id))).records:
        decoded = decode(CellKey(cell_id), found.value)
        assert isinstance(decoded, Cell)
        return decoded
    raise AssertionError(f"cell {cell_id} is not there")


async def test_cells_are_read(client: Client) -> None:
    listed = await client.cells.ListCells(wire.ListCellsRequest())
    assert [each.id for each in listed.cells] == [1, 2, 3]
    assert listed.revision >= max(each.revision for each in listed.cells) > 0
    assert (await client.cells.GetCell(wire.GetCellRequest(id=2))).cell == listed.cells[1]
    assert (await failure(client.cells.GetCell(wire.GetCellRequest(id=9)))).code is grpc.StatusCode.NOT_FOUND


async def test_a_cell_is_created(stage: Stage, client: Client) -> None:
    wanted = wire.CreateCellRequest(cell=new(4), reason="growth")
    dry = await client.cells.CreateCell(wire.CreateCellRequest(cell=new(4), dry_run=True))
    assert (dry.revision, list(dry.summary)) == (0, ["cell 4: add cell-4 in PROVISIONING, weight 100"])
    made = await client.cells.CreateCell(wanted, metadata=[("x-cellplane-user", "ada")])
    assert made.summary == dry.summary
    assert made.revision == made.cell.revision == (await stage.store.list("/service/")).revision
    found = await stored(stage, 4)
    assert (found.state, found.stamp.updated_by, found.stamp.reason) == (
        CellState.PROVISIONING,
        "ada",
        "growth",
    )
    again = await failure(client.cells.CreateCell(wanted))
    assert (again.code, again.info.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CELL_EXISTS")


async def test_a_cell_that_cannot_be_is_refused_field_by_field(client: Client) -> None:
    odd = new(4, name="No Name", weight=-1)
    refused = await failure(client.cells.CreateCell(wire.CreateCellRequest(cell=odd)))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CELL_INVALID")
    assert set(refused.fields) == {"name", "weight"}
    taken = await failure(client.cells.CreateCell(wire.CreateCellRequest(cell=new(4, session_prefix="two"))))
    assert (taken.code, taken.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
    assert set(taken.fields) == {"session_prefix"}
    long = await failure(client.cells.CreateCell(wire.CreateCellRequest(cell=new(4), reason="x" * 501)))
    assert long.info.reason == "STAMP_INVALID"


async def test_a_cell_is_updated(stage: Stage, client: Client) -> None:
    cell_2 = (await client.cells.GetCell(wire.GetCellRequest(id=2))).cell
    cell_2.region = "eu"
    changed = await client.cells.UpdateCell(
        wire.UpdateCellRequest(cell=cell_2, expected_revision=cell_2.revision)
    )
    assert (await stored(stage, 2)).region == "eu"
    assert any("region" in line for line in changed.summary)
    late = await failure(
        client.cells.UpdateCell(wire.UpdateCellRequest(cell=cell_2, expected_revision=cell_2.revision))
    )
    assert (late.code, late.info.reason) == (grpc.StatusCode.ABORTED, "OVERTAKEN")
    assert late.info.metadata["revision"] == str(changed.revision)
    missing = await failure(client.cells.UpdateCell(wire.UpdateCellRequest(cell=new(9))))
    assert missing.code is grpc.StatusCode.NOT_FOUND


async def test_a_cell_moves_through_its_states_under_guards(stage: Stage, client: Client) -> None:
    def to(state: wire.CellState.ValueType, **more: Any) -> Any:
        return client.cells.TransitionCell(wire.TransitionCellRequest(id=3, state=state, **more))

    moved = await to(CANARY, reason="ready")
    assert moved.summary[0] == "cell 3: PROVISIONING → CANARY"
    assert (await stored(stage, 3)).state is CellState.CANARY
    refused = await failure(to(wire.CELL_STATE_DECOMMISSIONED))
    assert (refused.code, set(refused.fields)) == (grpc.StatusCode.FAILED_PRECONDITION, {"state"})
    draining = await to(wire.CELL_STATE_DRAINING, over={"seconds": 60})
    assert draining.cell.drain.over.seconds == 60
    assert (await failure(to(wire.CELL_STATE_UNSPECIFIED))).code is grpc.StatusCode.INVALID_ARGUMENT
    missing = wire.TransitionCellRequest(id=9, state=ACTIVE)
    assert (await failure(client.cells.TransitionCell(missing))).code is grpc.StatusCode.NOT_FOUND


async def test_a_drain_that_the_rest_cannot_carry_is_refused_by_the_service(
    stage: Stage, client: Client
) -> None:
    """Whoever asks, and whichever way: alone or among other changes. `force` insists."""
    await stage.put(cell(1, weight=300), cell(2, capacity=1, weight=100))
    await client.placements.Place(placement_pb2.PlaceRequest(request_key="a", reason="x"))
    for at, path in enumerate(("acme", "other")):
        asked = request(1, [path])
        asked.create_records[0].subject.id = 70 + at
        await commit(client, 1, (await client.claims.BeginUpdate(asked)).lease_uuid.value)
    await stage.caught_up()
    drain = wire.TransitionCellRequest(id=1, state=wire.CELL_STATE_DRAINING, reason="new hardware")
    several = wire.ChangeCellsRequest(changes=[wire.CellChange(transition=drain)])
    for call in (client.cells.TransitionCell(drain), client.cells.ChangeCells(several)):
        refused = await failure(call)
        assert (refused.code, refused.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
        assert set(refused.fields) == {"load", "capacity"}
        assert "4.0 times the unowned traffic" in refused.fields["load"]
        assert "2 owners are left, and the other cells have room for " in refused.fields["capacity"]
    # What the table of states forbids is said first, and a step before may make room.
    nowhere = wire.TransitionCellRequest(id=3, state=wire.CELL_STATE_DRAINING)
    assert set((await failure(client.cells.TransitionCell(nowhere))).fields) == {"state"}
    grown = wire.ChangeCellsRequest(
        changes=[
            wire.CellChange(transition=wire.TransitionCellRequest(id=3, state=CANARY)),
            wire.CellChange(set_weight=wire.SetCellWeightRequest(id=3, weight=300)),
            wire.CellChange(transition=drain),
        ],
        dry_run=True,
    )
    assert "cell 1: ACTIVE → DRAINING" in (await client.cells.ChangeCells(grown)).summary
    forced = await client.cells.TransitionCell(
        wire.TransitionCellRequest(id=1, state=wire.CELL_STATE_DRAINING, force=True)
    )
    assert forced.cell.state == wire.CELL_STATE_DRAINING


async def test_a_cell_that_owns_something_is_not_drained(stage: Stage, client: Client) -> None:
    await stage.put(cell(4, CellState.DRAINING))
    lease_ = await begin(client, 4, ["acme"])
    await stage.caught_up()
    drained = wire.TransitionCellRequest(id=4, state=wire.CELL_STATE_DRAINED)
    refused = await failure(client.cells.TransitionCell(drained))
    assert refused.fields == {
        "claims": "cell 4 owns 1 claims and has 1 open leases, and can't be DRAINED: "
        "have it destroy them, or force it"
    }
    await commit(client, 4, lease_)
    await commit(client, 4, await begin(client, 4, (), ["acme"]))
    await stage.caught_up()
    assert (await client.cells.TransitionCell(drained)).cell.state == wire.CELL_STATE_DRAINED


async def test_a_weight_is_set(stage: Stage, client: Client) -> None:
    await client.cells.SetCellWeight(wire.SetCellWeightRequest(id=2, weight=7))
    assert (await stored(stage, 2)).weight == 7
    bad = await failure(client.cells.SetCellWeight(wire.SetCellWeightRequest(id=2, weight=-7)))
    assert (bad.code, set(bad.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, {"weight"})


async def test_cells_are_deleted_and_their_ids_stay_used(stage: Stage, client: Client) -> None:
    deleted = await client.cells.DeleteCells(wire.DeleteCellsRequest(ids=[3], reason="not needed"))
    assert not deleted.HasField("cell")
    again = await failure(client.cells.CreateCell(wire.CreateCellRequest(cell=new(3))))
    assert again.code is grpc.StatusCode.ALREADY_EXISTS
    for ids, words in (
        ([], "ids: 0 are named: name 1 to 42"),
        (range(43), "ids: 43 are named: name 1 to 42"),
    ):
        bad = await failure(client.cells.DeleteCells(wire.DeleteCellsRequest(ids=ids)))
        assert (bad.code, bad.words) == (grpc.StatusCode.INVALID_ARGUMENT, words)
    live = await failure(client.cells.DeleteCells(wire.DeleteCellsRequest(ids=[1])))
    assert live.code is grpc.StatusCode.FAILED_PRECONDITION
    missing = await failure(client.cells.DeleteCells(wire.DeleteCellsRequest(ids=[9])))
    assert missing.code is grpc.StatusCode.NOT_FOUND


async def test_a_lost_race_is_told(stage: Stage, client: Client) -> None:
    """Somebody writes the cell between our look and our commit."""
    store = stage.store
    assert isinstance(store, MemoryStore)
    commit_ = store.commit
    raced = False

    async def racing(txn: Txn) -> Committed | Conflict:
        nonlocal raced
        if not raced:
            raced = True
            await stage.put(cell(2, session_prefix="two", weight=55))
        return await commit_(txn)

    store.commit = racing  # type: ignore[method-assign]
    lost = await failure(client.cells.SetCellWeight(wire.SetCellWeightRequest(id=2, weight=7)))
    assert (lost.code, lost.info.reason) == (grpc.StatusCode.ABORTED, "OVERTAKEN")
    assert "weight: 100 → 55" in lost.words


def test_what_a_cell_still_owns() -> None:
    index = ClaimIndex()
    index.load(Changes(1, (record("a"), lease(cell_id=2))))
    assert [problem.message for problem in still_owned(index, 1, None)] == [
        "cell 1 owns 1 claims and has 0 open leases, and can't be deleted: have it destroy them, or force it"
    ]
    assert len(tuple(still_owned(index, 2, CellState.DRAINED))) == 1
    assert tuple(still_owned(index, 3, None)) == ()
