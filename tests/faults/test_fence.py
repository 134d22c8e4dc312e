"""A sidecar that is cut off while an owner leaves its cell: the transfer waits, no write is taken twice.

With claims in etcd's stead and in a real PostgreSQL, where the topology hears of a transfer after it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from cellplane.claim_stores import open_claims
from cellplane.demo.free_port import free_port
from cellplane.identities import classify
from cellplane.settings import ClaimStoreSettings
from cellplane.sidecars import Sidecars
from envoy.bootstrap import bootstrap
from envoy.sidecar import SidecarSettings
from tests.envoy.owners_rig import PATH
from tests.envoy.rule_documents import document
from tests.envoy.sidecar_rig import Application
from tests.envoy_process import EnvoyProcess
from tests.faults.proxy import Proxy
from tests.postgresql_server import NEEDS_POSTGRESQL, PostgresServer
from tests.processes import eventually
from tests.protocols.cells import web_cell
from tests.topology.claims.samples import OWNER, batch
from tests.topology.samples import STAMP, cell
from topology.claims.follower import ClaimFollower
from topology.claims.model import Bucket, BucketType
from topology.claims.owners import Owner, name_of
from topology.claims.store import Begun
from topology.claims.transfer import Hindered, Transferred, TransferStore, TransferWish
from topology.claims.transfer_obstacles import FenceLifted, SidecarsBehind
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate
from topology.codec import encode
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Document, Endpoint
from topology.service.announcements import Announcements
from topology.service.departure_gate import DepartureGate
from topology.sidecars import SidecarKeys
from topology.store import Committed, Conflict, Txn
from topology.watcher import Watcher
from xds.cache import Cache
from xds.server import AdsServer

KEYS = Keyspace("/fence")
LIMIT = 60.0


class Topology(MemoryStore):
    """Hears of departures only while it is to."""

    def __init__(self) -> None:
        super().__init__()
        self.hears = asyncio.Event()
        self.hears.set()

    async def commit(self, txn: Txn) -> Committed | Conflict:
        if any(key == KEYS.departure(name_of(OWNER)) for key, _ in txn.puts):
            await self.hears.wait()
        return await super().commit(txn)


@dataclass
class Rig:
    """A control plane's part for sidecars, a gate, and a sidecar of cell 1 behind a proxy."""

    claims: TransferStore
    follower: ClaimFollower
    store: Topology
    proxy: Proxy
    application: Application
    url: str
    session: aiohttp.ClientSession

    async def write(self, name: str = "acme") -> int:
        async with self.session.post(f"{self.url}/{name}/web", data=b"x") as answer:
            return answer.status

    async def transfer(self, patience: float) -> object:
        gate = DepartureGate(self.claims, self.store, KEYS, patience)
        wish = TransferWish(id=str(uuid.uuid4()), owners=((OWNER, 1),), from_cell=1, to_cell=2, reason="room")
        return await gate.transfer(wish, "ada", self.follower)

    async def owner(self) -> Owner | None:
        return await self.claims.owner(OWNER)

    async def until(self, status: int) -> None:
        async def so() -> bool:
            return await self.write() == status

        await eventually(so, f"a write to be answered {status}", LIMIT)


@pytest.fixture(params=["stored", pytest.param("postgresql", marks=NEEDS_POSTGRESQL)])
def database(request: pytest.FixtureRequest) -> PostgresServer | None:
    """Give what keeps the claims; None: the store of the topology."""
    if request.param == "stored":
        return None
    server: PostgresServer = request.getfixturevalue("postgresql")
    return server


@pytest.fixture
async def rig(database: PostgresServer | None, tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        store = Topology()
        rules = Document(kind="rules", name="current", body=document(PATH, reserved=["users"]), stamp=STAMP)
        puts = [(KEYS.cell(each), encode(cell(each))) for each in (1, 2)]
        await store.commit(Txn(puts=(*puts, (KEYS.document("rules", "current"), encode(rules)))))
        chosen = None
        if database is not None:
            address = Address(await database.schema())
            await migrate(Database(address))
            chosen = ClaimStoreSettings(address=address)
        opened = open_claims(chosen, store, KEYS)
        stack.push_async_callback(opened.close)
        claims = opened.store
        assert isinstance(claims, TransferStore)
        begun = await claims.begin(batch(1, ["acme"]), "CELL")
        assert isinstance(begun, Begun)
        await claims.commit(1, begun.lease.uuid, "CELL")
        follower, watcher, cache = ClaimFollower(claims), Watcher(store, KEYS), Cache()
        server = AdsServer(cache, classify, identifier="test")
        port = await server.start("127.0.0.1:0")
        stack.push_async_callback(server.stop)
        application = Application("application 1")
        application.port = await stack.enter_async_context(web_cell(application.answer))
        settings = SidecarSettings(
            listen_address="127.0.0.1",
            listen_port=free_port(),
            application=Endpoint(host="127.0.0.1", port=application.port),
        )
        part = Sidecars(settings, cache, server, store, SidecarKeys.beside(KEYS), "a")
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        works: list[Callable[[], Awaitable[None]]] = [lambda: watcher.run(part.seen), follower.run]
        running = [asyncio.ensure_future(work()) for work in works]
        running += [asyncio.ensure_future(work) for work in part.running()]
        running += opened.run(tasks)
        proxy = Proxy(f"127.0.0.1:{port}", tasks)
        await proxy.start()
        made = bootstrap(role="sidecar", cell_id=1, node_id="pod", xds_addresses=[proxy.endpoint])
        made["admin"]["address"]["socket_address"]["port_value"] = free_port()
        envoy = EnvoyProcess(made, tmp_path / "sidecar")
        await envoy.start(wait_ready=False)
        await envoy.ready(LIMIT)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await follower.reached(0)
        url = f"http://127.0.0.1:{settings.listen_port}"
        try:
            yield Rig(claims, follower, store, proxy, application, url, session)
        finally:
            await envoy.stop()
            await proxy.stop()
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def test_a_transfer_waits_for_a_sidecar_that_is_cut_off(rig: Rig) -> None:
    await rig.until(200)
    rig.proxy.stall()
    outcome = await rig.transfer(0.5)
    assert isinstance(outcome, Hindered)
    assert isinstance(outcome.obstacles[0], SidecarsBehind)
    assert await rig.write() == 200, "it may write on, for the owner is still here"
    assert await rig.owner() is None
    moving = asyncio.ensure_future(rig.transfer(LIMIT))
    rig.proxy.restore()
    assert isinstance(await moving, Transferred)
    taken = len(rig.application.seen)
    for _ in range(20):
        assert await rig.write() in (421, 423), "not one write from the moment of the transfer on"
    assert len(rig.application.seen) == taken
    await rig.until(421)
    assert await rig.write("web") == 200


async def test_what_it_acknowledged_it_refuses_however_long_it_is_cut_off(rig: Rig) -> None:
    await rig.until(200)
    assert isinstance(await rig.transfer(LIMIT), Transferred)
    rig.proxy.refuse()
    taken = len(rig.application.seen)
    for _ in range(20):
        assert await rig.write() in (421, 423)
    assert len(rig.application.seen) == taken


@pytest.mark.parametrize("database", [pytest.param("postgresql", marks=NEEDS_POSTGRESQL)], indirect=True)
async def test_until_the_topology_hears_of_it_writes_are_refused_and_nothing_lets_them_in(rig: Rig) -> None:
    """PostgreSQL commits first. What was announced stands till then, and a service that sweeps leaves it."""
    await rig.until(200)
    rig.store.hears.clear()
    outcome = await rig.transfer(LIMIT)
    assert isinstance(outcome, Transferred)
    taken = len(rig.application.seen)
    announcements = Announcements(rig.claims, rig.store, KEYS)
    await announcements.lift((OWNER,), outcome.transfer.id)
    for _ in range(10):
        assert await rig.write() == 423
    rig.store.hears.set()
    await rig.until(421)
    assert len(rig.application.seen) == taken


async def test_an_announcement_that_is_taken_back_stops_the_transfer(rig: Rig) -> None:
    """Between the last sidecar's word and the commit somebody lets the owner in again."""
    await rig.until(200)
    bucket = Bucket(BucketType.ROUTES, "acme")
    wish = TransferWish(id=str(uuid.uuid4()), owners=((OWNER, 1),), from_cell=1, to_cell=2, reason="room")
    announcements = Announcements(rig.claims, rig.store, KEYS)
    announced = await announcements.announce(wish, "ada", (bucket,))
    assert not isinstance(announced, Hindered)
    await rig.until(423)
    await announcements.lift((OWNER,), wish.id)
    fenced = replace(wish, fenced=frozenset((bucket,)), fence=announced[0])
    assert await rig.claims.transfer(fenced, "ada", rig.follower) == Hindered((FenceLifted(OWNER),))
    assert await rig.owner() is None
    await rig.until(200)
    assert isinstance(await rig.transfer(LIMIT), Transferred), "another one is not hindered by it"
    await rig.until(421)
