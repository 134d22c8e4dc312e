"""A transfer waits for every sidecar of its source, and takes back what was announced in vain."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.topology.claims.samples import OWNER, batch, route
from tests.topology.service.stage import Stage
from tests.topology.service.test_claim_service import request
from topology import forms
from topology.apply import read_view
from topology.claims.keys import ClaimKeyspace
from topology.claims.owners import OwnerMoving
from topology.claims.store import Begun
from topology.claims.stored import StoredClaims
from topology.claims.transfer import Hindered, Transferred, TransferWish
from topology.claims.transfer_obstacles import FenceLifted, SidecarsBehind, WrongEpoch
from topology.codec import encode
from topology.departing import Departing, announced, departing, fence
from topology.model import Document, Stamp
from topology.service.departure_gate import DepartureGate
from topology.sidecars import FORGOTTEN, Sidecar, SidecarKeys, encode_sidecar, forgotten_name
from topology.store import Conflict, Listing, Store, Txn
from topology.view import View

NOW = forms.format_utc(datetime.now(UTC))


class Rig:
    """A gate on the stage's store, with sidecars whose records the test writes."""

    def __init__(self, stage: Stage, patience: float = 30.0) -> None:
        self.stage = stage
        self.keys = SidecarKeys.beside(stage.keyspace)
        self.claims = StoredClaims(stage.store, ClaimKeyspace.beside(stage.keyspace))
        self.gate = DepartureGate(self.claims, stage.store, stage.keyspace, patience)

    async def owned(self, *values: str) -> None:
        outcome = await self.claims.begin(batch(1, values), "CELL")
        assert isinstance(outcome, Begun)
        await self.claims.commit(1, outcome.lease.uuid, "CELL")
        await self.stage.caught_up()

    async def sidecar(self, node: str, settled: int, *, connected: bool = True, behind: bool = False) -> None:
        one = Sidecar(
            node=node, cell_id=1, settled=settled, connected=connected, behind=behind, at=NOW, replica="a"
        )
        await self.stage.store.commit(Txn(puts=((self.keys.sidecar(1, node), encode_sidecar(one)),)))

    async def view(self) -> View:
        return await read_view(self.stage.store, self.stage.keyspace)

    async def announced(self) -> View:
        """Wait until the fence has names, and give the View."""
        async with asyncio.timeout(30):
            while not fence(view := await self.view()).of_cell(1):
                await asyncio.sleep(0.002)
        return view

    async def transfer(self, wish: TransferWish) -> object:
        return await self.gate.transfer(wish, "ada", self.stage.follower)


def wish(epoch: int = 1) -> TransferWish:
    return TransferWish(id=str(uuid.uuid4()), owners=((OWNER, epoch),), from_cell=1, to_cell=2, reason="room")


async def test_without_sidecars_the_gate_stands_open(stage: Stage) -> None:
    rig = Rig(stage)
    await rig.owned("acme")
    assert isinstance(await rig.transfer(wish()), Transferred)
    assert not departing(await rig.view())


async def test_it_waits_for_the_last_sidecar_and_moves_then(stage: Stage) -> None:
    rig = Rig(stage)
    await rig.owned("acme", "web")
    await rig.sidecar("one", 10**6)
    await rig.sidecar("two", 1)
    moving = asyncio.create_task(rig.transfer(wish()))
    view = await rig.announced()
    assert set(fence(view).of_cell(1)) == {"ROUTES/acme", "ROUTES/web"}
    await rig.sidecar("two", view.revision - 1)
    assert await rig.claims.owner(OWNER) is None
    assert not moving.done()
    await rig.sidecar("two", view.revision)
    assert isinstance(await moving, Transferred)
    after = await rig.view()
    assert not departing(after)
    assert {bar.cell_id for bar in fence(after).of_cell(1).values()} == {2}
    assert not any(bar.moving for bar in fence(after).of_cell(1).values())


@pytest.mark.parametrize(("connected", "behind"), [(False, False), (True, True)])
async def test_one_that_is_cut_off_or_rejects_stops_it_and_nothing_is_left(
    stage: Stage, connected: bool, behind: bool
) -> None:
    rig = Rig(stage, 0.05)
    await rig.owned("acme")
    await rig.sidecar("pod", 10**6 if behind else 1, connected=connected, behind=behind)
    outcome = await rig.transfer(wish())
    assert isinstance(outcome, Hindered)
    (obstacle,) = outcome.obstacles
    assert isinstance(obstacle, SidecarsBehind)
    assert obstacle.sidecars[0].startswith("pod")
    view = await rig.view()
    assert not departing(view)
    assert not fence(view).of_cell(1)
    assert not [each for each in view.documents if each[0] == "departed-claims"]
    assert await rig.claims.owner(OWNER) is None


async def test_one_that_is_stopped_for_good_is_forgotten(stage: Stage) -> None:
    rig = Rig(stage)
    await rig.owned("acme")
    await rig.sidecar("pod", 1, connected=False)
    stamp = Stamp(updated_by="ada", updated_at=forms.format_utc(datetime.now(UTC)), reason="it is off")
    document = Document(kind=FORGOTTEN, name=forgotten_name(1, "pod"), body={}, stamp=stamp)
    key = stage.keyspace.document(FORGOTTEN, document.name)
    await stage.store.commit(Txn(puts=((key, encode(document)),)))
    assert isinstance(await rig.transfer(wish()), Transferred)


async def test_what_is_refused_anyway_is_not_announced(stage: Stage) -> None:
    rig = Rig(stage)
    await rig.owned("acme")
    await rig.sidecar("pod", 1)
    outcome = await rig.transfer(wish(3))
    assert outcome == Hindered((WrongEpoch(OWNER, 3, 1),))


async def test_a_request_that_was_carried_out_is_answered_without_waiting(stage: Stage) -> None:
    rig = Rig(stage)
    await rig.owned("acme")
    await rig.sidecar("pod", 10**6)
    wanted = wish()
    await rig.transfer(wanted)
    await rig.sidecar("pod", 1)
    again = await rig.transfer(wanted)
    assert isinstance(again, Transferred)
    assert again.repeated


async def test_what_is_claimed_while_it_waits_is_announced_too(stage: Stage) -> None:
    rig = Rig(stage)
    await rig.owned("acme")
    await rig.sidecar("pod", 1)
    moving = asyncio.create_task(rig.transfer(wish()))
    await rig.announced()
    await rig.owned("new")
    await rig.sidecar("pod", 10**6)
    assert isinstance(await moving, Transferred)
    assert set(fence(await rig.view()).of_cell(1)) == {"ROUTES/acme", "ROUTES/new"}


async def test_owners_do_not_move_once_their_fence_is_lifted(stage: Stage) -> None:
    rig = Rig(stage)
    await rig.owned("acme")
    await rig.sidecar("pod", 1)
    moving = asyncio.create_task(rig.transfer(wish()))
    view = await rig.announced()
    key = stage.keyspace.document("departing", "NAMESPACE/42")
    await stage.store.commit(Txn(deletes=(key,)))
    await rig.sidecar("pod", view.revision + 100)
    assert await moving == Hindered((FenceLifted(OWNER),))
    assert await rig.claims.owner(OWNER) is None


async def announce_another(rig: Rig, age: timedelta) -> None:
    at = forms.format_utc(datetime.now(UTC) - age)
    other = Departing(
        owner="NAMESPACE/42",
        transfer="other",
        from_cell=1,
        to_cell=3,
        epoch=2,
        stamp=Stamp(updated_by="bob", updated_at=at, reason=""),
    )
    await rig.stage.store.commit(announced(rig.stage.keyspace, other, 0)[1])


async def test_another_transfer_of_the_owner_is_in_the_way_unless_it_was_left_behind(stage: Stage) -> None:
    rig = Rig(stage)
    await rig.owned("acme")
    await rig.sidecar("pod", 10**6)
    await announce_another(rig, timedelta())
    assert await rig.transfer(wish()) == Hindered((OwnerMoving(OWNER, "other"),))
    await rig.gate.sweep(await rig.view())
    assert list(departing(await rig.view())) == ["NAMESPACE/42"], "young"
    key = stage.keyspace.document("departing", "NAMESPACE/42")
    await stage.store.commit(Txn(deletes=(key,)))
    await announce_another(rig, timedelta(minutes=3))
    assert isinstance(await rig.transfer(wish()), Transferred)


async def test_what_a_service_left_behind_is_swept(stage: Stage) -> None:
    rig = Rig(stage)
    await announce_another(rig, timedelta(minutes=3))
    await rig.gate.sweep(await rig.view())
    assert not departing(await rig.view())


class Losing:
    """A store at which others are faster, so many times."""

    def __init__(self, store: Store, times: int) -> None:
        self._store = store
        self.times = times

    async def commit(self, txn: Txn) -> object:
        self.times -= 1
        return Conflict((), ()) if self.times >= 0 else await self._store.commit(txn)

    async def list(self, prefix: str) -> Listing:
        return await self._store.list(prefix)


@pytest.mark.parametrize("lost", [0, 2, 3])
async def test_a_name_that_is_claimed_anew_is_let_in_by_its_begin(
    stage: Stage, lost: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig, name = Rig(stage), "a" * 129  # so long that no log spells it
    await rig.owned(name)
    await rig.sidecar("pod", 10**6)
    await rig.transfer(wish())
    client = stage.client()
    monkeypatch.setattr(stage.server._claims, "_topology", Losing(stage.store, lost))
    gone = await rig.claims.begin(replace(batch(2, [], [name])), "CELL")
    assert isinstance(gone, Begun)
    await rig.claims.commit(2, gone.lease.uuid, "CELL")
    assert f"ROUTES/{name}" in fence(await rig.view()).of_cell(1)
    revision = (await rig.view()).revision
    async with asyncio.timeout(30):
        while stage.watcher.view is None or stage.watcher.view.revision < revision:
            await asyncio.sleep(0.002)
    anew = request(1, [name])
    anew.create_records[0].subject.id = 7
    await client.claims.BeginUpdate(anew)
    assert (f"ROUTES/{name}" in fence(await rig.view()).of_cell(1)) is (lost == 3)
    assert (await rig.claims.get(route(name))) is not None
    told = [message for message in caplog.messages if "names_still_refused" in message]
    assert len(told) == (lost == 3)
    assert name not in caplog.text
    assert ("ROUTES/sha256:" in caplog.text) is (lost == 3)
