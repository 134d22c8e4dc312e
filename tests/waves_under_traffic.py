"""Changes that go out in waves to many Envoys while requests flow through all of them: a good one, a bad one,
a leader that dies, a drain.

A test runs it small, the proof of the same name with 20 Envoys and 980 more streams. The Envoys share a port;
the kernel divides the connections. They refuse a regular expression that is too large, which the rules allow.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from cellplane.demo.changes import RULES, moved, weighed
from cellplane.demo.ports import Ports
from cellplane.demo.programs import control_plane_command
from cellplane.demo.stage import Stage
from cellplane.demo.traffic import UNOWNED, Traffic, failed, path_ask, session_ask, wrong_owner
from envoy.bootstrap import bootstrap
from tests.changes_under_traffic import begin_topology
from tests.envoy_process import EnvoyProcess
from tests.processes import Child, eventually
from topology.model import CellState

ROOT = Path(__file__).resolve().parent.parent
RATE_PER_SECOND = 50.0
CANARY = "edge-0"
GUARD = {"re2.max_program_size.error_level": 100}
LARGE = "^/(" + "|".join(f"a{number}[a-z]{{1,20}}" for number in range(60)) + ")$"
BAD_RULES = {**RULES, "traffic": [{"name": "large", "match": [{"type": "path", "regex": LARGE}]}]}


@dataclass
class Fleet:
    """Everything that runs: two control planes, Envoys, streams of clients that acknowledge everything."""

    stage: Stage
    folder: Path
    second: Ports
    traffic: Traffic
    envoys: list[EnvoyProcess] = field(default_factory=list)
    replica: Child | None = None

    async def command(self, *arguments: str, expect: tuple[int, ...] = (0,)) -> str:
        """Run `cellplane …` against the second control plane, as a person does."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cellplane", *arguments,
            env={"PATH": "/usr/bin:/bin", "CELLPLANE_USER": "ada", "COLUMNS": "200",
                 "CELLPLANE_TOPOLOGY": self.second.topology_address,
                 "CELLPLANE_CONTROL_PLANE": self.second.status_url},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
        assert process.returncode in expect, output
        assert "Traceback" not in output, output
        return output

    async def page(self, path: str) -> Any:
        return await self.stage.json(f"{self.second.status_url}{path}")

    async def wave(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.page("/v1/waves"))["groups"][0]["wave"] or {}
        return found

    async def until(self, state: str, within: float = 60.0) -> dict[str, Any]:
        """Wait until the wave stands so."""

        async def stands() -> dict[str, Any]:
            wave = await self.wave()
            return wave if wave.get("state") == state else {}

        return await eventually(stands, f"a wave that is {state}", within)

    async def at_rest(self) -> dict[str, Any]:
        """Give the nodes by name, once all have acknowledged the last good state; nothing before."""
        nodes = {node["id"]: node for node in (await self.page("/v1/fleet/all"))["nodes"]}
        good = (await self.wave())["good"]
        return nodes if all(node["settled_tag"] == good for node in nodes.values()) else {}

    async def metric(self, line: str) -> bool:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.second.status_url}/metrics") as response,
        ):
            lines = (await response.text()).splitlines()
            return line in lines

    async def pushed(self, identity: str, state: str) -> dict[str, Any]:
        """Wait until a push's story has come so far, and give the push."""

        async def told() -> dict[str, Any]:
            push: dict[str, Any] = await self.page(f"/v1/pushes/{identity}")
            return push if push.get("wave", {}).get("state") == state else {}

        return await eventually(told, f"push {identity} to be {state}", 30)


@asynccontextmanager
async def fleet(
    folder: Path, envoys: int, streams: int, stages: Sequence[str], *, replicas: int = 2
) -> AsyncIterator[Fleet]:
    """Bring up control planes and all clients, with waves in force and traffic flowing."""
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(Stage(folder, Ports()))
        await begin_topology(stage, "--replica", "a")
        asks = [session_ask(1), UNOWNED, session_ask(2), UNOWNED, session_ask(3), path_ask("/acme", 3)]
        made = Fleet(stage, folder, stage.ports, Traffic(stage.edge_url, asks, RATE_PER_SECOND))
        if replicas > 1:
            ports = Ports(etcd=stage.ports.etcd, etcd_peer=stage.ports.etcd_peer, edge=stage.ports.edge)
            command = [*control_plane_command(ports, folder / "state-b"), "--replica", "b"]
            made.second, made.replica = ports, Child(command, folder / "control-plane-b.log")
            stack.push_async_callback(made.replica.stop)
            made.replica.spawn()
            await made.replica.ready(lambda: _answers(f"{ports.status_url}/readyz"), within=60)
        shares = [argument for each in stages for argument in ("--stage", each)]
        await made.command("pushes", "waves", "set", *shares, "--min-nodes", str(envoys + streams))
        for number in range(envoys):
            made.envoys.append(await stack.enter_async_context(_envoy(made, number)))
        for name, port, count in (
            ("a", stage.ports.xds, streams // 2),
            ("b", made.second.xds, streams - streams // 2),
        ):
            await stack.enter_async_context(_streams(port, count, f"stream-{name}-"))
        await made.until("READY", within=120)
        flow = asyncio.ensure_future(made.traffic.run())
        try:
            await made.traffic.more(50)
            yield made
        finally:
            flow.cancel()
            await asyncio.gather(flow, return_exceptions=True)


async def a_good_change(of: Fleet) -> dict[str, Any]:
    """Weigh a cell; every node gets it, in stages."""
    began = time.monotonic()
    await of.stage.commit(weighed(1, 50))
    wave = await of.until("GOING")
    await of.until("READY", within=180)
    push = await of.pushed(wave["id"], "DONE")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "stages": [event["what"] for event in push["wave"]["events"]],
    }


async def a_bad_rule(of: Fleet) -> dict[str, Any]:
    """Apply a rule that real Envoys refuse: it is stopped in the first wave, and all tell the same story."""
    before = await eventually(of.at_rest, "all to have the last good state", 60)
    rules = of.folder / "bad.json"
    rules.write_text(json.dumps(BAD_RULES))
    began = time.monotonic()
    await of.command("rules", "apply", str(rules), "--reason", "a shorter way")
    wave = await of.until("HALTED")
    seconds = round(time.monotonic() - began, 1)

    async def told() -> dict[str, Any]:
        # The story is the leader's; who rejected it comes from the replica that the canary is at.
        push = await of.pushed(wave["id"], "HALTED")
        return push if push["outcome"]["rejected"] else {}

    push = await eventually(told, "the rejection in the history", 60)
    assert wave["reason"].startswith(f"{CANARY} rejected route edge: "), wave
    assert push["lines"][0] == "rules: traffic: changed", push["lines"]
    assert (push["authors"], push["outcome"]["rejected"]) == (["ada"], 1), push
    listed = await of.command("pushes", "list", "--limit", "3")
    assert "HALTED" in listed, listed
    status = await of.command("fleet", "status", expect=(0, 1))
    assert f"HALTED: push {wave['id']} ({CANARY} rejected route edge" in status, status
    shown = await of.command("fleet", "show", CANARY)
    assert f"came with push {wave['id']}" in shown, shown
    for line in (
        'cellplane_wave_halted{group="edge"} 1.0',
        'cellplane_wave_waiting{group="edge"} 1.0',
    ):
        assert await of.metric(line), line
    after = {node["id"]: node for node in (await of.page("/v1/fleet/all"))["nodes"]}
    assert after.keys() == before.keys(), "nobody has left"

    def sent(nodes: dict[str, Any], name: str) -> int:
        return int(nodes[name]["types"]["route"]["responses_sent"])

    untouched = [name for name in before if name != CANARY and sent(after, name) == sent(before, name)]
    back = await of.command("pushes", "rollback", wave["id"], "--yes", "--reason", "it was refused")
    assert "Committed" in back, back
    await of.until("READY")
    assert await eventually(lambda: of.metric('cellplane_wave_halted{group="edge"} 0.0'), "no halt")
    return {
        "halted_after_seconds": seconds,
        "told_nothing": len(untouched),
        "of": len(before),
        "envoy_says": wave["reason"][:160],
    }


async def a_leader_dies(of: Fleet) -> dict[str, Any]:
    """Kill the leader in the middle of a wave: the other goes on with it."""
    led_by_second = await of.metric("cellplane_wave_leader 1.0")
    await of.stage.commit(weighed(2, 50))
    wave = await of.until("GOING")
    began = time.monotonic()
    if led_by_second:
        assert of.replica is not None
        await of.replica.kill()
        of.replica.spawn()
        await of.replica.ready(lambda: _answers(f"{of.second.status_url}/readyz"), within=60)
    else:
        await of.stage.kill("control-plane")

    async def goes_on() -> bool:
        now = await of.wave()
        return bool(now["state"] == "READY" or now["stage"] > wave["stage"])

    await eventually(goes_on, "another leader's step", 60)
    resumed = round(time.monotonic() - began, 1)
    if not led_by_second:
        await of.stage.start_control_plane("--replica", "a")
    await of.until("READY", within=180)
    push = await of.pushed(wave["id"], "DONE")
    return {"resumed_after_seconds": resumed, "steps": len(push["wave"]["events"])}


async def a_drain(of: Fleet, seconds: int) -> dict[str, Any]:
    """Drain a cell under load: what nobody owns goes elsewhere, what it owns is still served."""
    await of.stage.commit(moved(2, CellState.DRAINING, over_seconds=seconds))
    wave = await of.until("GOING")
    await of.until("READY", within=180)
    await of.pushed(wave["id"], "DONE")
    await asyncio.sleep(seconds)
    mark = of.traffic.mark()
    await of.traffic.more(100)
    unowned = sum(a.cell == 2 and a.ask.owner is None for a in of.traffic.since(mark))
    owned = sum(a.cell == 2 and a.ask.owner == 2 for a in of.traffic.since(mark))
    assert (unowned, owned > 0) == (0, True), (unowned, owned)
    return {"owned_still_served": owned}


async def fleet_status(of: Fleet) -> dict[str, Any]:
    """Time what an operator waits for."""
    began = time.monotonic()
    whole = await of.page("/v1/fleet/all")
    page = time.monotonic() - began
    began = time.monotonic()
    await of.command("fleet", "status", expect=(0, 1))
    return {
        "nodes": len(whole["nodes"]),
        "page_ms": round(page * 1000),
        "command_ms": round((time.monotonic() - began) * 1000),
    }


def lost(of: Fleet) -> dict[str, Any]:
    """Say what became of the traffic."""
    answers = of.traffic.answers
    return {
        "requests": len(answers),
        "lost": len(failed(answers)),
        "first_lost": [(one.ask.kind, one.status, one.error) for one in failed(answers)[:5]],
        "wrong_owner": len(wrong_owner(answers)),
    }


@asynccontextmanager
async def _envoy(of: Fleet, number: int) -> AsyncIterator[EnvoyProcess]:
    addresses = [f"127.0.0.1:{of.stage.ports.xds}", f"127.0.0.1:{of.second.xds}"]
    document = bootstrap(
        role="edge",
        node_id=f"edge-{number}",
        xds_addresses=addresses if number % 2 else addresses[::-1],
        admin_port=0,
        canary=number == 0,
    )
    document["layered_runtime"]["layers"][0]["static_layer"] = GUARD
    envoy = EnvoyProcess(document, of.folder / f"envoy-{number}")
    try:
        await envoy.start(wait_ready=False)
        await envoy.ready(within=60)
        yield envoy
    finally:
        await envoy.stop()


@asynccontextmanager
async def _streams(port: int, count: int, prefix: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.fanout_client", "--port", str(port), "--streams", str(count),
        "--clusters", "4", "--prefix", prefix,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return bool(response.status == 200)
    except aiohttp.ClientError:
        return False
