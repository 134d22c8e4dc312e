"""Which store claims are in, and `cellplane topology` on PostgreSQL as a process of its own."""

from __future__ import annotations

import grpc
import pytest

from cellplane.claim_stores import EtcdClaims, PostgresqlClaims, open_claims
from cellplane.settings import ClaimStoreSettings, SettingsError
from tests.cellplane.test_topology_service import Start, routed_to, start, with_cell_2
from tests.etcd_server import EtcdServer
from tests.postgresql_server import NEEDS_POSTGRESQL, PASSWORD, PostgresServer
from tests.processes import eventually
from tests.topology.claims.samples import route
from tests.topology.service.stage import failure
from tests.topology.service.test_claim_service import begin, commit, request
from topology.apply import read_view
from topology.claims.generations import slot
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.memory import MemoryStore

__all__ = ["start"]  # a fixture

NOBODY = ClaimStoreSettings(address=Address("postgresql://ada@127.0.0.1:1/claims"))


async def test_in_etcd_unless_told_otherwise() -> None:
    claims = open_claims(None, MemoryStore(), Keyspace("/c"))
    assert isinstance(claims, EtcdClaims)
    assert str(claims) == "etcd"
    await claims.check()
    await claims.close()


async def test_a_database_that_is_away_may_come_back(caplog: pytest.LogCaptureFixture) -> None:
    claims = open_claims(NOBODY, MemoryStore(), Keyspace("/c"))
    assert isinstance(claims, PostgresqlClaims)
    await claims.check()
    assert "claim_store_away store=postgresql://ada@127.0.0.1:1/claims" in caplog.text
    await claims.close()


@NEEDS_POSTGRESQL
async def test_one_without_tables_ends_the_service_at_once(postgresql: PostgresServer) -> None:
    address = Address(await postgresql.schema())
    claims = open_claims(ClaimStoreSettings(address=address), MemoryStore(), Keyspace("/c"))
    with pytest.raises(SettingsError, match="cellplane topology migrate"):
        await claims.check()
    await claims.close()


@pytest.fixture
async def claim_store(postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    url = await postgresql.schema()
    await migrate(Database(Address(url)))
    monkeypatch.setenv("CELLPLANE_CLAIM_STORE", url)
    return url


@NEEDS_POSTGRESQL
async def test_the_service_keeps_claims_in_postgresql(
    claim_store: str, start: Start, etcd: EtcdServer, etcd_prefix: str
) -> None:
    """Two replicas; one dies between begin and commit; what is dropped raises its generation in etcd."""
    first, second = start(), start()
    for service in (first, second):
        await service.child.ready(service.answers)
    store = EtcdStore([etcd.endpoint])
    async with first.client() as client, second.client() as other:
        await with_cell_2(client)
        lease = await begin(client, 2, ["acme"])
        await eventually(lambda: routed_to(other, "acme"), "acme at the other")
        await first.child.kill()
        await commit(other, 2, lease)
        taken = await failure(other.claims.BeginUpdate(request(2, ["acme"])))
        assert taken.code is grpc.StatusCode.ALREADY_EXISTS
        await commit(other, 2, await begin(other, 2, [], ["acme"]))

        async def risen() -> bool:
            return slot(route("acme")) in (await read_view(store, Keyspace(etcd_prefix))).generations

        await eventually(risen, "the generation of acme")
    await store.close()
    await second.child.stop()
    assert second.child.returncode == 0
    for service in (first, second):
        assert "claims=postgresql://cellplane@127.0.0.1" in service.child.log_tail()
        assert PASSWORD not in service.child.log.read_text()
