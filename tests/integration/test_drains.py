"""A zone is evacuated and a cell drained by the command while requests flow: none fails, and Envoy's own
counters tell how it goes.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from pathlib import Path

from cellplane.demo.changes import UP, moved
from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from cellplane.demo.stub_cell import start_stub_cell
from cellplane.demo.traffic import UNOWNED, Traffic, failed, session_ask
from pb.cellplane.topology.v1 import cells_pb2
from tests.changes_under_traffic import begin_topology


async def cellplane(stage: Stage, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cellplane", *arguments, "--topology", stage.ports.topology_address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_a_zone_and_a_cell_are_drained_under_load_without_a_failure(tmp_path: Path) -> None:
    async with Stage(tmp_path, Ports()) as stage:
        await begin_topology(stage)
        here, there = await stage.start_cell(4), await start_stub_cell(4)
        places = [
            cells_pb2.Endpoint(host=each.host, port=each.port, zone=zone)
            for each, zone in ((here, "a"), (there, "b"))
        ]
        made = cells_pb2.Cell(id=4, name="demo-4", endpoints=places)
        await stage.commit(cells_pb2.CellChange(create=cells_pb2.CreateCellRequest(cell=made)))
        settled = [await stage.commit(moved(4, state)) for state in UP]
        await stage.start_envoy()
        await stage.fleet(settled=settled[-1])
        async with asyncio.TaskGroup() as tasks:
            traffic = Traffic(stage.edge_url, [session_ask(4), UNOWNED, session_ask(2)], 100.0)
            flow = tasks.create_task(traffic.run())
            await traffic.more(60)
            assert there.requests
            said = await cellplane(
                stage, "zones", "drain", "4/b", "--over", "2s", "--yes", "--admin", stage.admin_url
            )
            assert "share of 4/b: 0.0 %" in said
            assert "undo: cellplane zones undrain 4/b" in said
            assert re.search(r"Envoy: [1-9]\d* of [1-9]\d* requests/s, \d+ %", said), said
            await traffic.more(5)  # what was on its way
            left = there.requests
            await traffic.more(60)
            assert there.requests == left
            await cellplane(stage, "zones", "undrain", "4/b")
            # Envoy checks its health first.
            async with asyncio.timeout(40):
                while there.requests == left:
                    await traffic.more(10)
            said = await cellplane(
                stage, "cells", "drain", "2", "--over", "2s", "--yes", "--admin", stage.admin_url
            )
            assert "unowned share: 0.0 %; owners left: 0" in said
            await traffic.more(5)
            mark = traffic.mark()
            await traffic.more(90)
            flow.cancel()
        await there.stop()
        assert not failed(traffic.answers)
        after = Counter((each.ask.owner, each.cell) for each in traffic.since(mark))
        assert (after[None, 2], after[2, 2] > 0) == (0, True), after
