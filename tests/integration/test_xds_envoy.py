"""The xDS server against a real Envoy, over Delta and SotW: it takes every snapshot, and no request fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from tests.conftest import StartEnvoy
from tests.conversation import Variant
from tests.envoy_process import EnvoyProcess
from tests.integration.real_configuration import (
    NODE,
    bad_cluster,
    bootstrap,
    cluster,
    endpoints,
    listener,
    routes,
)
from tests.processes import eventually
from xds.cache import Cache, Published
from xds.node_status import NodeStatus
from xds.nodes import Identity, Node
from xds.options import ServerOptions
from xds.resource import CLUSTER, LISTENER, Resource
from xds.server import AdsServer
from xds.snapshot import Snapshot

each_variant = pytest.mark.parametrize("variant", ["delta", "sotw"])
GRACE_SECONDS = 0.3


def group_of(_node: Node, _identity: Identity | None) -> str:
    return "group"


@dataclass
class ControlPlane:
    """A server on a port that stays, and what it publishes."""

    port: int = 0
    revision: int = 0
    cache: Cache = field(default_factory=Cache)
    server: AdsServer | None = None
    now: Callable[[], float] = time.monotonic
    ahead_seconds: float = 0.0

    async def start(self) -> None:
        options = ServerOptions(removal_grace_seconds=GRACE_SECONDS)
        self.server = AdsServer(self.cache, group_of, identifier="tests", options=options, clock=self.clock)
        self.port = await self.server.start(f"127.0.0.1:{self.port}")

    def clock(self) -> float:
        return self.now() + self.ahead_seconds

    def elapse(self, seconds: float) -> None:
        """Let time pass for the server alone, and everybody look at the clock."""
        self.ahead_seconds += seconds
        assert self.server is not None, "the server was stopped"
        self.server.holds.changed("group")

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(0.2)
            self.server = None

    def publish(self, *resources: Resource) -> int:
        self.revision += 1
        assert isinstance(self.cache.publish("group", Snapshot.of(self.revision, resources)), Published)
        return self.revision

    def node(self) -> NodeStatus | None:
        assert self.server is not None, "the server was stopped"
        return self.server.fleet.node(NODE)

    async def settled(self, revision: int, within: float = 10.0) -> NodeStatus:
        """Wait until Envoy has acknowledged all of a revision."""

        async def look() -> bool:
            node = self.node()
            return node is not None and node.settled_revision >= revision

        await eventually(look, f"revision {revision} to be settled", within)
        node = self.node()
        assert node is not None
        return node


@dataclass
class Upstreams:
    """Local HTTP servers that answer with their number."""

    stack: AsyncExitStack
    ports: list[int] = field(default_factory=list)

    async def add(self, free_port: Callable[[], int]) -> int:
        port = free_port()

        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=str(port))

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.ports.append(port)
        return port


@pytest.fixture
async def upstreams(free_port: Callable[[], int]) -> AsyncIterator[list[int]]:
    """Ports of three servers that answer with their port."""
    async with AsyncExitStack() as stack:
        servers = Upstreams(stack)
        for _ in range(3):
            await servers.add(free_port)
        yield servers.ports


@pytest.fixture
async def control_plane() -> AsyncIterator[ControlPlane]:
    plane = ControlPlane()
    await plane.start()
    try:
        yield plane
    finally:
        await plane.stop()


async def get(port: int) -> tuple[int, str]:
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://127.0.0.1:{port}/") as response,
    ):
        return response.status, await response.text()


async def answers(port: int, upstream: int) -> None:
    """Wait until a listener answers from this upstream: Envoy listens a moment after it acknowledged."""

    async def look() -> bool:
        try:
            return await get(port) == (200, str(upstream))
        except aiohttp.ClientError:
            return False

    await eventually(look, f"an answer of {upstream} on {port}")


async def nothing_was_missed(process: EnvoyProcess) -> None:
    """No warming cluster had to fall back to what it knew, nothing was rejected, nothing timed out."""
    stats = await process.stats("assignment_use_cached|update_rejected|init_fetch_timeout")
    assert stats, "Envoy tells no statistics"
    assert not {name: value for name, value in stats.items() if value}


@each_variant
async def test_every_listener_answers_after_each_snapshot(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    a, b, c = upstreams
    one, two = free_port(), free_port()
    base = [cluster("a"), endpoints("a", a), listener("one", one, "r1"), routes("r1", "a")]
    control_plane.publish(*base)
    process = await envoy(bootstrap(variant, control_plane.port))
    with_two = [cluster("b"), endpoints("b", b), listener("two", two, "r2"), routes("r2", "b")]
    # Each row: what is published, and which listener answers from where.
    steps: list[tuple[list[Resource], dict[int, int]]] = [
        (base, {one: a}),
        ([*base, *with_two], {one: a, two: b}),
        # Endpoints move.
        ([*base, cluster("b"), endpoints("b", c), *with_two[2:]], {one: a, two: c}),
        # A cluster changes, its endpoints don't: it warms, and must get them again.
        ([cluster("a", 2000), *base[1:], *with_two], {one: a, two: b}),
        # A cluster and its endpoints change.
        ([cluster("a", 3000), endpoints("a", c), *base[2:], *with_two], {one: c, two: b}),
        # A listener changes, its routes don't.
        ([*base[:2], listener("one", one, "r1", "other"), base[3], *with_two], {one: a, two: b}),
        # Routes move to a cluster that comes along with them, and the old one goes.
        (
            [cluster("c"), endpoints("c", c), listener("one", one, "r1"), routes("r1", "c"), *with_two],
            {one: c, two: b},
        ),
        # One listener is fed by the routes of another, and one goes.
        ([*with_two, listener("one", one, "r2")], {one: b, two: b}),
        (with_two, {two: b}),
    ]
    for resources, expected in steps:
        revision = control_plane.publish(*resources)
        await control_plane.settled(revision)
        for port, upstream in expected.items():
            await answers(port, upstream)
        await nothing_was_missed(process)
    # The listener's old routes name c until its old connections are drained, which takes Envoy ten minutes.
    assert set(await process.clusters()) == {"xds", "b", "c"}


@each_variant
async def test_rule_25_a_bad_cluster_is_rejected_once_and_the_rest_arrives(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    a, b, _ = upstreams
    port, other = free_port(), free_port()
    base = [cluster("a"), endpoints("a", a), listener("one", port, "r1"), routes("r1", "a")]
    control_plane.publish(*base)
    process = await envoy(bootstrap(variant, control_plane.port))
    more = [cluster("b"), endpoints("b", b), listener("two", other, "r2"), routes("r2", "b")]
    control_plane.publish(*base, *more, bad_cluster("bad"), endpoints("bad", b))
    await answers(other, b)
    await answers(port, a)
    node = control_plane.node()
    assert node is not None
    # Ten seconds of repeated sending would be thousands of rejections; after a round of changes there is
    # one still.
    control_plane.publish(
        *base[:1], endpoints("a", b), *base[2:], *more, bad_cluster("bad"), endpoints("bad", b)
    )
    await answers(port, b)
    status = node.types[CLUSTER]
    assert status.nacks == 1
    assert status.last_nack is not None
    assert status.last_nack.names == ("bad",)
    assert "bad" in status.last_nack.message
    assert await process.stat("cluster_manager.cds.update_rejected") == 1
    # It gets well, and is there.
    revision = control_plane.publish(*base, *more, cluster("bad"), endpoints("bad", b))
    await control_plane.settled(revision)
    assert "bad" in await process.clusters()
    assert status.nacks == 1


@each_variant
async def test_rule_8_and_41_a_restarted_server_sends_nothing_that_is_current(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    a, b, _ = upstreams
    port = free_port()
    base = [cluster("a"), endpoints("a", a), listener("one", port, "r1"), routes("r1", "a")]
    revision = control_plane.publish(*base, cluster("b"), endpoints("b", b))
    process = await envoy(bootstrap(variant, control_plane.port))
    await control_plane.settled(revision)
    await control_plane.stop()
    await answers(port, a)
    # A new server knows nothing of the old one; it makes its snapshot anew.
    control_plane.cache = Cache()
    await control_plane.start()
    revision = control_plane.publish(*base, cluster("b"), endpoints("b", b))

    async def all_asked() -> bool:
        node = control_plane.node()
        return node is not None and len(node.types) == 4

    await eventually(all_asked, "Envoy to come back and ask for all types", within=20.0)
    node = await control_plane.settled(revision)
    assert {kind.name: status.resources_sent for kind, status in node.types.items()} == {
        "cluster": 0,
        "endpoint": 0,
        "listener": 0,
        "route": 0,
    }
    # Changes arrive over the new stream, and only they.
    revision = control_plane.publish(*base, cluster("b"), endpoints("b", a))
    node = await control_plane.settled(revision)
    assert sum(status.resources_sent for status in node.types.values()) == 1
    await nothing_was_missed(process)


@each_variant
async def test_rule_49_and_53_no_request_fails_while_clusters_come_and_go(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    a, b, _ = upstreams
    port = free_port()
    here = [cluster("a"), endpoints("a", a), listener("one", port, "r1"), routes("r1", "a")]
    there = [cluster("b"), endpoints("b", b), listener("one", port, "r1"), routes("r1", "b")]
    revision = control_plane.publish(*here)
    process = await envoy(bootstrap(variant, control_plane.port))
    await control_plane.settled(revision)
    await answers(port, a)
    async with constant_requests(port) as seen:
        for resources in (there, here, there, here):
            revision = control_plane.publish(*resources)
            before = len(seen)
            node = await control_plane.settled(revision)
            assert node.types[LISTENER].nacks == 0
            await eventually(grown(seen, before + 20), "requests after the change")
    assert {status for status, _ in seen} == {200}
    assert {text for _, text in seen} == {str(a), str(b)}
    await nothing_was_missed(process)
    assert await process.stat("http.tests.no_cluster") == 0


@asynccontextmanager
async def constant_requests(port: int) -> AsyncIterator[list[tuple[int, str]]]:
    """Send one request after the other on two connections while the block runs; collect what comes back."""
    seen: list[tuple[int, str]] = []
    stop = asyncio.Event()

    async def one_connection() -> None:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not stop.is_set():
                async with session.get(f"http://127.0.0.1:{port}/") as response:
                    seen.append((response.status, await response.text()))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(one_connection())
        try:
            yield seen
        finally:
            stop.set()


def grown(seen: list[tuple[int, str]], length: int) -> Callable[[], Awaitable[bool]]:
    """Tell whether so many requests were answered."""

    async def look() -> bool:
        return len(seen) >= length

    return look
