"""Our own MoveService, through a real client: moves begun, looked at, ordered, and carried on by nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from pb.cellplane.topology.v1 import moves_pb2 as wire
from pb.cellplane.topology.v1 import placement_pb2, transfer_pb2
from tests.topology.claims.samples import batch
from tests.topology.moves.rig import ACME, MOVE, OTHER_MOVE, STAMP
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, failure, playing
from topology.claims.keys import ClaimKeyspace
from topology.claims.store import Begun
from topology.claims.stored import StoredClaims
from topology.codec import encode
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import CellState, Document
from topology.moves import machine
from topology.moves.book import MoveBook, SeenMove
from topology.moves.model import Step
from topology.store import Txn


@asynccontextmanager
async def with_an_owner() -> AsyncIterator[Stage]:
    """Play with ORGANIZATION/42 in cell 1, and a cell 3 that takes no newcomers."""
    cells = (cell(1), cell(2), cell(3, state=CellState.CORDONED))
    async with playing(MemoryStore(), Keyspace("/t"), cells) as stage:
        claims = StoredClaims(stage.store, ClaimKeyspace.beside(stage.keyspace))
        begun = await claims.begin(batch(1, ["acme", "acme/web"], subject=ACME), "CELL-1")
        assert isinstance(begun, Begun)
        await claims.commit(1, begun.lease.uuid, "CELL-1")
        await stage.caught_up()
        yield stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with with_an_owner() as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Client:
    return stage.client()


def request(
    move_id: str = MOVE, *, to: int = 2, epoch: int = 1, dry_run: bool = False
) -> wire.StartMoveRequest:
    owners = [transfer_pb2.OwnerAtEpoch(owner="ORGANIZATION/42", expected_epoch=epoch)]
    return wire.StartMoveRequest(
        request_id=move_id, owners=owners, from_cell=1, to_cell=to, reason="room", dry_run=dry_run
    )


async def carried(stage: Stage, *steps: Step) -> SeenMove:
    """Do what a leader does: take the move to the end of these steps."""
    now = datetime.now(UTC)
    found = None
    for _ in steps:
        found = await MoveBook(stage.store, stage.keyspace).change(
            MOVE, lambda move: machine.stepped(move, now, "leader", "done")
        )
    assert found is not None
    return found


async def test_a_dry_run_tells_what_would_be_done_and_begins_nothing(client: Client) -> None:
    answer = await client.moves.StartMove(request(dry_run=True))
    assert list(answer.summary) == [
        "ORGANIZATION/42: cell 1 -> cell 2, epoch 1 -> 2",
        "2 claims will go along",
        *answer.summary[2:],
    ]
    assert "0 Envoys" in answer.summary[2]
    assert [wire.MoveStep.Name(each.step) for each in answer.plan][:3] == [
        "MOVE_STEP_PREPARE", "MOVE_STEP_FREEZE", "MOVE_STEP_DRAIN",
    ]  # fmt: skip
    assert all(each.does and each.gate for each in answer.plan)
    assert not (await client.moves.ListMoves(wire.ListMovesRequest(all=True))).moves


async def test_a_move_is_begun_once_and_found_by_the_beginning_of_its_id(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = request()
    wanted.test_window.CopyFrom(Duration(seconds=900))
    wanted.ask_before.append(wire.MOVE_STEP_TRANSFER)
    with caplog.at_level(logging.INFO, "topology.audit"):
        begun = await client.moves.StartMove(wanted)
    assert "move_started" in caplog.text
    again = await client.moves.StartMove(wanted)
    assert (begun.repeated, again.repeated, again.move) == (False, True, begun.move)
    found = (await client.moves.GetMove(wire.GetMoveRequest(move_id=MOVE[:6]))).move
    assert found == begun.move
    assert (found.step, found.test_window.seconds, list(found.ask_before)) == (
        wire.MOVE_STEP_PREPARE, 900, [wire.MOVE_STEP_TRANSFER],
    )  # fmt: skip
    assert (found.history[0].what, found.history[0].by, found.reason) == ("started", found.started_by, "room")
    other = await failure(client.moves.StartMove(request(to=3)))
    assert other.fields == {"request_id": f"{MOVE} was used for another move: send a new one"}
    missing = await failure(client.moves.GetMove(wire.GetMoveRequest(move_id="abc")))
    assert (missing.code, missing.words) == (grpc.StatusCode.NOT_FOUND, "there is no move 'abc'")


async def test_what_cannot_begin_is_refused_with_why(client: Client) -> None:
    wrong = await failure(client.moves.StartMove(wire.StartMoveRequest(request_id="x")))
    assert (wrong.code, wrong.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MOVE_INVALID")
    assert set(wrong.fields) == {"request_id", "owners", "from_cell", "to_cell"}
    closed = await failure(client.moves.StartMove(request(to=3, dry_run=True)))
    assert "cell 3 is CORDONED, which takes no newcomers" in closed.fields["to_cell"]
    epoch = await failure(client.moves.StartMove(request(epoch=4, dry_run=True)))
    assert "is at epoch 1, not 4" in epoch.fields["owners"]
    await client.moves.StartMove(request())
    busy = await failure(client.moves.StartMove(request(OTHER_MOVE)))
    assert (busy.info.reason, busy.words) == (
        "OWNER_MOVING", f"ORGANIZATION/42 is in move {MOVE}: wait for it, or abort it",
    )  # fmt: skip
    unknown = request(OTHER_MOVE)
    unknown.ask_before.append(99)  # type: ignore[arg-type]
    assert (await failure(client.moves.StartMove(unknown))).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_move_to_a_cell_that_is_full_is_refused_unless_forced(stage: Stage, client: Client) -> None:
    await stage.put(cell(1, weight=0), cell(2, capacity=1))
    await client.placements.Place(placement_pb2.PlaceRequest(request_key="a", reason="signup"))
    full = await failure(client.moves.StartMove(request(dry_run=True)))
    assert (full.code, full.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
    assert "cell 2 is full: 1 of 1 places are taken" in full.fields["to_cell"]
    forced = request()
    forced.force = True
    assert (await client.moves.StartMove(forced)).move.to_cell == 2


async def test_orders_are_written_down_where_they_are_possible(stage: Stage, client: Client) -> None:
    await client.moves.StartMove(request())
    order = wire.MoveOrderRequest(move_id=MOVE[:8], reason="not today", dry_run=True)
    told = await client.moves.AbortMove(order)
    assert list(told.summary) == [f"move {MOVE} at PREPARE: it ends, and nothing has moved"]
    assert len((await client.moves.GetMove(wire.GetMoveRequest(move_id=MOVE))).move.history) == 1
    back = await failure(client.moves.SwitchMoveBack(order))
    assert back.fields == {"move_id": "SWITCH_BACK is not possible at PREPARE: abort is the way out"}
    goes_on = await failure(client.moves.ContinueMove(order))
    assert "PREPARE goes on by itself" in goes_on.fields["move_id"]
    order.dry_run, order.expected_step = False, wire.MOVE_STEP_DRAIN
    late = await failure(client.moves.AbortMove(order))
    assert "the move is at PREPARE by now, not at DRAIN" in late.fields["expected_step"]
    order.expected_step = wire.MOVE_STEP_PREPARE
    entry = (await client.moves.AbortMove(order)).move.history[-1]
    assert (entry.what, entry.words) == ("ordered", "ABORT: not today")


async def test_a_watch_tells_every_change_until_the_end(stage: Stage, client: Client) -> None:
    await client.moves.StartMove(request())
    call = client.moves.WatchMove(wire.WatchMoveRequest(move_id=MOVE[:8]))
    seen: list[str] = []

    async def read() -> None:
        async for response in call:
            seen.append(wire.MoveStep.Name(response.move.step).removeprefix("MOVE_STEP_"))
            if len(seen) == 1:
                await carried(stage, *([Step.PREPARE] * 7))

    async with asyncio.timeout(10):
        await read()
    assert seen == ["PREPARE", "FREEZE", "DRAIN", "TRANSFER", "PROPAGATE", "TEST", "COMMIT", "COMMITTED"]
    assert not (await client.moves.ListMoves(wire.ListMovesRequest())).moves
    (ended,) = (await client.moves.ListMoves(wire.ListMovesRequest(all=True, owner="ORGANIZATION/42"))).moves
    assert (ended.ended, list(ended.history)) == (True, [])
    assert not (await client.moves.ListMoves(wire.ListMovesRequest(all=True, owner="USER/1"))).moves
    refused = await failure(client.moves.ListMoves(wire.ListMovesRequest(owner="nobody")))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OWNER_INVALID")


async def test_a_list_says_who_leads(stage: Stage, client: Client) -> None:
    assert (await client.moves.ListMoves(wire.ListMovesRequest())).leader == ""
    await stage.store.commit(Txn(puts=(("/t-leaders/moves", b'{"who": "replica-2"}'),)))
    assert (await client.moves.ListMoves(wire.ListMovesRequest())).leader == "replica-2"


async def test_an_owner_that_is_frozen_is_not_transferred_by_hand(stage: Stage, client: Client) -> None:
    body = {"transfer": "x", "move": "m", "from_cell": 1, "to_cell": 2, "epoch": 2}
    frozen = Document(kind="departing", name="ORGANIZATION/42", body=body, stamp=STAMP)
    key = stage.keyspace.document("departing", "ORGANIZATION/42")
    await stage.store.commit(Txn(puts=((key, encode(frozen)),)))
    await stage.caught_up()
    owners = [transfer_pb2.OwnerAtEpoch(owner="ORGANIZATION/42", expected_epoch=1)]
    by_hand = transfer_pb2.TransferRequest(request_id=OTHER_MOVE, owners=owners, from_cell=1, to_cell=2)
    async with asyncio.timeout(5):
        while stage.watcher.view is None or not stage.watcher.view.documents:
            await asyncio.sleep(0.002)
    refused = await failure(client.transfers.Transfer(by_hand))
    assert refused.fields == {"owners[0].owner": "ORGANIZATION/42 is in move m: wait for it, or abort it"}


def test_every_step_has_its_number() -> None:
    names = {name.removeprefix("MOVE_STEP_") for name in wire.MoveStep.keys()}  # noqa: SIM118
    assert names == {"UNSPECIFIED", *Step}
