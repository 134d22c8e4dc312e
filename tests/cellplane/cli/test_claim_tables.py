"""`cellplane topology migrate` on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from cellplane.cli.outcome import Exit
from cellplane.cli.root import cellplane
from tests.etcd_server import EtcdServer
from tests.postgresql_server import NEEDS_POSTGRESQL, PASSWORD, PostgresServer
from tests.processes import Child, eventually
from tests.topology.claims.samples import batch, route
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import MAX_BATCH, Record
from topology.claims.store import Begun
from topology.claims.stored import StoredClaims
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.copying import AT_ONCE
from topology.claims_postgresql.rows import row_of
from topology.claims_postgresql.statements import COLUMNS
from topology.claims_postgresql.store import PostgresClaims
from topology.errors import StoreRefused
from topology.etcd import EtcdStore
from topology.keys import Keyspace


def migrate(url: str, *arguments: str, expect: Exit = Exit.OK) -> Result:
    result = CliRunner().invoke(
        cellplane, ["topology", "migrate", *arguments], env={"CELLPLANE_CLAIM_STORE": url}
    )
    assert result.exit_code == expect, result.output
    assert PASSWORD not in result.output
    return result


@NEEDS_POSTGRESQL
def test_steps_are_shown_then_applied_then_there(postgresql: PostgresServer) -> None:
    url = asyncio.run(postgresql.schema())
    for _ in range(2):
        shown = migrate(url, "--dry-run").output
        assert "-- 1: claims, leases and the log of changes\n" in shown
        assert "CREATE UNIQUE INDEX CONCURRENTLY claims_bucket ON claims" in shown
    assert migrate(url).output.splitlines()[:2] == [
        "Applied 1: claims, leases and the log of changes.",
        "Applied 2: a claim is unique in its bucket.",
    ]
    assert migrate(url).output == migrate(url, "--dry-run").output == "The tables are up to date.\n"


@NEEDS_POSTGRESQL
def test_who_may_not_is_told(postgresql: PostgresServer) -> None:
    wrong = migrate(postgresql.url(password="wrong"), expect=Exit.REFUSED)
    assert "password authentication failed" in wrong.stderr


def test_nobody_there() -> None:
    gone = migrate(f"postgresql://ada:{PASSWORD}@127.0.0.1:1/claims", expect=Exit.UNAVAILABLE)
    assert "postgresql://ada@127.0.0.1:1/claims: PostgreSQL can't be reached" in gone.stderr


def test_where_is_asked_for() -> None:
    result = CliRunner().invoke(cellplane, ["topology", "migrate"])
    assert result.exit_code == Exit.USAGE
    assert "--claim-store" in result.stderr


def test_the_driver_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "topology.claims_postgresql.connection", None)
    missing = migrate("postgresql://ada@db/claims", expect=Exit.USAGE)
    assert "pip install 'cellplane[postgresql]'" in missing.stderr


@NEEDS_POSTGRESQL
def test_claims_are_copied_from_etcd(postgresql: PostgresServer, etcd: EtcdServer, etcd_prefix: str) -> None:
    async def fill() -> str:
        store = EtcdStore([etcd.endpoint])
        claims = StoredClaims(store, ClaimKeyspace.beside(Keyspace(etcd_prefix)))
        assert isinstance(await claims.begin(batch(1, ["acme"]), "CELL"), Begun)
        await store.close()
        return await postgresql.schema()

    url = asyncio.run(fill())
    migrate(url)
    environment = {
        "CELLPLANE_CLAIM_STORE": url, "CELLPLANE_ETCD": etcd.endpoint, "CELLPLANE_ETCD_PREFIX": etcd_prefix
    }  # fmt: skip

    def copy(*arguments: str) -> Result:
        return CliRunner().invoke(cellplane, ["topology", "copy-claims", *arguments], env=environment)

    dry = copy("--dry-run")
    assert "1 record would be copied, 0 dropped." in dry.stderr
    done = copy("--output", "json")
    assert done.exit_code == Exit.OK, done.output
    found = json.loads(done.stdout)
    assert (found["put"], found["equal"], found["kinds"]["ROUTES"][1]["count"]) == (1, True, 1)
    again = copy()
    assert again.exit_code == Exit.OK, again.output
    assert again.stdout.splitlines()[2].split() == ["ROUTES", "1", "1", "yes"]


@NEEDS_POSTGRESQL
async def test_a_copy_that_is_killed_in_its_middle_goes_on_and_ends_equal(
    postgresql: PostgresServer, etcd: EtcdServer, etcd_prefix: str, tmp_path: Path
) -> None:
    """A real process, killed (SIGKILL) when a part is there and the next waits; no service takes a part."""
    last, more = f"n{AT_ONCE + 99:05}", 100
    store = EtcdStore([etcd.endpoint])
    claims = StoredClaims(store, ClaimKeyspace.beside(Keyspace(etcd_prefix)))
    for at in range(0, AT_ONCE + more, MAX_BATCH):
        names = [f"n{number:05}" for number in range(at, min(at + MAX_BATCH, AT_ONCE + more))]
        begun = await claims.begin(batch(1, names), "CELL")
        assert isinstance(begun, Begun)
        await claims.commit(1, begun.lease.uuid, "CELL")
    record = await claims.get(route(last))
    assert isinstance(record, Record)
    url = await postgresql.schema()
    await asyncio.to_thread(migrate, url)
    command = [sys.executable, "-m", "cellplane", "topology", "copy-claims"]
    environment = {
        "CELLPLANE_CLAIM_STORE": url, "CELLPLANE_ETCD": etcd.endpoint, "CELLPLANE_ETCD_PREFIX": etcd_prefix
    }  # fmt: skip
    copy = Child([shutil.which("env") or "env", *(f"{k}={v}" for k, v in environment.items()), *command],
                 tmp_path / "copy.log")  # fmt: skip
    in_the_way, watcher = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        waiting = in_the_way.transaction()
        await waiting.start()  # the last claim is being written by somebody who does not come to an end
        await in_the_way.copy_records_to_table("claims", records=[row_of(record)], columns=COLUMNS)
        copy.spawn()

        async def one_part() -> bool:
            assert copy.running, copy.log.read_text()
            return bool(await watcher.fetchval("SELECT count(*) FROM claims") == AT_ONCE)

        await eventually(one_part, "the first part of the copy", within=60)
        await copy.kill()
        await waiting.rollback()
        database = Database(Address(url))
        with pytest.raises(StoreRefused, match="is not finished"):
            await PostgresClaims(database).list()
        await database.close()
        again = await asyncio.to_thread(
            CliRunner().invoke, cellplane, ["topology", "copy-claims", "-o", "json"], env=environment
        )
        found = json.loads(again.stdout)
        assert (found["put"], found["dropped"], found["equal"]) == (more, 0, True)
        source, target = found["kinds"]["ROUTES"]
        assert source == target
        assert target["count"] == AT_ONCE + more
    finally:
        await copy.kill()
        await in_the_way.close()
        await watcher.close()
        await store.close()
