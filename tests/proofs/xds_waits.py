"""What keeps a real Envoy waiting for its 15 s: silence for endpoints, routes, secrets, filters and runtime
layers, an empty answer for virtual hosts. `removed` for routes and filters keeps it waiting for longer still.

These are the reasons for what our server says of names that do not exist.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict

from cellplane.demo.free_port import free_port
from pb.envoy.config.route.v3 import route_pb2
from tests.envoy_process import EnvoyProcess
from tests.integration.raw_server import raw_server
from tests.integration.real_configuration import bootstrap, cluster, endpoints, listener, routes
from tests.integration.test_xds_nack import tls_listener
from tests.integration.test_xds_table import base, extended_listener, with_runtime
from tests.processes import NotReadyError
from tests.prove import Steps
from xds.resource import EXTENSION_CONFIG, ROUTE, VIRTUAL_HOST, Resource

LEAST_SECONDS, MOST_SECONDS = 14.0, 20.0
PATIENCE_SECONDS = 30.0


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Start an Envoy for each row, all at once, and measure how long each waits."""

    async def all_rows() -> dict[str, float]:
        async with asyncio.TaskGroup() as tasks:
            running = {name: tasks.create_task(_waits(*row)) for name, row in _rows().items()}
        return {name: round(task.result(), 1) for name, task in running.items()}

    found = await steps.step("how long Envoy waits", all_rows)
    wrong = {
        name: seconds
        for name, seconds in found.items()
        if not (
            seconds >= PATIENCE_SECONDS if "removed" in name else LEAST_SECONDS <= seconds <= MOST_SECONDS
        )
    }
    assert not wrong, f"not as claimed: {wrong}"
    return {"seconds": found}


def _rows() -> dict[str, tuple[list[Resource], dict[Any, str], bool]]:
    """Return what the server has, what it says of the rest, and whether there is a runtime layer."""
    plain = [cluster("a"), endpoints("a", 1), listener("l", free_port(), "r"), routes("r", "a")]
    vhds = ParseDict(
        {"name": "r", "vhds": {"config_source": {"ads": {}, "resource_api_version": "V3"}}},
        route_pb2.RouteConfiguration(),
    )
    extended = base(free_port(), 1)
    extended[2] = extended_listener(free_port())
    secured = base(free_port(), 1)
    secured[2] = tls_listener("l", free_port(), "r", "s")
    return {
        "EDS silence": ([plain[0], *plain[2:]], {}, False),
        "RDS silence": (plain[:3], {}, False),
        "RDS removed": (plain[:3], {ROUTE: "removed"}, False),
        "SDS silence": (secured, {}, False),
        "ECDS silence": (extended, {}, False),
        "ECDS removed": (extended, {EXTENSION_CONFIG: "removed"}, False),
        "VHDS empty": ([*plain[:3], Resource.of(ROUTE, "r", vhds)], {VIRTUAL_HOST: "empty"}, False),
        "RTDS silence": (plain, {}, True),
    }


async def _waits(resources: list[Resource], absent: dict[Any, str], runtime: bool) -> float:
    """Return how many seconds pass until the one listener listens, or until our patience ends."""
    with tempfile.TemporaryDirectory() as folder:
        async with raw_server() as raw:
            raw.put(*resources)
            raw.absent |= absent
            started = bootstrap("delta", raw.port)
            process = EnvoyProcess(with_runtime(started) if runtime else started, Path(folder))
            began = time.monotonic()
            try:
                await process.start(wait_ready=False)
                # Envoy is ready when its first listeners are; until then none of them listens.
                await process.ready(within=PATIENCE_SECONDS)
            except NotReadyError:
                pass
            finally:
                await process.stop()
            assert raw.rejections == []
            return time.monotonic() - began
