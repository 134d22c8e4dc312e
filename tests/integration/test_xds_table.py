"""What a real Envoy does with what is removed or not there, type by type: what our answers rest on.

The first part asks Envoy itself, with a server that says anything; the second shows that ours says what does
no harm. Virtual hosts and clusters on demand have tests of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.protobuf.json_format import ParseDict

from pb.envoy.config.core.v3 import extension_pb2
from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.extensions.filters.http.buffer.v3 import buffer_pb2  # noqa: F401  known to ParseDict by it
from pb.envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from pb.envoy.service.runtime.v3 import rtds_pb2
from tests.certificates import Authority
from tests.conftest import StartEnvoy
from tests.envoy_process import EnvoyProcess
from tests.integration.raw_server import RawServer, raw_server
from tests.integration.real_configuration import bootstrap, cluster, endpoints, listener, routes
from tests.integration.test_xds_envoy import ControlPlane, answers, control_plane, get, upstreams
from tests.integration.test_xds_nack import certificate_on, secret, shows, tls_listener
from tests.processes import eventually
from xds.placeholders import empty
from xds.resource import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    RUNTIME,
    SECRET,
    Resource,
)

__all__ = ["control_plane", "upstreams"]

AT_ONCE_SECONDS = 5.0
"""Whatever Envoy waits for in vain takes it 15 s."""
BUFFER = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"


@pytest.fixture
async def raw() -> AsyncIterator[RawServer]:
    async with raw_server() as server:
        yield server


def base(port: int, upstream: int) -> list[Resource]:
    return [cluster("a"), endpoints("a", upstream), listener("l", port, "r"), routes("r", "a")]


async def status_is(port: int, status: int) -> None:
    async def look() -> bool:
        try:
            return (await get(port))[0] == status
        except aiohttp.ClientError:
            return False

    await eventually(look, f"status {status} on {port}", within=AT_ONCE_SECONDS)


async def runtime(process: EnvoyProcess) -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(await process.admin("/runtime"))["entries"]
    return {name: entry["final_value"] for name, entry in entries.items()}


def runtime_layer(value: int) -> Resource:
    message = ParseDict({"name": "layer", "layer": {"tests.value": value}}, rtds_pb2.Runtime())
    return Resource.of(RUNTIME, "layer", message)


def with_runtime(bootstrap_of: dict[str, Any]) -> dict[str, Any]:
    ads = {"ads": {}, "resource_api_version": "V3"}
    layer = {"name": "rtds", "rtds_layer": {"name": "layer", "rtds_config": ads}}
    return {**bootstrap_of, "layered_runtime": {"layers": [layer]}}


def extended_listener(port: int) -> Resource:
    """Make a listener with a filter whose configuration comes over ECDS."""
    message: Any = listener_pb2.Listener.FromString(listener("l", port, "r").body)
    chain = message.filter_chains[0].filters[0]
    manager: Any = http_connection_manager_pb2.HttpConnectionManager()
    chain.typed_config.Unpack(manager)
    router = manager.http_filters.pop()
    extension = manager.http_filters.add(name="extension").config_discovery
    extension.type_urls.append(BUFFER)
    extension.config_source.ads.SetInParent()
    extension.config_source.resource_api_version = 2
    manager.http_filters.append(router)
    chain.typed_config.Pack(manager)
    return Resource.of(LISTENER, "l", message, [(ROUTE, "r"), (EXTENSION_CONFIG, "extension")])


def extension() -> Resource:
    message = ParseDict(
        {"name": "extension", "typed_config": {"@type": BUFFER, "max_request_bytes": 1000}},
        extension_pb2.TypedExtensionConfig(),
    )
    return Resource.of(EXTENSION_CONFIG, "extension", message)


# --- Envoy, asked directly


async def test_what_envoy_has_and_hears_is_removed(
    raw: RawServer, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    port = free_port()
    raw.put(*base(port, upstreams[0]), cluster("b"), endpoints("b", upstreams[1]))
    process = await envoy(bootstrap("delta", raw.port))
    await status_is(port, 200)
    assert "b" in await process.clusters()
    # A cluster is deleted. Endpoints and routes are kept.
    await raw.sends(CLUSTER, removed=("b",))
    assert "b" not in await process.clusters()
    await raw.sends(ENDPOINT, removed=("a",))
    assert (await get(port))[0] == 200
    await raw.sends(ENDPOINT, endpoints("a", upstreams[2]))
    await answers(port, upstreams[2])
    await raw.sends(ROUTE, removed=("r",))
    assert (await get(port))[0] == 200
    # A listener is drained and deleted.
    await raw.sends(LISTENER, removed=("l",))

    async def gone() -> bool:
        try:
            await get(port)
        except aiohttp.ClientError:
            return True
        return False

    await eventually(gone, "the listener to go")
    assert raw.rejections == []


@pytest.mark.parametrize(
    ("missing", "how", "status"),
    [
        # Warming ends at once, with no hosts.
        (endpoints("a", 1), "removed", 503),
        # An empty route configuration frees the listener, and every request gets 404.
        (routes("r", "a"), empty(ROUTE, "r"), 404),
        (endpoints("a", 1), empty(ENDPOINT, "a"), 503),
    ],
    ids=["EDS removed", "RDS empty", "EDS empty"],
)
async def test_what_envoy_asks_for_and_hears_is_not_there(
    raw: RawServer,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
    missing: Resource,
    how: str | Resource,
    status: int,
) -> None:
    port = free_port()
    raw.put(*base(port, upstreams[0]))
    del raw.has[missing.key]
    if isinstance(how, Resource):
        raw.put(how)
    else:
        raw.absent[missing.type] = how
    await envoy(bootstrap("delta", raw.port))
    await status_is(port, status)
    assert raw.rejections == []


async def test_a_secret_that_is_removed_stays_in_use_and_one_that_is_not_there_frees_at_once(
    raw: RawServer, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int], tmp_path: Path
) -> None:
    identity = Authority(tmp_path).issue("one", "one.test")
    port, other = free_port(), free_port()
    raw.put(*base(free_port(), upstreams[0]), tls_listener("tls", port, "r", "s"), secret("s", identity))
    raw.put(tls_listener("other", other, "r", "none"))
    raw.absent[SECRET] = "removed"
    process = await envoy(bootstrap("delta", raw.port))
    await shows(port, identity)
    await raw.sends(SECRET, removed=("s",))
    await shows(port, identity)
    # It listens, and no handshake succeeds.
    await process.until_stat("listener_manager.total_listeners_active", 3, within=AT_ONCE_SECONDS)
    assert await certificate_on(other) is None


async def test_a_filter_that_is_removed_costs_every_request_until_it_is_back(
    raw: RawServer, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    port = free_port()
    raw.put(*base(port, upstreams[0]), extended_listener(port), extension())
    await envoy(bootstrap("delta", raw.port))
    await status_is(port, 200)
    await raw.sends(EXTENSION_CONFIG, removed=("extension",))
    await status_is(port, 500)
    await raw.sends(EXTENSION_CONFIG, extension())
    await status_is(port, 200)


async def test_a_runtime_layer_that_is_removed_is_cleared(
    raw: RawServer, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    port = free_port()
    raw.put(*base(port, upstreams[0]), runtime_layer(1))
    process = await envoy(with_runtime(bootstrap("delta", raw.port)))
    await status_is(port, 200)
    # It was asked for before anything else.
    assert raw.asked[0] is RUNTIME
    assert await runtime(process) == {"tests.value": "1"}
    await raw.sends(RUNTIME, removed=("layer",))
    assert (await runtime(process)).get("tests.value", "") == ""


async def test_a_runtime_layer_that_is_not_there_does_not_keep_envoy_from_starting(
    raw: RawServer, envoy: StartEnvoy, upstreams: list[int], free_port: Callable[[], int]
) -> None:
    port = free_port()
    raw.put(*base(port, upstreams[0]))
    raw.absent[RUNTIME] = "removed"
    began = time.monotonic()
    await envoy(with_runtime(bootstrap("delta", raw.port)))
    await status_is(port, 200)
    assert time.monotonic() - began < 10.0


# --- our answers


@pytest.mark.parametrize("variant", ["delta", "sotw"])
@pytest.mark.parametrize("there", [True, False])
async def test_rule_67_our_runtime_comes_first_and_changes_at_once(
    variant: Any,
    there: bool,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    port = free_port()
    resources = base(port, upstreams[0])
    control_plane.publish(*resources, *([runtime_layer(1)] if there else []))
    process = await envoy(with_runtime(bootstrap(variant, control_plane.port)))
    await status_is(port, 200)
    node = control_plane.node()
    assert node is not None
    assert next(iter(node.types)) is RUNTIME
    for value in (2, 3):
        await control_plane.settled(control_plane.publish(*resources, runtime_layer(value)))
        assert (await runtime(process))["tests.value"] == str(value)
    await control_plane.settled(control_plane.publish(*resources))
    assert (await runtime(process)).get("tests.value", "") == ""


@pytest.mark.parametrize("variant", ["delta", "sotw"])
async def test_rule_66_our_filter_configuration_is_never_removed_and_a_bad_one_leaves_the_old(
    variant: Any,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    port = free_port()
    plain = base(port, upstreams[0])
    extended = [*plain[:2], extended_listener(port), plain[3]]
    control_plane.publish(*extended, extension())
    process = await envoy(bootstrap(variant, control_plane.port))
    await status_is(port, 200)
    # A bad one is rejected, and the old one stays in use.
    body = extension_pb2.TypedExtensionConfig.FromString(extension().body)
    body.typed_config.value = b""
    control_plane.publish(*extended, Resource.of(EXTENSION_CONFIG, "extension", body))

    async def rejected() -> bool:
        node = control_plane.node()
        return node is not None and node.types[EXTENSION_CONFIG].nacks == 1

    await eventually(rejected, "the rejection of the bad filter")
    await status_is(port, 200)
    # With the listener that used it, it goes from our snapshot, and not by a word of ours from Envoy's.
    revision = control_plane.publish(*plain)
    node = await control_plane.settled(revision)
    await status_is(port, 200)
    assert node.types[EXTENSION_CONFIG].removals_sent == 0
    assert await process.stat("http.tests.downstream_rq_5xx") == 0


@pytest.mark.parametrize("variant", ["delta", "sotw"])
async def test_what_is_not_there_does_not_keep_our_listeners_waiting(
    variant: Any,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    lonely, empty_handed = free_port(), free_port()
    control_plane.publish(
        _unreferring(cluster("a")),
        _unreferring(listener("one", lonely, "none")),
        _unreferring(listener("two", empty_handed, "r")),
        _unreferring(routes("r", "a")),
    )
    await envoy(bootstrap(variant, control_plane.port))
    await status_is(lonely, 404)
    await status_is(empty_handed, 503)


@pytest.mark.parametrize("variant", ["delta", "sotw"])
async def test_what_leaves_our_snapshot_while_envoy_uses_it(
    variant: Any,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    upstreams: list[int],
    free_port: Callable[[], int],
) -> None:
    port = free_port()
    names_nothing = [_unreferring(one) for one in base(port, upstreams[0])]
    clusters, _, listeners, route_sets = names_nothing
    control_plane.publish(*names_nothing)
    process = await envoy(bootstrap(variant, control_plane.port))
    await answers(port, upstreams[0])
    # Endpoints and routes, said to be removed in Delta and not mentioned in SotW, are used as they were.
    await control_plane.settled(control_plane.publish(clusters, listeners))
    assert await get(port) == (200, str(upstreams[0]))
    # They come back otherwise, and that counts.
    await control_plane.settled(
        control_plane.publish(clusters, endpoints("a", upstreams[1]), listeners, route_sets)
    )
    await answers(port, upstreams[1])
    # Clusters and listeners, removed or left out, are deleted.
    await control_plane.settled(control_plane.publish(route_sets))
    await process.until_stat("listener_manager.listener_removed", 1)

    async def gone() -> bool:
        return set(await process.clusters()) == {"xds"}

    await eventually(gone, "the cluster to go")


def _unreferring(one: Resource) -> Resource:
    return Resource.of(one.type, one.name, one.body)
