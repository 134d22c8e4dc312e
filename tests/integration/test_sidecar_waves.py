"""Rules that a wave tries at one real sidecar while an owner leaves the cell: its transfer does not wait."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cellplane.cli.root import cellplane
from cellplane.demo.free_port import free_port
from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from envoy.bootstrap import bootstrap
from pb.cellplane.topology.v1 import documents_pb2
from tests.changes_under_traffic import begin_topology
from tests.envoy.edge_rig import send
from tests.envoy.owners_rig import PATH
from tests.envoy.rule_documents import document
from tests.envoy_process import EnvoyProcess
from tests.processes import eventually


async def command(stage: Stage, *arguments: str) -> None:
    words = [*arguments, "--topology", stage.ports.topology_address]
    result = await asyncio.to_thread(CliRunner().invoke, cellplane, words)
    assert result.exit_code == 0, result.output


def ruled(*reserved: str) -> documents_pb2.PutDocumentRequest:
    body = json.dumps(document(PATH, reserved=list(reserved)))
    return documents_pb2.PutDocumentRequest(kind="rules", name="current", body=body)


async def routes(envoy: EnvoyProcess) -> str:
    (found,) = (await envoy.config_dump("dynamic_route_configs"))["configs"]
    return json.dumps(found["route_config"], sort_keys=True)


async def test_rules_go_in_a_wave_and_a_departure_goes_at_once(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(Stage(tmp_path, Ports()))
        port = free_port()
        application = f"127.0.0.1:{(await stage.start_cell(9)).port}"
        await begin_topology(stage, f"--sidecar-listen=127.0.0.1:{port}", f"--sidecar-app={application}")
        # These rules are fewer by more than half: without a word they would be held.
        await command(stage, "pushes", "waves", "set", "--most-gone", "100", "--yes")
        await stage.commit(ruled("users"))
        pods = []
        for name in ("canary", "other"):
            made = bootstrap(
                role="sidecar", cell_id=2, node_id=name, xds_addresses=[f"127.0.0.1:{stage.ports.xds}"],
                admin_port=0, canary=name == "canary",
            )  # fmt: skip
            envoy = EnvoyProcess(made, tmp_path / name)
            stack.push_async_callback(envoy.stop)
            await envoy.start(wait_ready=False)
            await envoy.ready(within=60)
            pods.append(envoy)
        for owner, name in (("organization/42", "acme"), ("organization/43", "globex")):
            await command(stage, "claims", "create", "--cell", "2", "--subject", owner, "ROUTES", name)

        async def wave() -> dict[str, Any]:
            page = await stage.json(f"{stage.status_url}/v1/waves")
            found: dict[str, Any] = page["groups"][0]["wave"] or {}
            return found

        async def leaves(owner: str) -> None:
            asked = (owner, "--from", "2", "--to", "3", "--expected-epoch", "1", "--yes", "--reason", "room")
            await command(stage, "claims", "transfer", *asked)

        await leaves("organization/43")
        await command(stage, "pushes", "waves", "set", "--mode", "on", "--stage", "canary:1h", "--yes")
        await eventually(wave, "waves in force", 60)
        # Only one of both is told of the new rules.
        await stage.commit(ruled("users", "groups"))

        async def tried() -> bool:
            told = await wave()
            return (told["state"], told["nodes"], told["of"]) == ("GOING", 1, 2)

        await eventually(tried, "the wave at the canary", 60)

        async def differ() -> bool:
            canary, other = [await routes(pod) for pod in pods]
            return canary != other

        await eventually(differ, "the canary's rules", 60)
        # The transfer waits until every sidecar refuses the owner, and not for the wave.
        assert (await send(port, "/acme/web")).status == 200
        await leaves("organization/42")
        assert await tried(), "the wave goes on"
        for pod in pods:
            assert "owner=ORGANIZATION/42; epoch=2" in await routes(pod)
        assert await differ()
        assert (await send(port, "/acme/web")).status == 421
