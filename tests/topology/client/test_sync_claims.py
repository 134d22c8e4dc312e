"""The client for threads against a real service, which runs in a loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from tests.topology.claims.samples import metadata, route
from tests.topology.samples import cell
from tests.topology.service.stage import playing
from topology.claims.model import Bucket, SourceType
from topology.client.calls import Patience
from topology.client.errors import ClaimRefused, NameHeld, NameTaken, ServiceAway, TooBusy
from topology.client.limiter import Limiter, Mode
from topology.client.reconcile import Commit, Rollback
from topology.client.sync_claims import SyncClaimClient
from topology.client.verify import Drift, Stated
from topology.keys import Keyspace
from topology.memory import MemoryStore

PATIENT = Patience(begin=5, close=5, pause=0.001)
ROUTES = SourceType.RAILS_TABLE_ROUTES


class Rows:
    """The cell's table of leases."""

    def __init__(self, kept: dict[str, datetime]) -> None:
        self.kept = kept

    def rows(self) -> Mapping[str, datetime]:
        return dict(self.kept)

    def forget(self, lease: str) -> None:
        del self.kept[lease]


@pytest.fixture
def port() -> Iterator[int]:
    """Run a service in a thread, and give its port."""
    ready, done = threading.Event(), threading.Event()
    found: list[int] = []

    async def serve() -> None:
        async with playing(MemoryStore(), Keyspace("/service"), (cell(1), cell(2))) as stage:
            found.append(stage.port)
            ready.set()
            await asyncio.to_thread(done.wait)

    with ThreadPoolExecutor(1) as threads:
        serving = threads.submit(asyncio.run, serve())
        try:
            assert ready.wait(10)
            yield found[0]
        finally:
            done.set()
            serving.result(10)


@pytest.fixture
def claims(port: int) -> Iterator[SyncClaimClient]:
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        yield SyncClaimClient(channel, 2, patience=PATIENT)


def caught_up(claims: SyncClaimClient, *wanted: str) -> None:
    """Wait until the service's memory has what was written: listings come from there."""
    for _ in range(1000):
        if set(claims.records(ROUTES)) == {route(value) for value in wanted}:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"the service never knew exactly {wanted}")


def test_a_block_around_a_local_transaction(port: int, claims: SyncClaimClient) -> None:
    with claims.claiming(creates=[metadata("a")]) as lease:
        with pytest.raises(NameHeld):
            claims.begin([metadata("a")])
        closed = lease.closed
    assert (closed, lease.closed) == (False, True)
    with pytest.raises(NameTaken, match="already claimed by cell 2"):
        claims.begin([metadata("a")])
    with pytest.raises(ZeroDivisionError), claims.claiming(creates=[metadata("b")]):
        raise ZeroDivisionError
    claims.rollback(claims.begin([metadata("b")]))
    with claims.claiming(destroys=[metadata("a")]):
        pass
    claims.commit(claims.begin([metadata("a")]))


def test_reconciliation_closes_what_a_crash_left(claims: SyncClaimClient) -> None:
    committed, never = (claims.begin([metadata(value)]) for value in ("a", "b"))
    later = datetime.now(UTC) + timedelta(minutes=6)
    rows = Rows({committed: later - timedelta(minutes=6)})
    caught_up(claims, "a", "b")
    assert set(claims.reconcile(rows, later)) == {Commit(committed), Rollback(never)}
    assert rows.kept == {}
    caught_up(claims, "a")
    assert claims.leases() == {}


def test_verification_finds_drift_and_mends_it(claims: SyncClaimClient) -> None:
    with claims.claiming(creates=[metadata("extra")]):
        pass
    caught_up(claims, "extra")
    later = datetime.now(UTC) + timedelta(hours=2)
    rows = {route("own"): Stated(metadata("own"), datetime.now(UTC))}
    found = claims.verify(rows, ROUTES, now=later)
    assert found == Drift((metadata("own"),), (), (metadata("extra"),))
    assert claims.mend(found) == ()
    caught_up(claims, "own")
    assert claims.verify(rows, ROUTES, now=later) == Drift((), (), ())

    class Table:
        def claims_behind(self, after: bytes, rows_wanted: int) -> Mapping[Bucket, Stated]:
            return {} if after else rows

    assert claims.verify_all(Table(), ROUTES, now=later) == Drift((), (), ())


def test_threads_share_a_client_and_its_limit(port: int) -> None:
    with grpc.insecure_channel(f"localhost:{port}") as channel, ThreadPoolExecutor(4) as threads:
        claims = SyncClaimClient(channel, 2, patience=PATIENT)
        leases = list(threads.map(lambda at: claims.begin([metadata(f"n{at}")]), range(20)))
        assert len(set(leases)) == 20
        refusing = SyncClaimClient(channel, 2, limiter=Limiter(0, Mode.ENFORCE), patience=PATIENT)
        with pytest.raises(TooBusy):
            refusing.begin([metadata("x")])


def test_nobody_there() -> None:
    pauses: list[float] = []
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        claims = SyncClaimClient(
            channel, 2, patience=Patience(attempts=3, pause=0.5), sleep=pauses.append, chance=lambda: 0.5
        )
        with pytest.raises(ServiceAway):
            claims.begin([metadata("a")])
        assert pauses == []
        with pytest.raises(ServiceAway):
            claims.commit("00000000-0000-4000-8000-000000000001")
        assert pauses == [0.5, 1.0]


def test_a_channel_that_was_closed_undoes_nothing_behind_the_local_commit(port: int) -> None:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    claims = SyncClaimClient(channel, 2, patience=PATIENT)
    with claims.claiming(creates=[metadata("a")]) as lease:
        lease.about_to_commit()
        channel.close()
    assert not lease.closed
    with pytest.raises(ClaimRefused, match="the channel is closed"):
        claims.begin([metadata("b")])
