"""A sidecar that is cut off while an owner leaves its cell: the transfer waits, no write is taken twice."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from cellplane.identities import classify
from cellplane.sidecars import Sidecars
from envoy.bootstrap import bootstrap
from envoy.sidecar import SidecarSettings
from tests.envoy.owners_rig import PATH
from tests.envoy.rule_documents import document
from tests.envoy.sidecar_rig import Application
from tests.envoy_process import EnvoyProcess
from tests.faults.proxy import Proxy
from tests.processes import eventually, free_port
from tests.protocols.cells import web_cell
from tests.topology.claims.samples import OWNER, batch
from tests.topology.samples import STAMP, cell
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.owners import Owner
from topology.claims.store import Begun
from topology.claims.stored import StoredClaims
from topology.claims.transfer import Hindered, Transferred, TransferWish
from topology.claims.transfer_obstacles import SidecarsBehind
from topology.codec import encode
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Document, Endpoint
from topology.service.departure_gate import DepartureGate
from topology.sidecars import SidecarKeys
from topology.store import Txn
from topology.watcher import Watcher
from xds.cache import Cache
from xds.server import AdsServer

KEYS = Keyspace("/fence")
LIMIT = 60.0


@dataclass
class Rig:
    """A control plane's part for sidecars, a gate, and a sidecar of cell 1 behind a proxy."""

    claims: StoredClaims
    follower: ClaimFollower
    store: MemoryStore
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


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        store = MemoryStore()
        rules = Document(kind="rules", name="current", body=document(PATH, reserved=["users"]), stamp=STAMP)
        puts = [(KEYS.cell(each), encode(cell(each))) for each in (1, 2)]
        await store.commit(Txn(puts=(*puts, (KEYS.document("rules", "current"), encode(rules)))))
        claims = StoredClaims(store, ClaimKeyspace.beside(KEYS))
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
