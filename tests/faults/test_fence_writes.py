"""Writes that are offered to both cells while their owner moves and its old cell's sidecar is cut off: no two
cells take them in the same time, and each that was taken was taken once.

All of it runs: etcd, two control planes, ext-proc, an edge and two sidecars on real Envoys.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from cellplane.demo.changes import UP, moved, ruled
from cellplane.demo.free_port import free_port
from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from envoy.bootstrap import bootstrap
from pb.cellplane.topology.v1 import cells_pb2
from tests.envoy_process import EnvoyProcess
from tests.faults.proxy import Proxy
from tests.processes import Child, eventually
from tests.protocols.cells import web_cell
from topology.claims.codec import decode_record
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Bucket, BucketType, Record
from topology.departing import DEPARTING

OWNER = "organization/42"
WITHIN = 60.0
ENOUGH = 10
"""Writes that are waited for, so that both sides have had their chance."""


@dataclass
class Journal:
    """What an application took: each write's body, and when."""

    taken: list[tuple[float, str]] = field(default_factory=list)

    async def write(self, request: web.Request) -> web.Response:
        self.taken.append((time.monotonic(), (await request.read()).decode()))
        return web.Response(text="taken")


@dataclass
class Writer:
    """Sends one write after the other to where it is told, each with its own body, and notes the answers."""

    where: Callable[[], Awaitable[str]]
    answers: dict[str, int] = field(default_factory=dict)

    async def run(self, name: str, session: aiohttp.ClientSession) -> None:
        for at in count():
            body = f"{name}-{at}"
            async with session.post(f"{await self.where()}/initech/web", data=body) as answer:
                self.answers[body] = answer.status
                await answer.read()


@asynccontextmanager
async def writing(writers: dict[str, Writer]) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.ensure_future(each.run(name, session)) for name, each in writers.items()]
        try:
            yield
        finally:
            for each in tasks:
                each.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def cellplane(stage: Stage, *arguments: str) -> None:
    command = (sys.executable, "-m", "cellplane", *arguments, "--topology", stage.ports.topology_address)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def has(journal: Journal, more: int) -> None:
    wanted = len(journal.taken) + more

    async def so() -> bool:
        return len(journal.taken) >= wanted

    await eventually(so, f"{more} more writes", WITHIN)


@dataclass
class Scene:
    """All that runs, and what the applications of both cells took."""

    stage: Stage
    proxy: Proxy
    journals: tuple[Journal, Journal]
    fronts: tuple[int, int]

    async def edge(self) -> str:
        return self.stage.edge_url

    async def left(self) -> str:
        return f"http://127.0.0.1:{self.fronts[0]}"

    async def owner(self) -> str:
        bucket = Bucket(BucketType.ROUTES, "initech")
        key = ClaimKeyspace.beside(self.stage.keyspace).record(bucket)
        (found,) = (await self.stage.store.list(key)).records
        record = decode_record(bucket, found.value)
        assert isinstance(record, Record)
        return f"http://127.0.0.1:{self.fronts[record.cell_id - 1]}"

    async def announced(self) -> bool:
        """Tell whether the edge has heard that the owner is leaving, and so follows who is refused."""
        key = self.stage.keyspace.document(DEPARTING, "ORGANIZATION/42")
        found = (await self.stage.store.list(key)).records
        nodes = (await self.stage.fleet())["nodes"]
        settled = {each["id"]: each["settled_revision"] for each in nodes}
        return bool(found) and settled["demo-edge-1"] >= found[0].mod_revision


def second_control_plane(stage: Stage, xds: int, options: Iterable[str]) -> Child:
    """Make another: on one machine the sidecars of two cells need ports of their own, which it tells."""
    command = (sys.executable, "-m", "cellplane", "control-plane", f"--etcd={stage.etcd_endpoint}")
    own = (f"--xds-listen=127.0.0.1:{xds}", f"--status-listen=127.0.0.1:{free_port()}", "--replica=other")
    return Child([*command, *own, *options], stage.folder / "other.log")


async def start_cells(stage: Stage, fronts: Iterable[int]) -> int:
    for cell_id, front in enumerate(fronts, 1):
        endpoint = cells_pb2.Endpoint(host="127.0.0.1", port=front)
        cell = cells_pb2.Cell(id=cell_id, name=f"cell-{cell_id}", endpoints=[endpoint])
        await stage.commit(cells_pb2.CellChange(create=cells_pb2.CreateCellRequest(cell=cell)))
        for state in UP:
            await stage.commit(moved(cell_id, state))
    assert await stage.topology.claim(1, "initech") == ""
    return await stage.commit(ruled())


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(Stage(folder, Ports()))
        journals, fronts, xds = (Journal(), Journal()), (free_port(), free_port()), free_port()
        options = []
        for journal, front in zip(journals, fronts, strict=True):
            application = await stack.enter_async_context(web_cell(journal.write))
            options.append((f"--sidecar-listen=127.0.0.1:{front}", f"--sidecar-app=127.0.0.1:{application}"))
        await stage.start_etcd()
        asks = (f"--ext-proc={stage.ports.ext_proc_address}", "--ext-proc-timeout=1", "--health-check-path=")
        await stage.start_control_plane(*options[0], *asks)
        other = second_control_plane(stage, xds, options[1])
        stack.push_async_callback(other.kill)
        other.spawn()
        revision = await start_cells(stage, fronts)
        await stage.start_ext_proc()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        proxy = Proxy(f"127.0.0.1:{stage.ports.xds}", tasks)
        await proxy.start()
        stack.push_async_callback(proxy.stop)
        for cell_id, told in ((1, proxy.endpoint), (2, f"127.0.0.1:{xds}")):
            made = bootstrap(
                role="sidecar", cell_id=cell_id, node_id=f"pod-{cell_id}", xds_addresses=[told], admin_port=0
            )
            envoy = EnvoyProcess(made, folder / f"sidecar-{cell_id}")
            stack.push_async_callback(envoy.stop)
            await envoy.start(wait_ready=False)
            await envoy.ready(WITHIN)
        await stage.start_envoy()
        await stage.fleet(settled=revision)
        yield Scene(stage, proxy, journals, fronts)


@pytest.mark.timeout(180)
async def test_no_write_is_taken_by_both_cells(tmp_path: Path) -> None:
    async with started(tmp_path) as scene:
        # Through the edge; past it to the cell that is left, as an edge would that hears nothing; and to
        # whichever cell has the owner at this moment, as one that hears of it first.
        writers = {"edge": Writer(scene.edge), "late": Writer(scene.left), "early": Writer(scene.owner)}
        one, two = scene.journals
        async with writing(writers):
            await has(one, ENOUGH)
            scene.proxy.stall()
            asked = ("--from", "1", "--to", "2", "--expected-epoch", "1", "--yes", "--reason", "room")
            moving = asyncio.ensure_future(cellplane(scene.stage, "claims", "transfer", OWNER, *asked))
            await eventually(scene.announced, "the announcement", WITHIN)
            await has(one, ENOUGH)
            assert not moving.done(), "it waits for the sidecar that is cut off"
            assert two.taken == []
            scene.proxy.restore()
            await moving
            scene.proxy.refuse()
            await has(two, 3 * ENOUGH)
        assert one.taken[-1][0] < two.taken[0][0], "no time in which both take writes"
        taken = Counter(body for journal in scene.journals for _, body in journal.taken)
        assert set(taken.values()) == {1}, "each is taken once"
        answers = {body: status for each in writers.values() for body, status in each.answers.items()}
        assert {body for body, status in answers.items() if status == 200} <= set(taken)
        assert not set(taken) & {body for body, status in answers.items() if status != 200}
        told = {name: Counter(each.answers.values()) for name, each in writers.items()}
        assert all(set(each) <= {200, 421, 423} for each in told.values()), told
        assert told["late"][421] > 0
        assert told["edge"][421] == 0, "what the old cell refused went on to the new one"
