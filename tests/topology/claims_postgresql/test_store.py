"""What is the PostgreSQL store's own, beside the contract that all claim stores keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.postgresql_server import NEEDS_POSTGRESQL
from tests.topology.claims.samples import LEASE_1, batch, metadata, route
from topology.claims.index import ClaimIndex
from topology.claims.model import Bucket, BucketType, ClaimBatch, Record, Status
from topology.claims.rules import Taken, Unreadable
from topology.claims.store import Begun, Closed, Obstructed, Odd
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.store import PostgresClaims
from topology.errors import StoreRefused, StoreUnavailable

pytestmark = NEEDS_POSTGRESQL


class Dying:
    """A connection that breaks before a statement, or after it with the answer lost."""

    def __init__(self, database: Mortal, connection: Any) -> None:
        self._database = database
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        async def called(*arguments: Any) -> Any:
            database = self._database
            database.statements += 1
            if database.statements == database.dies_before:
                self._connection.terminate()
            outcome = await method(*arguments)
            if database.statements == database.dies_after:
                self._connection.terminate()
                raise ConnectionResetError(104, "reset")
            return outcome

        return called


class Mortal(Database):
    statements = 0
    dies_before = 0
    dies_after = 0

    @asynccontextmanager
    async def transaction(self, how: str = "") -> AsyncIterator[Any]:
        async with super().transaction(how) as connection:
            yield Dying(self, connection)


@pytest.fixture
async def mortal(address: Address) -> AsyncIterator[Mortal]:
    database = Mortal(address)
    yield database
    await database.close()


async def everything(store: PostgresClaims) -> ClaimIndex:
    index = ClaimIndex()
    index.load(await store.list())
    return index


async def owned(store: PostgresClaims, *values: str) -> None:
    outcome = await store.begin(batch(1, values), "CELL")
    assert isinstance(outcome, Begun)
    await store.commit(1, outcome.lease.uuid, "CELL")


BEGIN_STATEMENTS = 5  # look and hold, look for owners, write, note, commit


@pytest.mark.parametrize("statement", range(1, BEGIN_STATEMENTS))
async def test_a_writer_that_dies_before_its_commit_has_done_nothing(
    store: PostgresClaims, mortal: Mortal, statement: int
) -> None:
    await owned(store, "old")
    mortal.dies_before = statement
    with pytest.raises(StoreUnavailable):
        await PostgresClaims(mortal).begin(batch(1, ["new"], ["old"]), "CELL")
    index = await everything(store)
    assert (len(index), dict(index.leases)) == (1, {})
    found = index.find(route("old"))
    assert found is not None
    assert found.status is Status.ACTIVE


async def test_a_begin_whose_answer_got_lost_has_begun_once(store: PostgresClaims, mortal: Mortal) -> None:
    await owned(store, "old")
    leases = set()
    for wanted in (batch(1, ["new"], ["old"]), batch(1, ["more"])):
        mortal.statements, mortal.dies_after = 0, BEGIN_STATEMENTS if wanted.destroys else 3
        outcome = await PostgresClaims(mortal).begin(wanted, "CELL")
        assert isinstance(outcome, Begun)
        leases.add(outcome.lease.uuid)
    index = await everything(store)
    assert set(index.leases) == leases
    assert len(index) == 3


@pytest.mark.parametrize("statement", range(1, 4))
async def test_a_close_that_dies_is_done_whole_or_not_at_all(
    store: PostgresClaims, mortal: Mortal, statement: int
) -> None:
    await owned(store, "old")
    begun = await store.begin(batch(1, ["new"], ["old"]), "CELL")
    assert isinstance(begun, Begun)
    mortal.dies_after = statement
    if statement < 3:  # read and rewrite, note, commit
        with pytest.raises(StoreUnavailable):
            await PostgresClaims(mortal).commit(1, begun.lease.uuid, "CELL")
        assert len((await everything(store)).leases) == 1
        mortal.dies_after = 0
    assert await PostgresClaims(mortal).commit(1, begun.lease.uuid, "CELL") == Closed(found=True)
    index = await everything(store)
    assert (index.find(route("old")), len(index), len(index.leases)) == (None, 1, 0)


async def test_two_batches_in_a_circle_do_not_wait_for_ever(store: PostgresClaims) -> None:
    names = [f"n{number}" for number in range(40)]
    outcomes = await asyncio.gather(
        store.begin(batch(1, names), "CELL"), store.begin(batch(2, reversed(names)), "CELL")
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Begun", "Obstructed"]


async def test_a_value_longer_than_an_index_can_hold_is_unique_too(store: PostgresClaims) -> None:
    # 4,096 bytes that do not compress: a plain index on the value would refuse them.
    value = "".join(chr(0x10000 + (at * 7919 + at * at * 31) % 0xFFFFF) for at in range(1024))
    await owned(store, value)
    assert await store.begin(batch(2, [value]), "CELL") == Obstructed((Taken(route(value), 1),))
    await owned(store, value[:-1])


async def test_a_lease_whose_records_were_mended_by_hand_can_be_closed(
    store: PostgresClaims, database: Database
) -> None:
    begun = await store.begin(batch(1, ["acme"]), "CELL")
    assert isinstance(begun, Begun)
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM claims")
        await connection.execute("COMMIT")
    assert await store.commit(1, begun.lease.uuid, "CELL") == Closed(found=True)
    assert not (await everything(store)).leases


async def test_what_a_later_version_wrote_is_quarantined(store: PostgresClaims, database: Database) -> None:
    await owned(store, "odd", "gone", "fine")
    async with database.transaction() as connection:
        await connection.execute("UPDATE claims SET source_type = 99 WHERE bucket_value = 'odd'")
        await connection.execute("UPDATE claims SET bucket_type = 99 WHERE bucket_value = 'gone'")
        await connection.execute("COMMIT")
    entries = (await store.list()).entries
    assert len([entry for entry in entries if isinstance(entry, Odd)]) == 2
    unreadable = Unreadable(route("odd"), "99 is not a valid SourceType")
    assert await store.get(route("odd")) == unreadable
    assert await store.begin(batch(1, ["odd"]), "CELL") == Obstructed((unreadable,))
    assert await store.begin(batch(1, destroys=["odd"]), "CELL") == Obstructed((unreadable,))
    assert isinstance(await store.get(route("fine")), Record)


async def test_the_database_itself_refuses_a_second_owner(store: PostgresClaims, database: Database) -> None:
    await owned(store, "acme")
    columns = (
        "bucket_type, bucket_value, subject_type, subject_id, source_type, source_id, spelling, cell_id, "
        "status, created_at, updated_at, updated_by"
    )
    again = f"INSERT INTO claims (uuid, {columns}) SELECT gen_random_uuid(), {columns} FROM claims"  # noqa: S608
    async with database.transaction() as connection:
        with pytest.raises(asyncpg.UniqueViolationError, match="claims_bucket"):
            await connection.execute(again)


async def test_while_a_copy_runs_nobody_works_here(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO claim_copies (source) VALUES ('etcd at a:1')")
        await connection.execute("COMMIT")
    with pytest.raises(StoreRefused, match="a copy from etcd at a:1 is not finished"):
        await PostgresClaims(database).get(route("acme"))


async def test_settling_is_nobodys_work(store: PostgresClaims) -> None:
    await store.settle(LEASE_1)
    assert await store.get(Bucket(BucketType.EMAILS, "a@b")) is None
    only = ClaimBatch(cell_id=1, creates=(metadata("a", kind=BucketType.EMAILS), metadata("a")))
    assert isinstance(await store.begin(only, "CELL"), Begun)  # the same value in two buckets
