"""A Topology Service in this process, and clients of it: what the tests of the services play on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import grpc
import grpc.aio
import trustme
from google.rpc import error_details_pb2, status_pb2

from pb.cellplane.topology.v1 import (
    cells_pb2_grpc,
    claims_watch_pb2_grpc,
    documents_pb2_grpc,
    moves_pb2_grpc,
    placement_pb2_grpc,
    transfer_pb2_grpc,
)
from pb.gitlab.cells.topology_service import (
    cell_service_pb2_grpc,
    classify_service_pb2_grpc,
    health_service_pb2_grpc,
)
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2_grpc as claims_grpc
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.stored import StoredClaims
from topology.codec import encode
from topology.keys import Keyspace
from topology.model import Cell
from topology.service.documents_service import Writers
from topology.service.gate import Around
from topology.service.identity import NO_MORE_NAMES, Names
from topology.service.move_planner import NO_PORTS, MovePorts
from topology.service.places import NO_LIMIT, CallLimit
from topology.service.server import TopologyServer
from topology.service.server_options import DEFAULT_OPTIONS, ServerOptions
from topology.service.sources import Sources
from topology.store import Committed, Store, Txn
from topology.watcher import Backoff, Watcher

EAGER = Backoff(first_seconds=0.01, most_seconds=0.05)


@dataclass
class Client:
    """Stubs of all services on one channel."""

    channel: grpc.aio.Channel

    def __post_init__(self) -> None:
        self.classify = classify_service_pb2_grpc.ClassifyServiceStub(self.channel)
        self.cell = cell_service_pb2_grpc.CellServiceStub(self.channel)
        self.health = health_service_pb2_grpc.HealthServiceStub(self.channel)
        self.claims = claims_grpc.ClaimServiceStub(self.channel)
        self.cells = cells_pb2_grpc.CellServiceStub(self.channel)
        self.transfers = transfer_pb2_grpc.TransferServiceStub(self.channel)
        self.moves = moves_pb2_grpc.MoveServiceStub(self.channel)
        self.placements = placement_pb2_grpc.PlacementServiceStub(self.channel)
        self.claim_watch = claims_watch_pb2_grpc.ClaimWatchServiceStub(self.channel)
        self.documents = documents_pb2_grpc.DocumentServiceStub(self.channel)


@dataclass
class Stage:
    """The service with its parts, and what a test does to them."""

    store: Store
    keyspace: Keyspace
    server: TopologyServer
    follower: ClaimFollower
    watcher: Watcher
    port: int
    authority: trustme.CA | None = None
    around: Around | None = None
    _channels: list[grpc.aio.Channel] = field(default_factory=list)

    def client(self, common_name: str = "") -> Client:
        """Connect, with a certificate for a common name where the server asks for one."""
        target = f"localhost:{self.port}"
        if self.authority is None:
            channel = grpc.aio.insecure_channel(target)
        else:
            leaf = self.authority.issue_cert("client.test", common_name=common_name or None)
            credentials = grpc.ssl_channel_credentials(
                self.authority.cert_pem.bytes(), leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
            )
            channel = grpc.aio.secure_channel(target, credentials)
        self._channels.append(channel)
        return Client(channel)

    async def put(self, *cells: Cell) -> int:
        """Write cells past the service, and wait until it has seen them."""
        puts = tuple((self.keyspace.cell(cell.id), encode(cell)) for cell in cells)
        outcome = await self.store.commit(Txn(puts=puts))
        assert isinstance(outcome, Committed)
        async with asyncio.timeout(5):
            while self.watcher.view is None or self.watcher.view.revision < outcome.revision:
                await asyncio.sleep(0.002)
        return outcome.revision

    async def caught_up(self) -> None:
        """Wait until the service knows every claim that is committed by now."""
        revision = (await self.store.list(self.keyspace.root)).revision
        async with asyncio.timeout(5):
            while self.follower.index.cursor < revision:
                listing = await self.store.list(ClaimKeyspace.beside(self.keyspace).root)
                if all(record.mod_revision <= self.follower.index.cursor for record in listing.records):
                    return
                await asyncio.sleep(0.002)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


@asynccontextmanager
async def playing(
    store: Store,
    keyspace: Keyspace,
    cells: tuple[Cell, ...] = (),
    *,
    verified: bool = False,
    follow: bool = True,
    writers: Writers = MappingProxyType({}),
    names: Names = NO_MORE_NAMES,
    around: Around | None = None,
    move_ports: MovePorts = NO_PORTS,
    limit: CallLimit = NO_LIMIT,
    options: ServerOptions = DEFAULT_OPTIONS,
) -> AsyncIterator[Stage]:
    """Run a service on a store."""
    claims = StoredClaims(store, ClaimKeyspace.beside(keyspace))
    watcher, follower = Watcher(store, keyspace, backoff=EAGER), ClaimFollower(claims, backoff=EAGER)
    sources = Sources(
        lambda: watcher.view, follower, lambda: watcher.state.connected, watcher.reached, watcher.listen
    )
    server = TopologyServer(
        sources,
        claims,
        store,
        keyspace,
        writers=writers,
        names=names,
        options=replace(options, around=around, limit=limit),
        move_ports=move_ports,
    )
    authority = trustme.CA() if verified else None
    credentials = None
    if authority is not None:
        leaf = authority.issue_cert("localhost")
        credentials = grpc.ssl_server_credentials(
            [(leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes())],
            authority.cert_pem.bytes(),
            require_client_auth=True,
        )
    port = await server.start("localhost:0", credentials, verified=verified)
    stage = Stage(store, keyspace, server, follower, watcher, port, authority, around)
    async with asyncio.TaskGroup() as tasks:
        running = []
        if follow:
            running = [tasks.create_task(watcher.run(lambda _: None)), tasks.create_task(follower.run())]
            async with asyncio.timeout(5):
                await follower.reached(0)
                while watcher.view is None:
                    await asyncio.sleep(0.002)
            server.refresh_health()
        try:
            if cells:
                await stage.put(*cells)
            yield stage
        finally:
            await stage.close()
            await server.stop(0.5)
            for task in running:
                task.cancel()


@dataclass
class Failed:
    """What a call ended with."""

    code: grpc.StatusCode
    words: str
    info: error_details_pb2.ErrorInfo
    retry: bool
    fields: dict[str, str]


async def drained(call: Any) -> None:
    """Read a stream to its end."""
    while await call.read() is not grpc.aio.EOF:
        pass


async def failure(call: Awaitable[object]) -> Failed:
    """Expect a call to fail, and take its error apart."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        raw = trailers.get("grpc-status-details-bin", b"")
        status = status_pb2.Status.FromString(raw if isinstance(raw, bytes) else raw.encode())
        info, retry, fields = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), {}
        bad = error_details_pb2.BadRequest()
        waits = False
        for detail in status.details:
            detail.Unpack(info)
            waits |= detail.Unpack(retry)
            if detail.Unpack(bad):
                fields = {each.field: each.description for each in bad.field_violations}
        return Failed(error.code(), error.details() or "", info, waits, fields)
    raise AssertionError("the call succeeded")
