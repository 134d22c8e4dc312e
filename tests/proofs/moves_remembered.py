"""Owners stay remembered inside a real Envoy while others are moved, a hundred a second, and while rules and
the listener are changed: nine tenths of Zipf-distributed requests ask nobody, no change sends ext-proc more
questions in a second than its budget, and when all is over every name goes where its owner is.

A move is what a transfer's switch writes: the claim with its new cell, and its generation, in one write.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.claims import record
from benchmarks.datapath_edges import Ours, ruleset
from benchmarks.nginx import nginx
from benchmarks.wrk import cpu_microseconds
from pb.cellplane.topology.v1 import documents_pb2
from tests.processes import eventually
from tests.prove import Steps
from topology.claims.codec import encode_record
from topology.claims.generations import rewritten
from topology.claims.keys import ClaimKeyspace
from topology.model import Stamp
from topology.store import Committed, Txn

CELLS, NAMES, ASKED_FOR = 10, 20_000, 2_000
RATE, MOVES = 1_000, 100
SECONDS = 60
BUDGET = RATE // 10
"""Questions in a second: what traffic that is nine tenths remembered asks anyhow."""
CONNECTIONS = 8
_CELL: Final = re.compile(rb"x-cellplane-cell: cell-(\d+)")


@dataclass
class Traffic:
    """Requests for names as customers ask for them, at a rate, over a few connections."""

    port: int
    sent: int = 0
    failed: int = 0
    stopped: bool = False
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    async def run(self) -> None:
        """Send until it is stopped."""
        shares = list(itertools.accumulate(1 / (rank + 1) for rank in range(ASKED_FOR)))
        names = iter(lambda: self._random.choices(range(ASKED_FOR), cum_weights=shares)[0], None)
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._send(names))

    async def _send(self, names: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        due = time.monotonic()
        while not self.stopped:
            if await cell_of(reader, writer, f"name-{next(names)}") is None:
                self.failed += 1
            self.sent += 1
            due += CONNECTIONS / RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        writer.close()


async def cell_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> int | None:
    """Send a request, and give the cell that answered it."""
    writer.write(f"GET /{name}/project HTTP/1.1\r\nhost: edge.test\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
    found = _CELL.search(head)
    return int(found[1]) if found and head.startswith(b"HTTP/1.1 200") else None


class Site:
    """The product with its claims, and who owns what by now."""

    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        self.space = ClaimKeyspace.beside(ours.stage.keyspace)
        self.records = [record(f"name-{at}", at % CELLS + 1) for at in range(NAMES)]
        self.port = 0
        self._random = random.Random(2)

    async def move(self, seconds: float) -> int:
        """Move names, any of them, to any other cell."""
        moved, due = 0, time.monotonic()
        ends = due + seconds
        while due < ends:
            at = self._random.randrange(NAMES)
            before = self.records[at]
            after = before._replace(cell_id=before.cell_id % CELLS + 1)
            stamp = Stamp(updated_by="proof", updated_at=datetime.now(UTC).isoformat(), reason="a move")
            claim = (self.space.record(after.bucket), encode_record(after))
            puts = (claim, *rewritten(self.ours.stage.keyspace, (after.bucket,), stamp))
            assert isinstance(await self.ours.stage.store.commit(Txn(puts=puts)), Committed)
            self.records[at] = after
            moved += 1
            due += 1 / MOVES
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        return moved

    async def astray(self) -> int:
        """Ask for every name of the traffic, and count those that land elsewhere than at their owner."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        wrong = 0
        for at in range(ASKED_FOR):
            wrong += await cell_of(reader, writer, f"name-{at}") != self.records[at].cell_id
        writer.close()
        return wrong

    async def during(self, change: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
        """Let traffic flow while something is done; say what was asked, in all and in the worst second."""
        traffic = Traffic(self.port)
        before, began = await self.ours.asked(), time.monotonic()
        pids = {name: self.ours.stage.pid(name) for name in ("envoy", "control-plane", "ext-proc")}
        used = {name: cpu_microseconds(pid) for name, pid in pids.items()}
        pushes = await self.ours.stage.envoy_stat("http.edge.rds.edge.update_success")
        worst = asyncio.create_task(self._worst_second(traffic))
        sending = asyncio.create_task(traffic.run())
        said = await change()
        traffic.stopped = True
        await sending
        seconds = time.monotonic() - began
        asked = await self.ours.asked() - before
        return {
            "requests": traffic.sent,
            "failed": traffic.failed,
            "rate": round(traffic.sent / seconds),
            "asked": asked,
            "remembered": round(1 - asked / traffic.sent, 4),
            "worst second": await worst,
            "pushes": await self.ours.stage.envoy_stat("http.edge.rds.edge.update_success") - pushes,
            "cpu": {
                name: round((cpu_microseconds(pid) - used[name]) / seconds / 1e6, 3)
                for name, pid in pids.items()
                if self.ours.stage.pid(name) == pid
            },
            "said": said,
        }

    async def _worst_second(self, traffic: Traffic) -> int:
        worst, before = 0, await self.ours.asked()
        while not traffic.stopped:
            await asyncio.sleep(1)
            now = await self.ours.asked()
            worst, before = max(worst, now - before), now
        return worst


async def change_rules(site: Site) -> int:
    """Apply a ruleset that changes the program of Lua, and then another, five times in ten seconds."""
    for at in range(5):
        read = ruleset()
        read["rules"][1]["prefixes"][f"/pinned-anew-{at}"] = 1
        read["rules"][2]["otherwise"] = {"ambiguous": 400 + at}
        read["reserved"] = ["users", "api", f"new-page-{at}"]
        read.pop("reserved_from", None)
        body = json.dumps(read)
        request = documents_pb2.PutDocumentRequest(kind="rules", name="current", body=body, reason="proof")
        revision = await site.ours.stage.commit(request)
        await site.ours.stage.fleet(settled=revision)
        await asyncio.sleep(2)
    return 5


async def change_listener(site: Site) -> int:
    """Start the control plane anew with an access log: the listener is another one then, and says so."""
    stage = site.ours.stage
    await stage.kill("control-plane")
    await site.ours.start_control_plane("--edge-access-log")

    async def modified() -> bool:
        return await stage.envoy_stat("listener_manager.listener_modified") > 0

    await eventually(modified, "Envoy to take the new listener", within=60)
    await asyncio.sleep(5)
    return await stage.envoy_stat("listener_manager.listener_modified")


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Do one after the other on one site; no step to resume, for the memory is one."""

    async def all_of_it() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            async with AsyncExitStack() as stack:
                upstream = await nginx(stack, Path(folder))
                ours = Ours(Path(folder) / "site", CELLS, upstream)
                await ours.start(stack, [f"name-{at}" for at in range(NAMES)])
                site = Site(ours)
                site.port = (await ours.start_envoy(1)).port

                async def settled() -> bool:
                    return await site.astray() == 0

                await eventually(settled, "every owner to be remembered", within=30)
                found = {"quiet": await site.during(lambda: asyncio.sleep(20))}
                found["moves"] = await site.during(lambda: site.move(SECONDS))
                await eventually(settled, "every name to go to its owner", within=30)
                found["rules"] = await site.during(lambda: change_rules(site))
                found["listener"] = await site.during(lambda: change_listener(site))
                return found

    found: dict[str, Any] = await steps.step("traffic under changes", all_of_it)
    for name, each in found.items():
        assert each["failed"] == 0, (name, each)
        assert each["remembered"] >= 0.9, (name, each)
        if name != "moves":
            assert each["worst second"] <= BUDGET, (name, each)
    return {"rate": RATE, "moves": MOVES, "budget": BUDGET, **found}
