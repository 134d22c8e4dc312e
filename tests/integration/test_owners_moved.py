"""All together, each in its process: claims, a transfer, ext-proc, the control plane and a real Envoy."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp

from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from cellplane.demo.traffic import Answer, Ask, ask
from tests.changes_under_traffic import begin_topology
from tests.owner_servers import claim
from tests.processes import eventually
from tests.topology.claims.samples import route

SESSION_OF_1 = {"cookie": "_gitlab_session=cell-1-5eed"}
TO_ACME = Ask(kind="claimed path", path="/initech/web", headers=SESSION_OF_1)
AT_ONCE = 10.0  # seconds; what was told holds for sixty


async def answer(stage: Stage) -> Answer:
    async with aiohttp.ClientSession() as session:
        return await ask(session, stage.edge_url, TO_ACME)


async def lands_on(stage: Stage, cell_id: int) -> float:
    started = time.monotonic()

    async def there() -> bool:
        found = await answer(stage)
        assert (found.status, found.rule) == (200, "claim"), found
        return found.cell == cell_id

    await eventually(there, f"the request to land on cell {cell_id}", within=AT_ONCE)
    return time.monotonic() - started


async def cellplane(stage: Stage, *arguments: str, expect: int = 0) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cellplane", *arguments, "--topology", stage.ports.topology_address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == expect, said.decode()
    return said.decode()


async def transferred(stage: Stage, *arguments: str) -> None:
    await cellplane(stage, "claims", "transfer", *arguments, "--yes")


async def explained(stage: Stage, *arguments: str, expect: int = 0) -> str:
    """Ask the evaluator and the edge about one request."""
    session = ("-H", f"cookie: {SESSION_OF_1['cookie']}")
    return await cellplane(stage, "explain", *arguments, *session, "--live", stage.edge_url, expect=expect)


async def test_a_path_goes_before_a_session_and_with_its_owner(tmp_path: Path) -> None:
    async with Stage(tmp_path, Ports()) as stage:
        revision = await begin_topology(
            stage, f"--ext-proc={stage.ports.ext_proc_address}", "--ext-proc-timeout=1"
        )
        await claim(stage.etcd_endpoint, stage.keyspace.prefix, {route("initech"): 3})
        await stage.start_ext_proc()
        await stage.start_envoy()
        await stage.fleet(settled=revision)

        async def healthy() -> bool:
            return await stage.envoy_stat("cluster.ext-proc.membership_healthy") == 1

        await eventually(healthy, "Envoy to find ext-proc healthy")
        await lands_on(stage, 3)
        asked = await stage.envoy_stat("cluster.ext-proc.upstream_rq_total")
        assert (await answer(stage)).cell == 3
        assert await stage.envoy_stat("cluster.ext-proc.upstream_rq_total") == asked, "remembered"
        before = [await stage.envoy_stat(name) for name in UNTOUCHED]
        await transferred(stage, "NAMESPACE/1", "--from", "3", "--to", "2", "--expected-epoch", "1")
        await lands_on(stage, 2)
        told = json.loads(await explained(stage, "GET", TO_ACME.path, "--output", "json"))
        assert (told["rule"], told["cell"], told["epoch"], told["decided_by"]) == ("claim", 2, 2, "python")
        assert (told["live"]["cell"], told["live"]["differs"]) == ("cell-2", [])
        assert [await stage.envoy_stat(name) for name in UNTOUCHED] == before
        await transferred(stage, "NAMESPACE/1", "--from", "2", "--to", "3", "--expected-epoch", "2")
        await lands_on(stage, 3)
        # Rules that are not in force decide otherwise, and that is found.
        rules = tmp_path / "other.yaml"
        rules.write_text("schema: 1\nrules: [{name: default, type: default}]", encoding="utf-8")
        said = await explained(stage, "GET", TO_ACME.path, "--rules", str(rules), expect=1)
        assert "the edge decided by rule claim, not default" in said
        refused = await explained(stage, "POST", TO_ACME.path, expect=3)
        assert "needs --yes" in refused


UNTOUCHED = ("listener_manager.listener_modified", "cluster_manager.cluster_modified")
