"""Changes that go out in waves to many Envoys while requests flow through all of them: a good one, a bad one,
one that a real Prometheus stops, a leader that dies, a drain.

A test runs it small, the proof of the same name with 20 Envoys and 980 more streams. The Envoys share a port;
the kernel divides the connections. They refuse a regular expression that is too large, which the rules allow.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shlex
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from cellplane.demo.changes import RULES, weighed
from cellplane.demo.ports import Ports
from cellplane.demo.programs import control_plane_command
from cellplane.demo.stage import Stage
from cellplane.demo.traffic import UNOWNED, Traffic, failed, path_ask, session_ask, wrong_owner
from envoy.bootstrap import bootstrap
from tests.browser import chromium
from tests.changes_under_traffic import begin_topology
from tests.envoy_process import EnvoyProcess
from tests.processes import Child, eventually
from tests.prometheus_server import PrometheusServer
from tests.runbook_pages import first_minute, text_of

ROOT = Path(__file__).resolve().parent.parent
RATE_PER_SECOND = 50.0
CANARY = "edge-0"
GUARD = {"re2.max_program_size.error_level": 100}
LARGE = "^/(" + "|".join(f"a{number}[a-z]{{1,20}}" for number in range(60)) + ")$"
COUNTED = "--edge-count-decisions"  # classes too, and so what Envoy refuses of them is in the routes
BAD_RULES = {**RULES, "traffic": [{"name": "large", "match": [{"type": "path", "regex": LARGE}]}]}


@dataclass
class Fleet:
    """Everything that runs: two control planes, Envoys, streams of clients that acknowledge everything."""

    stage: Stage
    folder: Path
    second: Ports
    traffic: Traffic
    prometheus: PrometheusServer
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

    async def console(self, selector: str) -> str:
        """Give what the console's page shows, by a real browser."""
        async with chromium() as browser:
            page = await browser.new_page()
            await page.goto(self.second.status_url)
            await page.locator(selector).first.wait_for()
            return str(await page.locator("body").inner_text())

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
        await begin_topology(stage, "--replica", "a", COUNTED)
        asks = [session_ask(1), UNOWNED, session_ask(2), UNOWNED, session_ask(3), path_ask("/acme", 3)]
        second = stage.ports
        if replicas > 1:
            second = Ports(etcd=stage.ports.etcd, etcd_peer=stage.ports.etcd_peer, edge=stage.ports.edge)
        watched = [f"127.0.0.1:{each}" for each in dict.fromkeys((stage.ports.status, second.status))]
        prometheus = PrometheusServer(folder / "prometheus", {"cellplane": ("/metrics", watched)})
        stack.push_async_callback(prometheus.stop)
        made = Fleet(stage, folder, second, Traffic(stage.edge_url, asks, RATE_PER_SECOND), prometheus)
        if replicas > 1:
            command = [*control_plane_command(second, folder / "state-b"), "--replica", "b", COUNTED]
            made.replica = Child(command, folder / "control-plane-b.log")
            stack.push_async_callback(made.replica.stop)
            made.replica.spawn()
            await made.replica.ready(lambda: _answers(f"{second.status_url}/readyz"), within=60)
        await prometheus.start()
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


async def a_bad_rule(of: Fleet, *, full: bool) -> dict[str, Any]:
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
    words = f"{CANARY} rejected route edge: "
    assert wave["reason"].startswith(words), wave
    assert push["lines"][0] == "rules: traffic: changed", push["lines"]
    assert (push["authors"], push["outcome"]["rejected"]) == (["ada"], 1), push
    after = {node["id"]: node for node in (await of.page("/v1/fleet/all"))["nodes"]}
    assert after.keys() == before.keys(), "nobody has left"

    def sent(nodes: dict[str, Any], name: str) -> int:
        return int(nodes[name]["types"]["route"]["responses_sent"])

    untouched = [name for name in before if name != CANARY and sent(after, name) == sent(before, name)]
    alert = await the_same_story(of, wave, words, full=full)
    back = await of.command("pushes", "rollback", wave["id"], "--yes", "--reason", "it was refused")
    assert "Committed" in back, back
    await of.until("READY")
    assert await eventually(lambda: of.metric('cellplane_wave_halted{group="edge"} 0.0'), "no halt")

    async def quiet() -> bool:
        return not await of.prometheus.alert("PushWaveHalted")

    await eventually(quiet, "an end of the alert", 60)
    healthy = await of.command("fleet", "status")
    assert "HALTED" not in healthy, healthy
    return {
        "halted_after_seconds": seconds,
        "told_nothing": len(untouched),
        "of": len(before),
        "alert": alert,
        "envoy_says": wave["reason"][:160],
    }


async def the_same_story(of: Fleet, wave: dict[str, Any], words: str, *, full: bool) -> str:
    """Read of a halted wave wherever a person may look: each names the push, and what Envoy said of it.

    In full the alert must fire, and the console is read with a browser; else the alert is about to, and the
    console's state is read.
    """
    listed = await of.command("pushes", "list", "--limit", "3", "--output", "json")
    (first, *_) = [one for one in json.loads(listed)["pushes"] if one["id"] == wave["id"]]
    assert first["wave"]["state"] == "HALTED", first
    status = await of.command("fleet", "status", expect=(0, 1))
    assert f"HALTED: push {wave['id']} ({words}" in status, status
    shown = await of.command("fleet", "show", CANARY)
    assert f"came with push {wave['id']}" in shown, shown
    for name in ("halted", "waiting"):
        assert await of.metric(f'cellplane_wave_{name}{{group="edge"}} 1.0'), name

    async def woken() -> dict[str, Any]:
        alert = await of.prometheus.alert("PushWaveHalted")
        return alert if alert.get("state") == "firing" or (alert and not full) else {}

    alert = await eventually(woken, "the alert", 120)
    assert alert["labels"]["group"] == "edge", alert
    assert alert["annotations"]["summary"] == "A change to edge was stopped on its way and taken back", alert
    page = Path(alert["annotations"]["runbook"])
    assert (ROOT / page).is_file(), alert
    for command in first_minute(text_of(page.stem)):
        said = await of.command(*shlex.split(command.line.replace("$WAVE", wave["id"]))[1:])
        assert command.expected in said, (command, said)
        assert words in said, (command, said)
    title = f"The wave of push {wave['id']} is halted"
    if full:
        seen = await of.console("#notices")
    else:
        notices = (await of.page("/v1/console"))["notices"]
        seen = "\n".join(f"{each['title']} {each['text']}" for each in notices)
    assert title in seen, seen
    assert words in seen, seen
    return str(alert["state"])


async def a_watched_change(of: Fleet) -> dict[str, Any]:
    """Let a real Prometheus watch: a query above its limit halts the wave, and one that is not lets it go."""
    url = ("--prometheus", of.prometheus.url)
    calm = "calm=sum(up==bool 0)>0"
    harm = "harm=max(cellplane_wave_going)>0.5"
    await of.command("pushes", "waves", "set", *url, "--query", calm, "--query", harm, "--yes")
    began = time.monotonic()
    await of.stage.commit(weighed(3, 50))
    wave = await of.until("HALTED")
    seconds = round(time.monotonic() - began, 1)
    assert wave["reason"] == "query harm gives 1, above its limit 0.5", wave
    await of.command("pushes", "waves", "set", "--query", calm, "--yes")
    await of.command("pushes", "waves", "retry", wave["id"], "--yes", "--reason", "nothing was harmed")
    await of.until("READY", within=180)
    await of.pushed(wave["id"], "DONE")
    await of.command("pushes", "waves", "set", "--no-queries", "--yes")
    return {"halted_after_seconds": seconds}


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
        await of.stage.start_control_plane("--replica", "a", COUNTED)
    await of.until("READY", within=180)
    push = await of.pushed(wave["id"], "DONE")
    return {"resumed_after_seconds": resumed, "steps": len(push["wave"]["events"])}


async def a_drain(of: Fleet, seconds: int) -> dict[str, Any]:
    """Drain a cell by the command, under load: what nobody owns goes elsewhere, what it owns is served."""
    said = await of.command("cells", "drain", "2", "--over", f"{seconds}s", "--yes", "--reason", "INC-7")
    assert "undo" in said, said
    assert "unowned share: 0.0 %" in said, said
    # The command follows what is on record; its wave brings it to all.
    await of.until("READY", within=180)

    async def drained() -> bool:
        mark = of.traffic.mark()
        await of.traffic.more(60)
        return not any(one.cell == 2 and one.ask.owner is None for one in of.traffic.since(mark))

    await eventually(drained, "no unowned request at the cell", 120)
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
    began, spent = time.monotonic(), _children_seconds()
    await of.command("fleet", "status", expect=(0, 1))
    return {
        "nodes": len(whole["nodes"]),
        "page_ms": round(page * 1000),
        "command_ms": round((time.monotonic() - began) * 1000),
        "command_cpu_ms": round((_children_seconds() - spent) * 1000),
    }


def _children_seconds() -> float:
    """Give the CPU seconds of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
