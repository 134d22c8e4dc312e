"""Rules that only a real Envoy can show: what it tells of the server, what is left after a rejection, what
expires, scopes, and endpoints that come too late.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.protobuf.json_format import ParseDict

from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.config.route.v3 import scoped_route_pb2
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from tests.conftest import StartEnvoy
from tests.conversation import Variant
from tests.envoy_process import EnvoyProcess
from tests.integration.raw_server import raw_server
from tests.integration.real_configuration import NODE, bootstrap, cluster, endpoints, listener, routes
from tests.integration.test_xds_envoy import (
    ControlPlane,
    answers,
    control_plane,
    each_variant,
    get,
    upstreams,
)
from tests.processes import eventually
from xds.hold_record import HoldRecord, RejectedVersion, Rejection
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPED_ROUTE, Resource

__all__ = ["control_plane", "upstreams"]


async def refuses(port: int) -> None:
    """Wait until nobody listens on a port any more."""

    async def look() -> bool:
        try:
            await get(port)
        except aiohttp.ClientError:
            return True
        return False

    await eventually(look, f"nobody to listen on {port}")


async def texts(process: EnvoyProcess, pattern: str) -> dict[str, str]:
    """Return Envoy's texts among its statistics."""
    found = json.loads(await process.admin(f"/stats?format=json&type=TextReadouts&filter={pattern}"))["stats"]
    return {one["name"]: one["value"] for one in found if "name" in one}


@each_variant
async def test_rule_11_and_21_envoy_shows_who_speaks_and_of_which_revision(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    control_plane.revision = 4710
    port = free_port()
    base = [cluster("a"), endpoints("a", upstreams[0]), listener("l", port, "r"), routes("r", "a")]
    revision = control_plane.publish(*base)
    process = await envoy(bootstrap(variant, control_plane.port))
    await control_plane.settled(revision)
    assert (await texts(process, "control_plane.identifier"))["control_plane.identifier"] == "tests"

    async def shown() -> dict[str, str]:
        """Return the revision that Envoy shows by type; in SotW a digest follows it."""
        found = await texts(process, "version_text")
        names = {"cluster_manager.cds": "CDS", "listener_manager.lds": "LDS", "cluster.a": "EDS"}
        return {kind: found[f"{name}.version_text"].partition(".")[0] for name, kind in names.items()}

    assert await shown() == {"CDS": "4711", "LDS": "4711", "EDS": "4711"}
    (dumped,) = (await process.config_dump("dynamic_active_clusters"))["configs"]
    assert dumped["version_info"].partition(".")[0] in {"4711", cluster("a").version}
    # A change shows where it was sent: what did not change keeps the revision that it came with.
    await control_plane.settled(control_plane.publish(cluster("a"), endpoints("a", upstreams[1]), *base[2:]))
    assert await shown() == {"CDS": "4711", "LDS": "4711", "EDS": "4712"}


@pytest.mark.parametrize("known", [True, False])
async def test_rule_23_and_24_what_a_rejection_left_half_done_is_restored_where_it_is_known_of(
    known: bool, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    one, two, bad = free_port(), free_port(), free_port()
    base = [cluster("a"), endpoints("a", upstreams[0]), routes("r", "a")]
    message: Any = listener_pb2.Listener.FromString(listener("bad", bad, "r").body)
    message.filter_chains[0].filters[0].typed_config.value = b"\xff"
    rejected = Resource.of(LISTENER, "bad", message, [(ROUTE, "r")])
    async with raw_server() as raw:
        raw.put(*base, listener("one", one, "r"))
        process = await envoy(bootstrap("delta", raw.port))
        await answers(one, upstreams[0])
        # One response removes a listener, brings a good and a bad one. Envoy says no, and does two of three.
        raw.push(LISTENER, listener("two", two, "r"), rejected, removed=("one",))
        await refuses(one)
        await answers(two, upstreams[0])
        assert len(raw.rejections) == 1
    # It comes to another server, and tells versions that are false: that it has the one that is gone.
    plane = ControlPlane(port=raw.port)
    plane.revision = 1
    revision = plane.publish(*base, listener("one", one, "r"))
    await plane.start()
    try:
        assert plane.server is not None
        if known:
            refusal = RejectedVersion(rejections=(Rejection(NODE, "1.40.0", "bad: no"),))
            record = HoldRecord(key=rejected.key, versions={rejected.version: refusal})
            plane.server.holds.learn("group", [record])
        await plane.settled(revision, within=20.0)
        if known:
            await answers(one, upstreams[0])
            return
        # This is what is to be prevented: it is missing for ever.
        assert await process.stat("listener_manager.lds.update_rejected") == 1
        await refuses(one)
    finally:
        await plane.stop()


async def test_rule_57_to_60_a_listener_lives_as_long_as_it_is_renewed(
    control_plane: ControlPlane, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    port, tap = free_port(), free_port()
    base = [cluster("a"), endpoints("a", upstreams[0]), routes("r", "a"), listener("l", port, "r")]
    lived = listener("tap", tap, "r")
    timed = Resource.of(LISTENER, "tap", lived.body, lived.references, ttl_seconds=1.0)
    control_plane.publish(*base, timed)
    await envoy(bootstrap("delta", control_plane.port))
    await answers(tap, upstreams[0])
    node = control_plane.node()
    assert node is not None
    before = node.types[LISTENER].acks

    async def renewed() -> bool:
        found = control_plane.node()
        return found is not None and found.types[LISTENER].acks >= before + 5

    # Five heartbeats take longer than it would live.
    await eventually(renewed, "five heartbeats")
    assert await get(tap) == (200, str(upstreams[0]))
    # Nobody renews it: it goes by itself, and nothing else does.
    await control_plane.stop()
    await refuses(tap)
    assert await get(port) == (200, str(upstreams[0]))


@each_variant
async def test_rule_64_scopes_choose_the_routes(
    variant: Variant,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    a, b, _ = upstreams
    port = free_port()
    base = [cluster("a"), endpoints("a", a), cluster("b"), endpoints("b", b)]
    base += [routes("to-a", "a"), routes("to-b", "b"), scoped_listener(port)]
    control_plane.publish(*base, scope("blue", "to-a"), scope("green", "to-b"))
    await envoy(bootstrap(variant, control_plane.port))

    async def answered(name: str) -> tuple[int, str]:
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://127.0.0.1:{port}/", headers={"x-scope": name}) as response,
        ):
            return response.status, await response.text()

    async def until(name: str, expected: tuple[int, str]) -> None:
        async def look() -> bool:
            try:
                return await answered(name) == expected
            except aiohttp.ClientError:
                return False

        await eventually(look, f"{expected} in scope {name}")

    await until("blue", (200, str(a)))
    await until("green", (200, str(b)))
    assert (await answered("red"))[0] == 404
    # A scope is pointed elsewhere, and one goes.
    revision = control_plane.publish(*base, scope("blue", "to-b"))
    await until("blue", (200, str(b)))
    await until("green", (404, ""))
    await control_plane.settled(revision)


def scope(name: str, route: str) -> Resource:
    message = ParseDict(
        {"name": name, "route_configuration_name": route, "key": {"fragments": [{"string_key": name}]}},
        scoped_route_pb2.ScopedRouteConfiguration(),
    )
    return Resource.of(SCOPED_ROUTE, name, message, [(ROUTE, route)])


def scoped_listener(port: int) -> Resource:
    """Make a listener that finds its routes by a header."""
    message: Any = listener_pb2.Listener.FromString(listener("l", port, "r").body)
    manager: Any = http_connection_manager_pb2.HttpConnectionManager()
    config = message.filter_chains[0].filters[0].typed_config
    config.Unpack(manager)
    ads = {"ads": {}, "resource_api_version": "V3"}
    extractor = {"name": "x-scope", "element_separator": ",", "index": 0}
    ParseDict(
        {
            "name": "scopes",
            "scope_key_builder": {"fragments": [{"header_value_extractor": extractor}]},
            "rds_config_source": ads,
            "scoped_rds": {"scoped_rds_config_source": ads},
        },
        manager.scoped_routes,
    )
    config.Pack(manager)
    return Resource.of(LISTENER, "l", message, [])


async def test_rule_51_endpoints_that_come_too_late_are_found_by_every_test(
    upstreams: list[int], free_port: Callable[[], int], tmp_path: Path
) -> None:
    async with raw_server() as raw:
        raw.put(*changed_cluster(1000), endpoints("a", upstreams[0]))
        process = EnvoyProcess(bootstrap("delta", raw.port), tmp_path)
        try:
            await process.start()
            await process.never_fell_back()
            # A cluster changes and its endpoints don't follow, so it does with what it knew: after 15 s, but
            # for this one's own limit.
            await raw.sends(CLUSTER, *changed_cluster(2000))
            with pytest.raises(AssertionError, match=r"cluster\.a\.assignment_use_cached"):
                await process.never_fell_back()
        finally:
            await process.stop()


async def test_rule_6_and_51_who_comes_back_while_a_cluster_warms_is_not_kept_waiting(
    envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    port = free_port()
    rest = [endpoints("a", upstreams[0]), listener("l", port, "r"), routes("r", "a")]
    async with raw_server() as raw:
        raw.put(cluster("a"), *rest)
        process = await envoy(bootstrap("delta", raw.port))
        await answers(port, upstreams[0])
        # A cluster changes, and the server dies before it sends the endpoints.
        raw.push(CLUSTER, cluster("a", 2000))
        await process.until_stat("cluster_manager.warming_clusters", 1)
    plane = ControlPlane(port=raw.port)
    revision = plane.publish(cluster("a", 2000), *rest)
    await plane.start()
    try:
        await plane.settled(revision)
        assert await process.stat("cluster_manager.warming_clusters") == 0
        await process.never_fell_back()
        found = plane.node()
        assert found is not None
        assert next(iter(found.types)) is ENDPOINT
        assert found.types[CLUSTER].resources_sent == 0
    finally:
        await plane.stop()


def changed_cluster(milliseconds: int) -> list[Resource]:
    message = cluster_pb2.Cluster.FromString(cluster("a", milliseconds).body)
    message.eds_cluster_config.eds_config.initial_fetch_timeout.FromMilliseconds(200)
    return [Resource.of(CLUSTER, "a", message)]
