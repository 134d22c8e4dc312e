"""Clients of moves at a real service, over asyncio and from a thread: begun, told, watched to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import grpc
import pytest

from tests.topology.moves.rig import MOVE, OTHER_MOVE
from tests.topology.service.stage import Stage
from tests.topology.service.test_moves_service import carried, with_an_owner
from topology.client.calls import Patience
from topology.client.errors import ClaimRefused, NameHeld, ServiceAway, TooBusy
from topology.client.limiter import Limiter, Mode
from topology.client.move_steps import MoveWish
from topology.client.moves import MoveClient, SyncMoveClient
from topology.moves.model import Order, Step
from topology.moves.steps import FORWARD
from topology.service.open_watches import OpenWatches

PATIENT = Patience(pause=0.001, attempts=3)
WISH = MoveWish(
    owners=(("ORGANIZATION/42", 1),),
    from_cell=1,
    to_cell=2,
    reason="room",
    test_window=timedelta(minutes=15),
    ask_before=(Step.TRANSFER,),
    id=MOVE,
)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with with_an_owner() as stage:
        yield stage


@pytest.fixture
def moves(stage: Stage) -> MoveClient:
    return MoveClient(stage.client().channel, patience=PATIENT)


async def test_a_move_is_begun_once_and_told_what_a_person_wants(stage: Stage, moves: MoveClient) -> None:
    planned = await moves.start(WISH, dry_run=True)
    assert (planned.move.revision, planned.repeated) == (0, False)
    assert [step for step, *_ in planned.plan] == list(FORWARD)
    assert planned.summary[0] == "ORGANIZATION/42: cell 1 -> cell 2, epoch 1 -> 2"
    assert (await moves.list(ended=True)).moves == ()
    begun, again = await moves.start(WISH), await moves.start(WISH)
    assert (begun.move.id, begun.move.step, begun.move.reason) == (MOVE, Step.PREPARE, "room")
    assert (begun.repeated, again.repeated, again.move) == (False, True, begun.move)
    with pytest.raises(NameHeld, match=f"is in move {MOVE}"):
        await moves.start(MoveWish(owners=WISH.owners, from_cell=1, to_cell=2, reason="", id=OTHER_MOVE))
    with pytest.raises(ClaimRefused, match="is at PREPARE"):
        await moves.tell(MOVE, Order.ABORT, "not now", at=Step.DRAIN)
    dry = await moves.tell(MOVE, Order.ABORT, "not now", dry_run=True)
    assert (dry.step, (await moves.get(MOVE[:8])).history) == (Step.PREPARE, begun.move.history)
    await moves.tell(MOVE, Order.ABORT, "not now", at=Step.PREPARE)
    told = await moves.get(MOVE)
    assert (told.history[-1].what, told.history[-1].words) == ("ordered", "ABORT: not now")
    listed = await moves.list("ORGANIZATION/42")
    assert ([each.id for each in listed.moves], listed.leader) == ([MOVE], "")
    with pytest.raises(ClaimRefused, match="there is no move"):
        await moves.get("ffff")


async def test_a_watch_goes_on_where_it_broke_off(stage: Stage, moves: MoveClient) -> None:
    await moves.start(WISH)
    seen: list[Step] = []
    async with asyncio.timeout(30):
        async for state in moves.watch(MOVE):
            seen.append(state.step)
            if state.step is Step.PREPARE:
                await carried(stage, *([Step.PREPARE] * 2))
            if state.step is Step.DRAIN:
                # The replica goes away; the one that comes in its place knows what happened meanwhile.
                gone, stage.server.moves.watches = stage.server.moves.watches, OpenWatches()
                gone.end()
                await carried(stage, *([Step.PREPARE] * 5))
    assert seen[:3] == [Step.PREPARE, Step.FREEZE, Step.DRAIN]
    assert (seen[-1], len(seen)) == (Step.COMMITTED, len(set(seen)))


async def test_nobody_there_is_said_after_some_attempts(stage: Stage) -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        away = MoveClient(channel, patience=PATIENT)
        with pytest.raises(ServiceAway):
            await away.list()
        with pytest.raises(ServiceAway):
            await anext(away.watch(MOVE))
        full = MoveClient(channel, limiter=Limiter(0, Mode.ENFORCE), patience=PATIENT)
        with pytest.raises(TooBusy):
            await full.get(MOVE)


async def test_threads_do_alike(stage: Stage) -> None:
    def in_a_thread(port: int, loop: asyncio.AbstractEventLoop) -> list[Step]:
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            moves = SyncMoveClient(channel, patience=PATIENT)
            assert moves.start(WISH, dry_run=True).summary[1] == "2 claims will go along"
            moves.start(WISH)
            assert moves.tell(MOVE, Order.ABORT, "no", dry_run=True).id == MOVE
            (listed,) = moves.list().moves
            assert replace(moves.get(MOVE), history=()) == listed
            seen = []
            for state in moves.watch(MOVE):
                seen.append(state.step)
                if len(seen) == 1:
                    going = carried(stage, *([Step.PREPARE] * len(FORWARD)))
                    asyncio.run_coroutine_threadsafe(going, loop).result(10)
        with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(ServiceAway):
            next(SyncMoveClient(channel, patience=PATIENT).watch(MOVE))
        return seen

    seen = await asyncio.to_thread(in_a_thread, stage.port, asyncio.get_running_loop())
    assert (seen[0], seen[-1]) == (Step.PREPARE, Step.COMMITTED)
