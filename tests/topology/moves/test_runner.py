"""A move to each of its ends, carried on by leaders that may die, over a store in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.processes import eventually
from tests.topology.claims.samples import batch
from tests.topology.moves.rig import ACME, MOVE, OTHER_MOVE, Rig, done, rigged, wish
from topology.claims.store import Begun
from topology.leader import leader_key
from topology.moves.book import Busy
from topology.moves.hooks import No, NotYet, Ready
from topology.moves.model import Happened, Order, Step
from topology.moves.runner import ROLE
from topology.moves.steps import FORWARD
from topology.store import Txn

BACK = [Step.RETURN_FREEZE, Step.RETURN_TRANSFER, Step.RETURN_PROPAGATE]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rigged() as rig:
        yield rig


async def test_a_move_goes_through_all_steps_and_commits(rig: Rig) -> None:
    rig.joins("first")
    await rig.begin()
    testing = await rig.at(Step.TEST, "a person's word")
    assert testing.blocked
    assert (await rig.place(), await rig.frozen(), testing.records) == ((2, 2), [], 2)
    await rig.say(Order.CONTINUE)
    move = await rig.at(Step.COMMITTED)
    assert done(move) == list(FORWARD)
    assert [entry.what for entry in move.history if entry.what is Happened.ZERO] == [Happened.ZERO] * 2
    assert (move.history[0].what, move.history[-1].what) == (Happened.STARTED, Happened.ENDED)
    # Every hook once, but what is drained is looked at twice.
    assert dict(rig.hooks.calls) == {step.value: 2 if step is Step.DRAIN else 1 for step in FORWARD}
    # And its owner may move again.
    await rig.begin(wish(OTHER_MOVE, from_cell=2, to_cell=3, owners=(("ORGANIZATION/42", 2),)))


async def test_it_is_frozen_until_the_fleet_knows_and_nothing_moves_before(rig: Rig) -> None:
    rig.fleet.behind = ("edge-7",)
    rig.joins("first")
    await rig.begin()
    await rig.at(Step.FREEZE, "is not acknowledged by 1 of 3 Envoys: edge-7")
    assert (await rig.frozen(), await rig.place()) == (["ORGANIZATION/42 in 1"], (1, 1))
    rig.hooks.answers[Step.TRANSFER] = [NotYet("copying")]
    rig.fleet.behind = ()
    await rig.at(Step.TRANSFER, "copying")
    assert await rig.place() == (1, 1)
    rig.fleet.behind = ("edge-7",)
    rig.hooks.answers[Step.TRANSFER] = [Ready()]
    moved = await rig.at(Step.PROPAGATE, "is not acknowledged")
    assert (await rig.frozen(), await rig.place(), moved.envoys) == ([], (2, 2), 3)
    # One that knew of the freeze has gone: it is waited for, for a while.
    rig.fleet.behind, rig.fleet.envoys = (), 2
    await rig.at(Step.PROPAGATE, "1 Envoys that knew of the freeze are not connected")
    rig.clock.ahead += timedelta(seconds=61)
    await rig.at(Step.TEST)


async def test_what_the_fleet_says_may_not_be_all(rig: Rig) -> None:
    rig.fleet.problem = "etcd cannot be read"
    rig.joins("first")
    await rig.begin()
    await rig.at(Step.FREEZE, "etcd cannot be read")


async def test_draining_takes_two_zeros_in_a_row(rig: Rig) -> None:
    rig.hooks.answers[Step.DRAIN] = [NotYet("3 jobs"), Ready(), NotYet("1 job"), Ready(), Ready()]
    lease = await rig.claims.begin(batch(1, ["late"], subject=ACME), "CELL-1")
    assert isinstance(lease, Begun)
    rig.joins("first")
    await rig.begin()
    await rig.at(Step.DRAIN, lease.lease.uuid)
    await rig.claims.commit(1, lease.lease.uuid, "CELL-1")
    move = await rig.at(Step.TEST)
    looks = [entry.what for entry in move.history if entry.step is Step.DRAIN]
    assert looks[-3:] == [Happened.ZERO, Happened.ZERO, Happened.DONE]
    assert move.records == 3


async def test_an_abort_leaves_nothing(rig: Rig) -> None:
    rig.hooks.answers[Step.TRANSFER] = [NotYet("copying")]
    rig.joins("first")
    await rig.begin()
    await rig.at(Step.TRANSFER, "copying")
    await rig.say(Order.ABORT)
    move = await rig.at(Step.ABORTED)
    assert (await rig.place(), await rig.frozen()) == ((1, 1), [])
    assert done(move) == [Step.PREPARE, Step.FREEZE, Step.DRAIN, Step.ABORT]
    assert await rig.book.busy(["ORGANIZATION/42"]) is None


async def test_an_abort_comes_too_late_when_the_claims_have_gone(rig: Rig) -> None:
    """The leader died after the transfer and before it wrote that down; meanwhile somebody says abort."""
    rig.hooks.holding[Step.TRANSFER] = asyncio.Event()
    first = rig.joins("first")
    await rig.begin()
    await rig.called(Step.TRANSFER)
    first.cancel()
    crossing = rig.crossing(rig.claims, rig.store)
    await crossing.go(await rig.move(), back=False)
    await rig.say(Order.ABORT)
    rig.hooks.holding.clear()
    rig.joins("second")
    move = await rig.at(Step.TEST)
    assert (await rig.place(), Step.ABORT in done(move)) == ((2, 2), False)


async def test_a_move_is_switched_back(rig: Rig) -> None:
    rig.joins("first")
    await rig.begin()
    await rig.at(Step.TEST, "a person's word")
    await rig.say(Order.SWITCH_BACK)
    move = await rig.at(Step.RETURNED)
    assert done(move) == [*FORWARD[:5], *BACK]
    assert (await rig.place(), await rig.frozen()) == ((1, 3), [])


async def test_a_window_ends_a_test_that_has_passed(rig: Rig) -> None:
    rig.hooks.answers[Step.TEST] = [NotYet("testing"), Ready()]
    rig.joins("first")
    await rig.begin(wish(window_seconds=3600))
    waiting = await rig.at(Step.TEST, "the window, until")
    assert not waiting.blocked
    rig.clock.ahead += timedelta(seconds=3600)
    assert done(await rig.at(Step.COMMITTED)) == list(FORWARD)


async def test_who_refuses_blocks_until_a_person_goes_on(rig: Rig) -> None:
    rig.hooks.answers[Step.PREPARE] = [No("versions differ"), Ready()]
    rig.joins("first")
    await rig.begin(wish(ask_before=(Step.TRANSFER,)))
    blocked = await rig.at(Step.PREPARE, "versions differ")
    assert blocked.blocked
    (runner,) = rig.runners

    async def told() -> bool:
        return [(move.id, move.blocked) for move in runner.open] == [(MOVE, True)]

    await eventually(told, "the leader to tell of it")
    assert rig.hooks.calls["PREPARE"] == 1
    await rig.say(Order.CONTINUE)
    asked = await rig.at(Step.TRANSFER, "a person's word")
    assert (asked.blocked, await rig.place()) == (True, (1, 1))
    await rig.say(Order.CONTINUE)
    await rig.at(Step.TEST)
    # A test that fails may be overruled.
    rig.hooks.answers[Step.TEST] = [No("the page is blank")]


async def test_what_does_not_fit_blocks(rig: Rig) -> None:
    rig.joins("first")
    await rig.begin(wish(to_cell=9))
    assert "there is no cell 9" in (await rig.at(Step.PREPARE, "to_cell")).waiting
    await rig.begin(wish(OTHER_MOVE, owners=(("ORGANIZATION/7", 1),)))
    await rig.at(Step.PREPARE, "no cell claims anything for it", OTHER_MOVE)


async def test_an_owner_is_in_one_move_at_a_time(rig: Rig) -> None:
    begun = await rig.begin()
    again = await rig.book.begin(begun.move)
    assert again == begun
    assert await rig.book.begin(wish(OTHER_MOVE)) == Busy("ORGANIZATION/42", MOVE)


async def test_a_record_that_cannot_be_read_stops_no_other_move(rig: Rig) -> None:
    await rig.store.commit(Txn(puts=((f"{rig.book.root}{OTHER_MOVE}", b"{}"),)))
    rig.joins("first")
    await rig.begin()
    await rig.at(Step.TEST)


async def test_a_fault_of_ours_stops_no_other_move(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        envoys = 3

        async def reached(self, revision: int, /) -> object:
            raise RuntimeError("nobody foresaw this")

    fleet, rig.fleet = rig.fleet, Broken()  # type: ignore[assignment]
    rig.joins("first")
    await rig.begin()
    assert (await rig.at(Step.FREEZE, "a fault of the service: RuntimeError")).blocked
    rig.fleet = fleet
    assert "nobody foresaw this" in caplog.text


@pytest.mark.parametrize("step", [*FORWARD, *BACK], ids=str)
async def test_a_leader_that_dies_in_a_step_is_followed_and_no_step_is_done_twice(
    rig: Rig, step: Step
) -> None:
    """It hangs in the application's part of a step, and never comes back."""
    rig.hooks.holding[step] = asyncio.Event()
    first = rig.joins("first")
    await rig.begin()
    if step in (Step.COMMIT, *BACK):
        await rig.at(Step.TEST, "a person's word")
        await rig.say(Order.CONTINUE if step is Step.COMMIT else Order.SWITCH_BACK)
    await rig.called(step)
    first.cancel()
    rig.hooks.holding.clear()
    rig.joins("second")
    if step in FORWARD[:6]:
        await rig.at(Step.TEST, "a person's word")
        await rig.say(Order.CONTINUE)
    move = await rig.until(lambda move: move.ended, "its end")
    assert done(move) == ([*FORWARD[:5], *BACK] if step in BACK else list(FORWARD))
    assert await rig.place() == ((1, 3) if step in BACK else (2, 2))
    assert {entry.by for entry in move.history if entry.what is Happened.DONE} <= {"first", "second", "ada"}


async def test_a_leader_that_was_deposed_writes_nothing(rig: Rig) -> None:
    rig.hooks.holding[Step.FREEZE] = held = asyncio.Event()
    rig.joins("first")
    await rig.begin()
    await rig.called(Step.FREEZE)
    # Somebody else leads, while the first believes that it does.
    key = leader_key(rig.keyspace, ROLE)
    await rig.store.commit(Txn(deletes=(key,)))
    await rig.store.commit(Txn(puts=((key, json.dumps({"who": "second"}).encode()),)))
    before = await rig.move()
    held.set()

    async def asked() -> bool:
        return rig.hooks.calls["FREEZE"] >= 3

    # It asks again, for asking changes nothing; what it would write fails.
    await eventually(asked, "another look")
    assert await rig.move() == before
