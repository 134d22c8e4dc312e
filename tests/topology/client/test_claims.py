"""The client against a real service: claims around a local transaction, and the jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from datetime import UTC, datetime, timedelta

import grpc.aio
import pytest

from tests.topology.claims.samples import metadata, route
from tests.topology.samples import cell
from tests.topology.service.stage import Stage, playing
from topology.claims.model import Bucket, Record, SourceType, Status
from topology.client.calls import Patience
from topology.client.claims import ClaimClient
from topology.client.errors import ClaimRefused, NameHeld, NameTaken, ServiceAway, TooBusy
from topology.client.limiter import Limiter, Mode
from topology.client.reconcile import Commit, Forget, Rollback
from topology.client.steps import ROWS_AT_ONCE, HeldLease
from topology.client.verify import Drift, Stated, drift
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore

PATIENT = Patience(begin=5, close=5, pause=0.001)


class Rows:
    """The cell's table of leases."""

    def __init__(self) -> None:
        self.kept: dict[str, datetime] = {}

    async def rows(self) -> Mapping[str, datetime]:
        return dict(self.kept)

    async def forget(self, lease: str) -> None:
        del self.kept[lease]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with playing(MemoryStore(), Keyspace("/service"), (cell(1), cell(2))) as stage:
        yield stage


@pytest.fixture
def claims(stage: Stage) -> ClaimClient:
    return ClaimClient(stage.client().channel, 2, patience=PATIENT)


async def status(stage: Stage, value: str) -> Status | None:
    await stage.caught_up()
    found = stage.follower.index.find(route(value))
    assert found is None or isinstance(found, Record)
    return found.status if found else None


async def test_a_block_that_ends_well_commits(stage: Stage, claims: ClaimClient) -> None:
    async with claims.claiming(creates=[metadata("a")]) as lease:
        assert await status(stage, "a") is Status.LEASE_CREATING
    assert lease.closed
    assert await status(stage, "a") is Status.ACTIVE
    async with claims.claiming(destroys=[metadata("a")]):
        assert await status(stage, "a") is Status.LEASE_DESTROYING
    assert await status(stage, "a") is None


async def test_a_block_that_fails_takes_it_back(stage: Stage, claims: ClaimClient) -> None:
    with pytest.raises(ZeroDivisionError):
        async with claims.claiming(creates=[metadata("a")]):
            raise ZeroDivisionError
    assert await status(stage, "a") is None


async def test_a_commit_in_doubt_leaves_the_lease_to_reconciliation(
    stage: Stage, claims: ClaimClient
) -> None:
    held: list[HeldLease] = []

    async def cut_off() -> None:
        async with claims.claiming(creates=[metadata("a")]) as lease:
            held.append(lease)
            lease.about_to_commit()
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await cut_off()
    assert not held[0].closed
    assert await status(stage, "a") is Status.LEASE_CREATING


async def test_a_service_that_goes_away_leaves_the_lease_and_the_application_in_peace(
    stage: Stage, claims: ClaimClient
) -> None:
    held: HeldLease
    async with claims.claiming(creates=[metadata("a")]) as held:
        assert isinstance(stage.store, MemoryStore)
        stage.store.inject(Faults(unreachable=True))
    assert not held.closed
    stage.store.inject(Faults())
    assert await status(stage, "a") is Status.LEASE_CREATING


async def test_why_a_name_cannot_be_had(stage: Stage, claims: ClaimClient) -> None:
    other = ClaimClient(stage.client().channel, 1, patience=PATIENT)
    lease = await other.begin([metadata("a")])
    with pytest.raises(NameHeld, match="try again later"):
        await claims.begin([metadata("a")])
    await other.commit(lease)
    with pytest.raises(NameTaken, match="already claimed by cell 1") as taken:
        await claims.begin([metadata("a")])
    assert taken.value.reason == "CLAIM_TAKEN"
    with pytest.raises(ClaimRefused, match="1 to 1000"):
        await claims.begin()


async def test_nobody_there() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)

        claims = ClaimClient(
            channel, 2, patience=Patience(attempts=3, pause=0.5), sleep=pause, chance=lambda: 0.5
        )
        with pytest.raises(ServiceAway):
            await claims.begin([metadata("a")])
        assert pauses == []  # inside a transaction nobody waits for a second try
        with pytest.raises(ServiceAway):
            await claims.commit("00000000-0000-4000-8000-000000000001")
        assert pauses == [0.5, 1.0]


async def test_a_close_is_repeated_until_it_is_answered(stage: Stage, claims: ClaimClient) -> None:
    lease = await claims.begin([metadata("a")])
    assert isinstance(stage.store, MemoryStore)
    stage.store.inject(Faults(lose_answers=1))
    await claims.commit(lease)
    assert await status(stage, "a") is Status.ACTIVE


async def test_reconciliation_closes_what_a_crash_left(stage: Stage, claims: ClaimClient) -> None:
    rows = Rows()
    committed, never, flying = [await claims.begin([metadata(value)]) for value in ("a", "b", "c")]
    later = datetime.now(UTC) + timedelta(minutes=6)
    rows.kept = {
        committed: later - timedelta(minutes=6, seconds=30),
        flying: later,
        "gone": later - timedelta(minutes=7),
    }
    await stage.caught_up()
    done = await claims.reconcile(rows, later)
    assert done == (Forget("gone"), Commit(committed), Rollback(never))
    assert rows.kept == {flying: later}
    assert [await status(stage, value) for value in ("a", "b", "c")] == [
        Status.ACTIVE,
        None,
        Status.LEASE_CREATING,
    ]
    assert set(await claims.leases()) == {flying}
    assert await claims.reconcile(rows, later) == ()


async def test_verification_finds_the_drift(stage: Stage, claims: ClaimClient) -> None:
    async with claims.claiming(creates=[metadata("kept", 1), metadata("extra", 2)]):
        pass
    await stage.caught_up()
    recorded = await claims.records(
        SourceType.RAILS_TABLE_ROUTES, [route("x").type], upto=(9).to_bytes(8, "big")
    )
    assert set(recorded) == {route("kept"), route("extra")}
    later = datetime.now(UTC) + timedelta(hours=2)
    rows = {
        claim.bucket: Stated(claim, datetime.now(UTC))
        for claim in (metadata("kept", 1), metadata("missing", 3))
    }
    found = await claims.verify(rows, SourceType.RAILS_TABLE_ROUTES, now=later)
    assert found == drift(rows, recorded, later)
    assert (found.missing, found.different, found.extra) == (
        (metadata("missing", 3),),
        (),
        (metadata("extra", 2),),
    )
    assert await claims.mend(found) == ()
    await stage.caught_up()
    again = await claims.records(SourceType.RAILS_TABLE_ROUTES)
    assert drift(rows, again, later) == drift({}, {}, later)


class Table:
    """A table of the cell, whose rows stand for a claim each."""

    def __init__(self, rows: dict[int, str], changed_at: datetime) -> None:
        self.rows = rows
        self.changed_at = changed_at
        self.asked: list[int] = []

    async def claims_behind(self, after: bytes, rows: int) -> dict[Bucket, Stated]:
        self.asked.append(rows)
        first = int.from_bytes(after, "big")
        # Two at a time, so that a few rows are several stretches.
        found = [metadata(self.rows[row], row) for row in sorted(self.rows) if row > first][:2]
        return {each.bucket: Stated(each, self.changed_at) for each in found}


async def test_a_whole_table_is_verified_a_stretch_at_a_time(stage: Stage, claims: ClaimClient) -> None:
    wanted = {row: f"n{row}" for row in range(1, 6)}
    extra = [metadata("between", 2), metadata("behind", 99)]
    async with claims.claiming(creates=[*(metadata(name, row) for row, name in wanted.items()), *extra]):
        pass
    await stage.caught_up()
    table = Table({**wanted, 6: "missing"}, datetime.now(UTC))
    later = datetime.now(UTC) + timedelta(hours=2)
    found = await claims.verify_all(table, SourceType.RAILS_TABLE_ROUTES, now=later)
    assert (found.missing, found.different) == ((metadata("missing", 6),), ())
    assert set(found.extra) == set(extra)
    assert table.asked == [ROWS_AT_ONCE] * 4
    assert await claims.mend(found) == ()
    await stage.caught_up()
    assert await claims.verify_all(table, SourceType.RAILS_TABLE_ROUTES, now=later) == Drift((), (), ())


async def test_many_leases_and_records_come_whole(stage: Stage, claims: ClaimClient) -> None:
    for part in range(2):
        names = [metadata(f"n{row}", row) for row in range(part * 600, part * 600 + 600)]
        async with claims.claiming(names):
            pass
    await stage.caught_up()
    assert len(await claims.records(SourceType.RAILS_TABLE_ROUTES)) == 1200


async def test_a_limit_is_told_and_then_enforced(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    limiter = Limiter(limit=0)
    claims = ClaimClient(stage.client().channel, 2, patience=PATIENT, limiter=limiter)
    lease = await claims.begin([metadata("a")])
    assert "calls_beyond_limit" in caplog.text
    limiter.mode = Mode.ENFORCE
    with pytest.raises(TooBusy):
        await claims.begin([metadata("b")])
    with pytest.raises(TooBusy):  # after attempts in which there was no place either
        await claims.commit(lease)
    assert (limiter.executing, limiter.beyond) == (0, 2 + PATIENT.attempts)


async def test_a_channel_that_was_closed_undoes_nothing_behind_the_local_commit(stage: Stage) -> None:
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}")
    claims = ClaimClient(channel, 2, patience=PATIENT)
    async with claims.claiming(creates=[metadata("a")]) as lease:
        lease.about_to_commit()
        await channel.close()
    assert not lease.closed
    with pytest.raises(ClaimRefused, match="the channel is closed"):
        await claims.begin([metadata("b")])


async def test_a_channel_that_is_closed_meanwhile_is_no_cancellation() -> None:
    async with asyncio.TaskGroup() as tasks:
        mute = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{mute.sockets[0].getsockname()[1]}")
        begin = ClaimClient(channel, 2, patience=PATIENT).begin([metadata("a")])
        running = tasks.create_task(refused(begin))
        await asyncio.sleep(0)  # it is on its way
        await channel.close()
        assert "the channel is closed" in await running
        mute.close()


async def refused(call: Awaitable[str]) -> str:
    with pytest.raises(ClaimRefused) as told:
        await call
    return str(told.value)


async def test_a_task_that_is_cancelled_takes_it_back(stage: Stage, claims: ClaimClient) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with claims.claiming(creates=[metadata("a")]):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await status(stage, "a") is None
