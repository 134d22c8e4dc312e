"""A real Envoy loses its replica while a cluster warms: it asks another one for routes before clusters, and
gets those that name new clusters only once it has these. One that has clusters of its own never asks, and is
not kept waiting for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from pb.envoy.config.cluster.v3 import cluster_pb2
from tests.conftest import StartEnvoy
from tests.conversation import Variant
from tests.integration.real_configuration import bootstrap, cluster, endpoints, listener, routes
from tests.integration.test_xds_envoy import (
    ControlPlane,
    answers,
    constant_requests,
    control_plane,
    each_variant,
    grown,
    nothing_was_missed,
    upstreams,
)
from tests.processes import eventually
from xds.relations import WARMING_SECONDS
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource, ResourceType

__all__ = ["control_plane", "upstreams"]


def checked_cluster(name: str) -> Resource:
    """Make a cluster that warms until its hosts have been found to be healthy."""
    message = cluster_pb2.Cluster.FromString(cluster(name).body)
    check = message.health_checks.add()
    check.timeout.seconds = check.interval.seconds = 60
    check.healthy_threshold.value = check.unhealthy_threshold.value = 1
    check.http_health_check.path = "/health"
    return Resource.of(CLUSTER, name, message, [(ENDPOINT, name)])


@asynccontextmanager
async def slow_upstream(port: int) -> AsyncIterator[asyncio.Event]:
    """Serve an upstream that answers, also to health checks, once the event is set."""
    may_answer = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await may_answer.wait()
        return web.Response(text=str(port))

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield may_answer
    finally:
        may_answer.set()
        await runner.cleanup()


def with_replica(started: dict[str, Any], port: int) -> dict[str, Any]:
    """Let an Envoy know a second replica."""
    (found,) = started["static_resources"]["clusters"][0]["load_assignment"]["endpoints"]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    found["lb_endpoints"].append({"endpoint": {"address": address}})
    return started


async def comes_and_asks(plane: ControlPlane, *kinds: ResourceType) -> None:
    """Wait until Envoy has come to this replica, has asked for these types, and has all its endpoints."""

    async def asked() -> bool:
        found = plane.node()
        return found is not None and {*kinds} <= found.types.keys() and found.types[ENDPOINT].acks > 0

    await eventually(asked, "Envoy to come to the other replica and ask", within=30.0)


@each_variant
async def test_rule_6_and_49_routes_wait_for_clusters_that_envoy_cannot_ask_for_yet(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    a, b, _ = upstreams
    port, slow_port = free_port(), free_port()
    # For it no time passes, however slow the machine is: it would not wait for clusters for ever.
    other = ControlPlane(port=free_port(), now=lambda: 1000.0)
    base = [cluster("a"), endpoints("a", a), listener("one", port, "r")]
    slow = [checked_cluster("slow"), endpoints("slow", slow_port)]
    revision = control_plane.publish(*base, routes("r", "a"))
    process = await envoy(with_replica(bootstrap(variant, control_plane.port), other.port))
    await control_plane.settled(revision, within=30.0)
    await answers(port, a)
    async with slow_upstream(slow_port) as may_answer, constant_requests(port) as seen:
        control_plane.publish(*base, *slow, routes("r", "a"))
        await process.until_stat("cluster_manager.warming_clusters", 1)
        await control_plane.stop()
        revision = other.publish(*base, *slow, cluster("b"), endpoints("b", b), routes("r", "b"))
        await other.start()
        try:
            await comes_and_asks(other, ENDPOINT, LISTENER, ROUTE)
            await eventually(grown(seen, len(seen) + 20), "requests while the cluster warms")
            found = other.node()
            assert found is not None
            assert CLUSTER not in found.types, "Envoy asks for clusters while one warms: this shows nothing"
            assert found.types[ROUTE].resources_sent == 0
            assert {text for _, text in seen} == {str(a)}
            may_answer.set()
            await other.settled(revision, within=30.0)
            await answers(port, b)
        finally:
            await other.stop()
    assert {status for status, _ in seen} == {200}
    assert await process.stat("http.tests.no_cluster") == 0
    await nothing_was_missed(process)


@each_variant
async def test_rule_6_who_has_clusters_of_its_own_is_not_kept_waiting(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    a, b, _ = upstreams
    port = free_port()
    base = [cluster("a"), cluster("b"), endpoints("a", a), endpoints("b", b), listener("one", port, "r")]
    control_plane.publish(*base, routes("r", "a"))
    started = bootstrap(variant, control_plane.port)
    del started["dynamic_resources"]["cds_config"]
    source = {"ads": {}, "resource_api_version": "V3"}
    started["static_resources"]["clusters"] += [
        {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": source}} for name in ("a", "b")
    ]
    process = await envoy(started)
    await answers(port, a)
    # It comes to another replica that has news for it. Until it is sure that no cluster warms, it waits.
    other = ControlPlane(port=control_plane.port)
    await control_plane.stop()
    revision = other.publish(*base, routes("r", "b"))
    await other.start()
    try:
        await comes_and_asks(other, ENDPOINT, LISTENER, ROUTE)
        other.elapse(WARMING_SECONDS)
        await other.settled(revision, within=30.0)
        await answers(port, b)
    finally:
        await other.stop()
    await nothing_was_missed(process)
