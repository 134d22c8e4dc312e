"""A real Envoy that asks for each type on a stream of its own: what belongs together still comes together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from pb.envoy.config.cluster.v3 import cluster_pb2
from tests.conftest import StartEnvoy
from tests.conversation import Variant
from tests.envoy_process import EnvoyProcess
from tests.integration.real_configuration import bootstrap, endpoints
from tests.integration.test_xds_envoy import ControlPlane, control_plane, nothing_was_missed
from tests.processes import eventually
from xds.resource import CLUSTER, ENDPOINT, Resource

__all__ = ["control_plane"]

ADS = {"ads": {}, "resource_api_version": "V3"}
INIT_FETCH_SECONDS = 15.0
"""So long Envoy waits for endpoints that don't come."""


def source(variant: Variant) -> dict[str, Any]:
    """Return what makes Envoy open a stream for one type."""
    return {
        "resource_api_version": "V3",
        "api_config_source": {
            "api_type": "DELTA_GRPC" if variant == "delta" else "GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
        },
    }


def cluster(name: str, endpoints_from: Mapping[str, Any], seconds: int) -> Resource:
    message = ParseDict(
        {
            "name": name,
            "type": "EDS",
            "connect_timeout": f"{seconds}s",
            "eds_cluster_config": {"eds_config": endpoints_from},
        },
        cluster_pb2.Cluster(),
    )
    return Resource.of(CLUSTER, name, message, [(ENDPOINT, name)])


async def warm(process: EnvoyProcess) -> bool:
    return await process.stat("cluster_manager.warming_clusters") == 0


@pytest.mark.parametrize("variant", ["delta", "sotw"])
@pytest.mark.parametrize("endpoints_from", ["a stream of their own", "the aggregated stream"])
async def test_a_changed_cluster_gets_its_endpoints_at_once(
    variant: Variant,
    endpoints_from: str,
    control_plane: ControlPlane,
    envoy: StartEnvoy,
    free_port: Callable[[], int],
) -> None:
    single = source(variant)
    started = bootstrap(variant, control_plane.port)
    # Clusters come on their own stream in any case; Envoy asks once for endpoints on the aggregated one.
    started["dynamic_resources"]["cds_config"] = single
    eds = single if endpoints_from == "a stream of their own" else ADS
    names = ("a", "b")
    ends = [endpoints(name, free_port()) for name in names]
    control_plane.publish(*(cluster(name, eds, 1) for name in names), *ends)
    process = await envoy(started)
    await control_plane.settled(1)
    began = time.monotonic()
    for seconds in range(2, 6):
        revision = control_plane.publish(*(cluster(name, eds, seconds) for name in names), *ends)
        await control_plane.settled(revision)
        await process.until_stat("cluster_manager.cluster_modified", 2 * (seconds - 1))
        # Accepted is not in use: without their endpoints they warm.
        await eventually(partial(warm, process), "warm clusters", within=2 * INIT_FETCH_SECONDS)
    assert time.monotonic() - began < INIT_FETCH_SECONDS
    await nothing_was_missed(process)
