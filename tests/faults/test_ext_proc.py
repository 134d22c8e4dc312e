"""ext-proc is killed and frozen while requests flow: the remembered and the self-evident notice nothing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from envoy.edge import EdgeSettings, Lookups
from tests.envoy.edge_rig import Edge, running_edge, view_of
from tests.envoy.owners_rig import cells, owner_rules, said
from tests.etcd_server import EtcdServer
from tests.owner_servers import claim, owner_server
from tests.processes import Child, eventually
from tests.topology.claims.samples import route
from topology.model import Endpoint

NAMES = 600
OWNER = 3
COOKIE = ("cookie", "_gitlab_session=cell-2-0123")


@dataclass
class Traffic:
    """An edge, its replicas, and names that nobody asked for yet."""

    edge: Edge
    replicas: list[Child]
    fresh: Iterator[int] = field(default_factory=lambda: iter(range(1, NAMES)))
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    async def remembered(self) -> None:
        await self._send("remembered", "/own-0", ())

    async def self_evident(self) -> None:
        await self._send("self-evident", "/users/sign_in", (COOKIE,))

    async def unknown(self) -> None:
        await self._send("unknown", f"/own-{next(self.fresh)}", ())

    async def flow(self, until: asyncio.Event) -> None:
        """Send all three, one of each at a time, until told to stop."""
        while not until.is_set():
            await asyncio.gather(self.remembered(), self.self_evident(), self.unknown())

    async def _send(self, kind: str, path: str, headers: tuple[tuple[str, str], ...]) -> None:
        before = time.monotonic()
        self.answers[kind, said(await self.edge.send(path, *headers))] += 1
        if kind == "unknown":
            self.seconds.append(time.monotonic() - before)

    def of(self, kind: str) -> set[str]:
        return {answer for each, answer in self.answers if each == kind}

    async def healthy(self, count: int) -> None:
        async def look() -> bool:
            return await self.edge.envoy.stat("cluster.ext-proc.membership_healthy") == count

        await eventually(look, f"{count} healthy servers")


@pytest.fixture
async def owned(etcd: EtcdServer, etcd_prefix: str) -> str:
    """Claim the names for one cell, and give the prefix of their keys."""
    await claim(etcd.endpoint, etcd_prefix, {route(f"own-{at}"): OWNER for at in range(NAMES)})
    return etcd_prefix


@asynccontextmanager
async def flowing(
    etcd: EtcdServer, prefix: str, folder: Path, port: Callable[[], int], count: int, timeout_seconds: float
) -> AsyncIterator[Traffic]:
    """Start replicas and an edge that knows one of the names already."""
    async with AsyncExitStack() as stack:
        places, replicas = [], []
        for _ in range(count):
            server = owner_server(stack, folder, etcd.endpoint, prefix)
            await server.child.ready(server.is_ready)
            places.append(Endpoint(host="127.0.0.1", port=server.port))
            replicas.append(server.child)
        settings = EdgeSettings(
            listen_address="127.0.0.1",
            listen_port=port(),
            health_check_path="",
            lookups=Lookups(endpoints=tuple(places), timeout_seconds=timeout_seconds),
        )
        rules = owner_rules({"undecided": 503})
        edge = await stack.enter_async_context(running_edge(folder, (1, 2, 3, 4, 5), rules, settings))
        await edge.publish(view_of(*cells(edge)))
        await edge.envoy.ready()
        traffic = Traffic(edge, replicas)
        await traffic.healthy(count)

        async def first() -> bool:
            return said(await edge.send("/own-0")) == f"path {OWNER}"

        await eventually(first, "the first owner")
        yield traffic


@asynccontextmanager
async def under_way(traffic: Traffic) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(traffic.flow(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def more(traffic: Traffic, requests: int) -> None:
    wanted = len(traffic.seconds) + requests

    async def sent() -> bool:
        return len(traffic.seconds) >= wanted

    await eventually(sent, f"{requests} more requests", within=20)


async def test_a_replica_that_is_killed_loses_no_request(
    etcd: EtcdServer, owned: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async with flowing(etcd, owned, tmp_path, free_port, count=2, timeout_seconds=0.9) as traffic:
        async with under_way(traffic):
            await more(traffic, 20)
            await traffic.replicas[0].kill()
            await more(traffic, 40)
            await traffic.healthy(1)
        assert traffic.of("unknown") == {f"path {OWNER}"}, traffic.answers
        assert traffic.of("remembered") == {f"path {OWNER}"}
        assert traffic.of("self-evident") == {"session 2"}


async def test_servers_that_hang_are_noticed_by_those_alone_whom_nobody_knows(
    etcd: EtcdServer, owned: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async with flowing(etcd, owned, tmp_path, free_port, count=1, timeout_seconds=0.025) as traffic:
        traffic.replicas[0].pause()
        before = await traffic.edge.envoy.stat("cluster.ext-proc.upstream_rq_total")
        async with under_way(traffic):
            await more(traffic, 60)
        asked = await traffic.edge.envoy.stat("cluster.ext-proc.upstream_rq_total") - before
        assert traffic.of("remembered") == {f"path {OWNER}"}, traffic.answers
        assert traffic.of("self-evident") == {"session 2"}
        assert traffic.of("unknown") == {"path status 503"}
        assert asked <= 10, f"{asked} of 60 requests were made to wait"
        traffic.replicas[0].resume()

        async def back() -> bool:
            return said(await traffic.edge.send(f"/own-{next(traffic.fresh)}")) == f"path {OWNER}"

        await eventually(back, "owners to be told again")
