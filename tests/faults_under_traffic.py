"""Everything behind Envoy is killed and frozen, one after another and all at once, while requests flow.

The proof runs it with 200 requests a second, a test with a few and all at once only. What says itself where
it belongs and what is remembered may notice nothing; a name that nobody asked for yet may follow its policy.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from cellplane.demo.changes import RULES
from cellplane.demo.free_port import free_port
from cellplane.demo.stage import Stage
from cellplane.demo.traffic import Answer, Ask, Traffic, session_ask
from pb.cellplane.topology.v1 import documents_pb2
from tests.changes_under_traffic import begin_topology
from tests.owner_servers import claim
from tests.processes import Child, eventually
from tests.topology.claims.samples import route

OWNER = 3
BATCH = 900
KNOWN = Ask(kind="remembered", path="/known/web", owner=OWNER)
ETCD, CONTROL_PLANE, EXT_PROC, TOPOLOGY = "etcd", "control-plane", "ext-proc", "topology"
EACH = (EXT_PROC, TOPOLOGY, ETCD, CONTROL_PLANE)


class Faults:
    """A stage with a Topology Service of its own beside it, under traffic."""

    def __init__(self, stage: Stage, stack: AsyncExitStack, rate: float, fresh: int) -> None:
        self._stage = stage
        self._stack = stack
        self._options = ("--ext-proc", stage.ports.ext_proc_address)
        names = [Ask(kind="fresh", path=f"/fresh-{at}/web", owner=OWNER) for at in range(fresh)]
        self._names = [f"fresh-{at}" for at in range(fresh)]
        asks = [each for name in names for each in (session_ask(1), KNOWN, session_ask(2), name)]
        self.traffic = Traffic(stage.edge_url, asks, rate)
        self._topology: Child | None = None

    async def begin(self) -> None:
        """Bring everything up, and have one name remembered."""
        stage = self._stage
        await begin_topology(stage, *self._options)
        names = ("known", *self._names)
        for at in range(0, len(names), BATCH):
            owned = {route(name): OWNER for name in names[at : at + BATCH]}
            await claim(stage.etcd_endpoint, stage.keyspace.prefix, owned)
        rules = [
            {**rule, "otherwise": {"undecided": 503}} if rule["name"] == "claim" else rule
            for rule in RULES["rules"]
        ]
        body = json.dumps({**RULES, "rules": rules})
        revision = await stage.commit(
            documents_pb2.PutDocumentRequest(kind="rules", name="current", body=body, reason="faults")
        )
        await self._up(TOPOLOGY)
        await stage.start_ext_proc()
        await stage.start_envoy()
        await stage.fleet(settled=revision)
        await self._healthy()

    async def killed(self, names: Sequence[str], requests: int) -> dict[str, Any]:
        """Kill these, let requests flow, and start them again."""
        mark = self.traffic.mark()
        for name in names:
            await self._down(name)
        await self.traffic.more(requests)
        for name in (each for each in (ETCD, TOPOLOGY, CONTROL_PLANE, EXT_PROC) if each in names):
            await self._up(name)
        await self._healthy()
        return judged(self.traffic.since(mark))

    async def frozen(self, names: Sequence[str], requests: int) -> dict[str, Any]:
        """Freeze these, let requests flow, and let them go on."""
        mark, before = self.traffic.mark(), await self._timeouts()
        pids = [self._pid(name) for name in names]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            await self.traffic.more(requests)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        await self._healthy()
        return {**judged(self.traffic.since(mark)), "waited": await self._timeouts() - before}

    async def _down(self, name: str) -> None:
        if name == TOPOLOGY:
            assert self._topology is not None
            await self._topology.kill()
        else:
            await self._stage.kill(name)

    async def _up(self, name: str) -> None:
        match name:
            case "etcd":
                await self._stage.start_etcd()
            case "control-plane":
                await self._stage.start_control_plane(*self._options)
            case "ext-proc":
                await self._stage.start_ext_proc()
            case _:
                self._topology = await self._start_topology()

    def _pid(self, name: str) -> int:
        if name == TOPOLOGY:
            assert self._topology is not None
            return self._topology.pid
        return self._stage.pid(name)

    async def _start_topology(self) -> Child:
        command = [sys.executable, "-m", "cellplane", "topology", f"--etcd={self._stage.etcd_endpoint}"]
        listen = [f"--listen=127.0.0.1:{free_port()}", f"--status-listen=127.0.0.1:{free_port()}"]
        child = Child([*command, *listen], self._stage.folder / "topology.log")
        self._stack.push_async_callback(child.kill)
        child.spawn()
        return child

    async def _healthy(self) -> None:
        async def look() -> bool:
            return await self._stage.envoy_stat("cluster.ext-proc.membership_healthy") == 1

        await eventually(look, "Envoy to find ext-proc healthy", within=60)

    async def _timeouts(self) -> int:
        return await self._stage.envoy_stat("http..ext_proc.owners.message_timeouts")


def judged(answers: Sequence[Answer]) -> dict[str, Any]:
    """Count what failed that may not, and how fresh names were answered."""
    fresh = [each for each in answers if each.ask.kind == "fresh"]
    others = [each for each in answers if each.ask.kind != "fresh"]
    failed = [each for each in others if not _owned(each)]
    policy = [each for each in fresh if _by_policy(each)]
    astray = [each for each in fresh if not _owned(each) and not _by_policy(each)]
    shown = [(each.ask.kind, each.status, each.cell, each.error) for each in (failed + astray)[:3]]
    return {
        "requests": len(answers),
        "failed": len(failed),
        "fresh": len(fresh),
        "by_policy": len(policy),
        "astray": len(astray),
        **({"first": shown} if shown else {}),
    }


def _owned(answer: Answer) -> bool:
    return answer.status == 200 and answer.cell == answer.ask.owner


def _by_policy(answer: Answer) -> bool:
    return answer.status == 503 and answer.response_headers.get("x-cellplane-rule") == "claim"


async def run(
    stage: Stage, *, rate: float, requests: int, fresh: int, alone: bool
) -> dict[str, dict[str, Any]]:
    """Have every fault under traffic; `alone`: also each one alone."""
    found: dict[str, dict[str, Any]] = {}
    async with AsyncExitStack() as stack:
        faults = Faults(stage, stack, rate, fresh)
        await faults.begin()
        flow = asyncio.ensure_future(faults.traffic.run())
        try:
            await faults.traffic.more(20)
            for name in EACH if alone else ():
                found[f"{name} killed"] = await faults.killed((name,), requests)
                found[f"{name} frozen"] = await faults.frozen((name,), requests)
            found["all frozen"] = await faults.frozen(EACH, requests)
            found["all killed"] = await faults.killed(EACH, requests)
        finally:
            flow.cancel()
            await asyncio.gather(flow, return_exceptions=True)
    return found
