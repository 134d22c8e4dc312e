"""The library's example, run as it is told: a real Envoy follows the file, and a bad one changes nothing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

from cellplane.demo.free_port import free_port
from cellplane.demo.processes import start_child, wait_until
from cellplane.demo.stub_cell import start_stub_cell
from envoy.bootstrap import bootstrap
from tests.conftest import StartEnvoy
from tests.processes import eventually

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_control_plane"


def test_it_is_short() -> None:
    assert len((EXAMPLE / "own_control_plane.py").read_text().splitlines()) <= 60


async def test_an_envoy_follows_the_file(tmp_path: Path, envoy: StartEnvoy) -> None:
    first, second = await start_stub_cell(1), await start_stub_cell(2)
    port, xds = free_port(), free_port()
    good = (EXAMPLE / "resources.yaml").read_text().replace("port_value: 8080", f"port_value: {port}")
    file = tmp_path / "resources.yaml"
    await asyncio.to_thread(file.write_text, good.replace("port_value: 8081", f"port_value: {first.port}"))
    command = [sys.executable, str(EXAMPLE / "own_control_plane.py"), str(file), f"127.0.0.1:{xds}"]
    child = await start_child("example", command, tmp_path / "log", {"PYTHONPATH": str(EXAMPLE.parents[1])})

    async def cell() -> int | None:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
            body = await response.json() if response.status == 200 else {}
            found: int | None = body.get("cell")
            return found

    async def reaches(expected: int) -> bool:
        return await cell() == expected

    try:
        await wait_until(lambda: "Published" in child.log_tail(), child, 10, "its first snapshot")
        await envoy(
            bootstrap(role="edge", node_id="own-1", xds_addresses=(f"127.0.0.1:{xds}",), admin_port=0)
        )
        await eventually(lambda: reaches(1), "the first upstream")
        await wait_until(lambda: "fleet: own-1 has 1" in child.log_tail(), child, 10, "the node's status")
        moved = good.replace("port_value: 8081", f"port_value: {second.port}")
        await asyncio.to_thread(file.write_text, moved)
        await eventually(lambda: reaches(2), "the second upstream")
        await asyncio.to_thread(file.write_text, moved.replace("cluster: upstream}", "cluster: nowhere}"))
        await wait_until(lambda: "Refused" in child.log_tail(), child, 10, "the refusal")
        assert await reaches(2)
    finally:
        await child.stop()
        await first.stop()
        await second.stop()
