"""On demand, with a real Envoy: virtual hosts by alias, clusters by name; what is not there is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import aiohttp
from google.protobuf.json_format import ParseDict

from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.config.route.v3 import route_components_pb2, route_pb2
from pb.envoy.extensions.filters.http.on_demand.v3 import on_demand_pb2  # noqa: F401  known to ParseDict by it
from pb.envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401
from tests.conftest import StartEnvoy
from tests.integration.real_configuration import bootstrap, cluster, endpoints
from tests.integration.test_xds_envoy import ControlPlane, control_plane, upstreams
from tests.processes import eventually
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST, Resource

__all__ = ["control_plane", "upstreams"]

ADS = {"ads": {}, "resource_api_version": "V3"}
ON_DEMAND = "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
AT_ONCE_SECONDS = 2.0
"""Envoy's own patience is 5 s for clusters and 15 s for virtual hosts."""


def listener(port: int, on_demand: dict[str, Any]) -> Resource:
    manager = {
        "@type": MANAGER,
        "stat_prefix": "tests",
        "rds": {"route_config_name": "r", "config_source": ADS},
        "http_filters": [
            {"name": "on_demand", "typed_config": {"@type": ON_DEMAND, **on_demand}},
            {"name": "router", "typed_config": {"@type": ROUTER}},
        ],
    }
    message = ParseDict(
        {
            "name": "l",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        },
        listener_pb2.Listener(),
    )
    return Resource.of(LISTENER, "l", message, [(ROUTE, "r")])


async def get(port: int, host: str = "any.test", **headers: str) -> tuple[int, str, float]:
    """Return status, body and how long it took."""
    began = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://127.0.0.1:{port}/", headers={"host": host, **headers}) as response,
    ):
        return response.status, await response.text(), time.monotonic() - began


async def listens(port: int) -> None:
    async def look() -> bool:
        try:
            await get(port, "nobody.test")
        except aiohttp.ClientError:
            return False
        return True

    await eventually(look, f"a listener on {port}", within=10.0)


def route_by_header() -> Resource:
    """Make a route configuration in which each request names its cluster."""
    by_header = {"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster"}}
    message = ParseDict(
        {"name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [by_header]}]},
        route_pb2.RouteConfiguration(),
    )
    return Resource.of(ROUTE, "r", message, [])


def virtual_host(name: str, cluster_name: str, *domains: str) -> Resource:
    message = ParseDict(
        {
            "name": f"r/{name}",
            "domains": list(domains),
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster_name}}],
        },
        route_components_pb2.VirtualHost(),
    )
    aliases = [f"r/{domain}" for domain in domains]
    return Resource.of(VIRTUAL_HOST, f"r/{name}", message, [(CLUSTER, cluster_name)], aliases=aliases)


async def test_rule_47_and_63_virtual_hosts_come_by_alias_and_what_is_none_gets_404_at_once(
    control_plane: ControlPlane, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    a, b, _ = upstreams
    port = free_port()
    route = ParseDict({"name": "r", "vhds": {"config_source": ADS}}, route_pb2.RouteConfiguration())
    base = [cluster("a"), endpoints("a", a), cluster("b"), endpoints("b", b), listener(port, {})]
    base.append(Resource.of(ROUTE, "r", route, []))
    one = virtual_host("one", "a", "one.test", "uno.test")
    control_plane.publish(*base, one)
    began = time.monotonic()
    process = await envoy(bootstrap("delta", control_plane.port))
    await listens(port)
    # Nothing was asked for yet, and the listener is not kept waiting for that.
    assert time.monotonic() - began < 10.0
    for host in ("one.test", "uno.test"):
        status, text, seconds = await get(port, host)
        assert (status, text) == (200, str(a))
        assert seconds < AT_ONCE_SECONDS
    status, _, seconds = await get(port, "late.test")
    assert status == 404
    assert seconds < AT_ONCE_SECONDS
    # It comes to be, changes, and goes.
    control_plane.publish(*base, one, virtual_host("late", "a", "late.test"))
    await _answers(port, "late.test", (200, str(a)))
    control_plane.publish(*base, one, virtual_host("late", "b", "late.test"))
    await _answers(port, "late.test", (200, str(b)))
    revision = control_plane.publish(*base, one)
    await _answers(port, "late.test", (404, ""))
    # Who reconnects asks for the aliases again, and nothing that it has is sent again.
    await control_plane.settled(revision)
    await control_plane.stop()
    await control_plane.start()
    node = await control_plane.settled(revision, within=20.0)
    await _answers(port, "one.test", (200, str(a)))
    assert node.types[CLUSTER].resources_sent == 0
    assert await process.stat("control_plane.connected_state") == 1


async def test_rule_61_clusters_come_by_name_and_what_is_none_gets_503_at_once(
    control_plane: ControlPlane, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    a, _, _ = upstreams
    port = free_port()
    base = [listener(port, {"odcds": {"source": ADS}}), route_by_header()]
    control_plane.publish(*base, cluster("lazy"), endpoints("lazy", a), cluster("idle"), endpoints("idle", a))
    start = bootstrap("delta", control_plane.port)
    del start["dynamic_resources"]["cds_config"]
    process = await envoy(start)
    await listens(port)
    assert "lazy" not in await process.clusters()
    status, text, seconds = await get(port, **{"x-cluster": "lazy"})
    assert (status, text) == (200, str(a))
    assert seconds < AT_ONCE_SECONDS
    status, _, seconds = await get(port, **{"x-cluster": "gone"})
    assert status == 503
    assert seconds < AT_ONCE_SECONDS
    # What nobody asked for was not sent.
    assert "idle" not in await process.clusters()
    # A name that was not there is remembered.
    revision = control_plane.publish(
        *base, *(one for name in ("lazy", "gone") for one in (cluster(name), endpoints(name, a)))
    )
    await control_plane.settled(revision)
    assert (await get(port, **{"x-cluster": "gone"}))[:2] == (200, str(a))


async def test_rule_62_and_46_a_lazy_cluster_comes_beside_a_wildcard_that_leaves_it_out(
    control_plane: ControlPlane, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    a, b, _ = upstreams
    port = free_port()
    lazy = Resource.of(CLUSTER, "lazy", cluster("lazy").body, [(ENDPOINT, "lazy")], lazy=True)
    idle = Resource.of(CLUSTER, "idle", cluster("idle").body, [(ENDPOINT, "idle")], lazy=True)
    base = [listener(port, {"odcds": {"source": ADS}}), route_by_header(), cluster("a"), endpoints("a", a)]
    everything = [*base, lazy, endpoints("lazy", b), idle, endpoints("idle", b)]
    control_plane.publish(*everything)
    process = await envoy(bootstrap("delta", control_plane.port))
    await listens(port)
    assert set(await process.clusters()) == {"xds", "a"}
    assert (await get(port, **{"x-cluster": "a"}))[:2] == (200, str(a))
    status, text, seconds = await get(port, **{"x-cluster": "lazy"})
    assert (status, text) == (200, str(b))
    assert seconds < AT_ONCE_SECONDS
    # It comes back to another server and names what it had fetched; nothing is sent again, nothing is lost.
    await control_plane.stop()
    await control_plane.start()
    revision = control_plane.publish(*everything)

    async def back() -> bool:
        found = control_plane.node()
        return found is not None and len(found.types) == 4

    await eventually(back, "Envoy to come back", within=20.0)
    node = await control_plane.settled(revision)
    assert (node.types[CLUSTER].resources_sent, node.types[CLUSTER].removals_sent) == (0, 0)
    assert set(await process.clusters()) == {"xds", "a", "lazy"}
    # It moves, and the request follows; of the other one nothing was ever sent.
    await control_plane.settled(control_plane.publish(*base, lazy, endpoints("lazy", a)))
    assert (await get(port, **{"x-cluster": "lazy"}))[:2] == (200, str(a))
    assert (await get(port, **{"x-cluster": "idle"}))[0] == 503


async def test_rule_47_an_alias_moves_from_one_virtual_host_to_another(
    control_plane: ControlPlane, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    a, b, _ = upstreams
    port = free_port()
    route = ParseDict({"name": "r", "vhds": {"config_source": ADS}}, route_pb2.RouteConfiguration())
    base = [cluster("a"), endpoints("a", a), cluster("b"), endpoints("b", b), listener(port, {})]
    base.append(Resource.of(ROUTE, "r", route, []))
    control_plane.publish(
        *base, virtual_host("one", "a", "one.test", "both.test"), virtual_host("two", "b", "two.test")
    )
    await envoy(bootstrap("delta", control_plane.port))
    await listens(port)
    assert (await get(port, "both.test"))[:2] == (200, str(a))
    control_plane.publish(
        *base, virtual_host("one", "a", "one.test"), virtual_host("two", "b", "two.test", "both.test")
    )
    await _answers(port, "both.test", (200, str(b)))
    assert (await get(port, "one.test"))[:2] == (200, str(a))
    # It goes, while its host stays and is used by another name.
    assert (await get(port, "two.test"))[:2] == (200, str(b))
    control_plane.publish(*base, virtual_host("one", "a", "one.test"), virtual_host("two", "b", "two.test"))
    await _answers(port, "both.test", (404, ""))
    assert (await get(port, "two.test"))[:2] == (200, str(b))
    node = control_plane.node()
    assert node is not None
    assert node.types[VIRTUAL_HOST].nacks == 0


async def _answers(port: int, host: str, expected: tuple[int, str]) -> None:
    async def look() -> bool:
        return (await get(port, host))[:2] == expected

    await eventually(look, f"{expected} for {host}")
