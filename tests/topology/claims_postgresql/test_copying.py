"""Copies into a real PostgreSQL: interrupted, overtaken, refused, and equal in the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.contract.test_claim_store import Mortal
from tests.contract.test_transfers import wish
from tests.postgresql_server import NEEDS_POSTGRESQL
from tests.processes import eventually
from tests.topology.claims.samples import OTHER, batch, metadata
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import BucketType, ClaimBatch, Lease
from topology.claims.store import Begun, Changes
from topology.claims.stored import StoredClaims
from topology.claims.transfer import Transferred
from topology.claims_postgresql import copying
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.copying import copy_claims
from topology.claims_postgresql.store import PostgresClaims
from topology.claims_postgresql.upkeep import Upkeep
from topology.errors import Compacted, StoreRefused, StoreUnavailable
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.store import Txn

pytestmark = NEEDS_POSTGRESQL


async def owned(store: StoredClaims, *values: str) -> None:
    lease = await begun(store, batch(1, values))
    await store.commit(1, lease, "CELL")


async def begun(store: StoredClaims, wanted: ClaimBatch) -> str:
    outcome = await store.begin(wanted, "CELL")
    assert isinstance(outcome, Begun)
    return outcome.lease.uuid


async def leases(store: StoredClaims) -> list[Lease]:
    return [entry for entry in (await store.list()).entries if isinstance(entry, Lease)]


@pytest.fixture
async def source() -> AsyncIterator[StoredClaims]:
    """Claims that are owned, held both ways, moved, and of a large lease."""
    base = MemoryStore()
    store = StoredClaims(base, ClaimKeyspace.beside(Keyspace("/source")))
    await owned(store, *(f"n{number}" for number in range(200)))
    assert isinstance(await store.transfer(wish(), "ADMIN"), Transferred)
    other = batch(3, ["mail"], subject=OTHER)
    await store.commit(3, await begun(store, other), "CELL")
    await begun(store, batch(3, [f"held-{number}" for number in range(200)], ["mail"], subject=OTHER))
    await begun(
        store, ClaimBatch(cell_id=4, creates=(metadata("a@b", 9, BucketType.EMAILS)._replace(subject=OTHER),))
    )
    yield store
    await base.close()


async def test_all_is_there_and_goes_on(source: StoredClaims, database: Database) -> None:
    dry = await copy_claims(source, "etcd", database, dry_run=True)
    assert (dry.put, dry.equal) == (402, False)
    told: list[tuple[int, int]] = []
    copied = await copy_claims(source, "etcd", database, progress=lambda *step: told.append(step))
    assert (copied.put, copied.dropped, copied.equal) == (402, 0, True)
    assert {kind: pair[1].count for kind, pair in copied.parts.items()} == {
        "EMAILS": 1, "ROUTES": 401, "leases": 2, "owners": 1
    }  # fmt: skip
    assert told == [(402, 402)]
    target = PostgresClaims(database)
    for lease in await leases(source):
        await target.commit(lease.cell_id, lease.uuid, "CELL")
    assert isinstance(await target.transfer(wish(2, source=2, to=1), "ADMIN"), Transferred)
    with pytest.raises(StoreRefused, match="no service has written to"):
        await copy_claims(source, "etcd", database)


async def test_one_that_was_interrupted_goes_on(
    source: StoredClaims, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "AT_ONCE", 100)

    def pull_the_plug(done: int, _: int) -> None:
        if done == 200:
            raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        await copy_claims(source, "etcd", database, progress=pull_the_plug)
    with pytest.raises(StoreRefused, match="a copy from etcd is not finished"):
        await PostgresClaims(database).list()
    with pytest.raises(StoreRefused, match="a copy from etcd was begun there, and this is another"):
        await copy_claims(source, "another", database)
    again = await copy_claims(source, "etcd", database)
    assert (again.put, again.equal) == (202, True)


async def test_a_source_that_goes_on_is_caught_up_with(source: StoredClaims, database: Database) -> None:
    listings = 0

    class Busy:
        async def list(self) -> Changes:
            nonlocal listings
            listings += 1
            listing = await source.list()
            if listings == 1:  # after it has been read
                lease = await begun(source, batch(2, ["late"]))
                await source.commit(2, lease, "CELL")
            return listing

        def __getattr__(self, name: str) -> object:
            return getattr(source, name)

    behind = await copy_claims(Busy(), "etcd", database)  # type: ignore[arg-type]
    assert not behind.equal
    for lease in await leases(source):
        await source.rollback(lease.cell_id, lease.uuid, "CELL")
    caught_up = await copy_claims(source, "etcd", database)
    # "mail" is no more held, and is put anew; what was being created is gone.
    assert (caught_up.put, caught_up.dropped, caught_up.equal) == (2, 202, True)


async def test_one_that_was_equal_is_run_again_for_what_came_since(
    source: StoredClaims, database: Database
) -> None:
    """Where little is written the first run ends equal, while services still work on the source."""
    assert (await copy_claims(source, "etcd", database)).equal
    await source.commit(2, await begun(source, batch(2, ["since"])), "CELL")
    dry = await copy_claims(source, "etcd", database, dry_run=True)
    assert (dry.put, dry.equal) == (1, False)
    again = await copy_claims(source, "etcd", database)
    assert (again.put, again.dropped, again.equal) == (1, 0, True)
    with pytest.raises(StoreRefused, match="a copy from etcd was begun there, and this is another"):
        await copy_claims(source, "another", database)


async def test_no_copy_comes_in_under_a_service_that_works_there(
    source: StoredClaims, database: Database
) -> None:
    topology = MemoryStore()
    target = PostgresClaims(database)
    upkeep = Upkeep(database, target, topology, Keyspace())
    before = await target.list()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(upkeep.run())

        async def telling() -> bool:
            return upkeep.state.telling

        await eventually(telling, "the service tells")
        with pytest.raises(StoreRefused, match="a Topology Service works there"):
            await copy_claims(source, "etcd", database)
        running.cancel()
    assert (await copy_claims(source, "etcd", database)).equal
    # Who has listed before is told to list again: what was copied stands in no log.
    async with contextlib.aclosing(target.watch(before.cursor)) as steps:
        with pytest.raises(Compacted) as compacted:
            await anext(steps)
    cursor = (await target.list()).cursor
    assert cursor == compacted.value.compact_revision > before.cursor
    outcome = await target.begin(batch(2, ["new"]), "CELL")
    assert isinstance(outcome, Begun)
    assert outcome.cursor > cursor
    await topology.close()


async def died_in_a_commit(base: MemoryStore) -> None:
    """Leave there what a service leaves that dies while it closes a lease of 300 claims."""
    store = Mortal(base)
    dying = StoredClaims(store, ClaimKeyspace.beside(Keyspace("/source")))
    lease = await begun(dying, batch(1, [f"n{number}" for number in range(300)]))
    store.dies_before = store.writes + 2
    with pytest.raises(StoreUnavailable):
        await dying.commit(1, lease, "CELL")


async def test_a_dry_run_writes_nothing_to_the_source_either(database: Database) -> None:
    base = MemoryStore()
    await died_in_a_commit(base)
    before = (await base.list("/")).revision
    source = StoredClaims(base, ClaimKeyspace.beside(Keyspace("/source")))
    with pytest.raises(StoreRefused, match="is being written or finished"):
        await copy_claims(source, "etcd", database, dry_run=True)
    assert (await base.list("/")).revision == before


async def test_what_a_dead_service_left_is_finished_first(database: Database) -> None:
    base = MemoryStore()
    await died_in_a_commit(base)
    source = StoredClaims(base, ClaimKeyspace.beside(Keyspace("/source")))
    copied = await copy_claims(source, "etcd", database)
    assert (copied.put, copied.equal) == (300, True)
    assert copied.parts["leases"][1].count == 0


async def test_what_cannot_be_read_stops_it(database: Database) -> None:
    base = MemoryStore()
    await base.commit(Txn(puts=(("/source-claims/records/ROUTES/x", b"?"),)))
    store = StoredClaims(base, ClaimKeyspace.beside(Keyspace("/source")))
    with pytest.raises(StoreRefused, match="/source-claims/records/ROUTES/x can't be read"):
        await copy_claims(store, "etcd", database)
