"""The tour: one step per promise, each done for real and checked request by request.

Gives orders to the stage and prints through the story. A step that does not hold is printed as FAILED and
the tour goes on, so that one run shows everything that is wrong.
"""

from __future__ import annotations

import asyncio
import time

import aiohttp

from cellplane.demo.changes import PATHS, UP, added, moved, ruled
from cellplane.demo.claims import CLAIMED, claim_a_path
from cellplane.demo.kinds import KINDS, is_as_promised
from cellplane.demo.moves import move_the_owner
from cellplane.demo.say import Story
from cellplane.demo.sent import NOTHING, describe, sent_by_type
from cellplane.demo.stage import Effect, Stage
from cellplane.demo.traffic import (
    UNOWNED,
    Answer,
    Ask,
    Traffic,
    ask,
    by_cell,
    failed,
    path_ask,
    session_ask,
    wrong_owner,
)
from topology.model import CellState

RATE_PER_SECOND = 50.0
DRAIN_SECONDS = 2


class Tour:
    """Walk through the product on a stage that is already set."""

    def __init__(self, stage: Stage, story: Story) -> None:
        self._stage = stage
        self._story = story

    async def run(self) -> None:
        """Take every step; what fails is in `story.failures`."""
        await self._set_up()
        await self._keys()
        await claim_a_path(self._stage, self._story)
        async with asyncio.TaskGroup() as tasks:
            traffic = Traffic(self._stage.edge_url, self._round(), RATE_PER_SECOND)
            flow = tasks.create_task(traffic.run())
            try:
                await traffic.more(20)
                await self._add(traffic)
                await self._drain(traffic)
                await self._quarantine(traffic)
                await self._crash(traffic)
            finally:
                flow.cancel()
        await move_the_owner(self._stage, self._story)
        self._totals(traffic.answers)

    def _round(self) -> list[Ask]:
        owned = [session_ask(1), session_ask(2), session_ask(3), *(path_ask(p, c) for p, c in PATHS.items())]
        owned.append(CLAIMED)
        return [request for each in owned for request in (each, UNOWNED)]

    async def _set_up(self) -> None:
        stage, story = self._stage, self._story
        story.step("Three cells, a control plane and a real Envoy")
        await stage.start_etcd()
        story.did(f"started etcd on {stage.etcd_endpoint}")
        await self._start_control_plane()
        story.did(f"started the control plane on 127.0.0.1:{stage.ports.xds}, with the Topology Service")
        await stage.start_ext_proc()
        story.did(f"started ext-proc on {stage.ports.ext_proc_address}, which tells Envoy who owns what")
        for cell_id in (1, 2, 3):
            await stage.commit(added(await stage.start_cell(cell_id)))
            for state in UP:
                await stage.commit(moved(cell_id, state, "first cells"))
        settled = await stage.commit(ruled())
        story.did("added cells 1, 2, 3 and the rules (/acme belongs to cell 3, /globex to cell 2)")
        await stage.start_envoy()
        fleet = await stage.fleet(settled=settled)
        story.did(f"started Envoy on {stage.edge_url}")
        story.pushed(f"first configuration ACKed: {describe(sent_by_type(fleet))}")
        story.check(len(fleet["nodes"]) == 1, "one Envoy is connected and has ACKed everything")

    async def _start_control_plane(self) -> None:
        await self._stage.start_control_plane(f"--ext-proc={self._stage.ports.ext_proc_address}")

    async def _keys(self) -> None:
        story = self._story
        story.step("Each kind of key finds its cell")
        for request, rule in KINDS:
            answer = await self._ask(request)
            claim = f"{request.kind:<34} → cell {answer.cell} by rule {answer.rule}"
            story.check(is_as_promised(answer, rule), claim, f"{answer}")

    async def _add(self, traffic: Traffic) -> None:
        stage, story = self._stage, self._story
        story.step("A fourth cell joins while traffic flows")
        mark = traffic.mark()
        stub = await stage.start_cell(4)
        self._told("cells add --id 4 …", await stage.change(added(stub)))
        answer = await self._ask(Ask(kind="override", headers={"x-cellplane-override": "cell-4"}))
        story.check(answer.cell == 4, "in PROVISIONING only an operator's override reaches it")
        await traffic.more(30)
        early = [a for a in traffic.since(mark) if a.cell == 4]
        story.check(not early, "and no other request did", f"{len(early)} did")
        self._told("cells set-state 4 CANARY", await stage.change(moved(4, CellState.CANARY, "warm")))
        self._told("cells set-state 4 ACTIVE", await stage.change(moved(4, CellState.ACTIVE, "healthy")))
        mark_active = traffic.mark()
        await traffic.more(150)
        answers = traffic.since(mark)
        share = [a for a in traffic.since(mark_active) if a.ask.owner is None]
        story.check(by_cell(share)[4] > 0, f"it takes its share of unowned requests: {_shares(share)}")
        self._owners_hold(answers, "every owned request stayed with its owner")
        self._none_failed(answers)

    async def _drain(self, traffic: Traffic) -> None:
        stage, story = self._stage, self._story
        story.step("Cell 2 drains; what it owns still lands on it")
        mark = traffic.mark()
        effect = await stage.change(moved(2, CellState.DRAINING, "demo drain", over_seconds=DRAIN_SECONDS))
        self._told(f"cells drain 2 --over {DRAIN_SECONDS}s", effect)
        before = sent_by_type(await stage.fleet())
        ramp_ends = time.monotonic() + DRAIN_SECONDS + 1.0
        while time.monotonic() < ramp_ends:
            await traffic.more(10)
        ramp = describe(sent_by_type(await stage.fleet()) - before)
        story.pushed(f"{ramp}, while its share of unowned traffic fell in steps")
        mark_drained = traffic.mark()
        await traffic.more(100)
        after = traffic.since(mark_drained)
        stray = [a for a in after if a.ask.owner is None and a.cell == 2]
        owned = [a for a in traffic.since(mark) if a.ask.owner == 2]
        story.check(not stray, "unowned traffic to cell 2 went to zero", f"{len(stray)} requests")
        story.check(
            bool(owned) and all(a.cell == 2 and a.status == 200 for a in owned),
            f"all {len(owned)} of its sessions and paths landed on it meanwhile, checked one by one",
        )
        self._owners_hold(traffic.since(mark), "and so did everybody else's on theirs")
        self._none_failed(traffic.since(mark))

    async def _quarantine(self, traffic: Traffic) -> None:
        stage, story = self._stage, self._story
        story.step("Cell 3 is quarantined, and comes back")
        self._told(
            "cells quarantine 3",
            await stage.change(moved(3, CellState.QUARANTINED, "bad disk")),
        )
        mark = traffic.mark()
        await traffic.more(100)
        answers = traffic.since(mark)
        own = [a for a in answers if a.ask.owner == 3]
        refused = [a for a in own if a.status == 503 and a.response_headers.get("retry-after")]
        # A request that was on its way while the routes changed may still have been answered by the cell.
        story.check(
            len(refused) >= len(own) - 2 and bool(refused),
            f"its own traffic: {len(refused)} of {len(own)} got 503 with Retry-After",
        )
        self._owners_hold(answers, "nobody else's traffic was touched")
        self._none_failed(answers, quarantined=3)
        self._told(
            "cells set-state 3 ACTIVE", await stage.change(moved(3, CellState.ACTIVE, "disk replaced"))
        )
        mark = traffic.mark()
        await traffic.more(60)
        back = [a for a in traffic.since(mark)[5:] if a.ask.owner == 3]
        story.check(
            bool(back) and all(a.status == 200 for a in back),
            f"back in service: {len(back)} of its requests served",
        )

    async def _crash(self, traffic: Traffic) -> None:
        stage, story = self._stage, self._story
        story.step("The control plane and ext-proc are killed; traffic goes on")
        mark = traffic.mark()
        await stage.kill("control-plane")
        await stage.kill("ext-proc")
        story.did("kill -9 of the control plane, and of ext-proc")
        await traffic.more(100)
        self._none_failed(traffic.since(mark))
        self._owners_hold(traffic.since(mark), "every owned request found its owner without them")
        started = time.monotonic()
        await self._start_control_plane()
        story.did(f"started it again: ready in {time.monotonic() - started:.1f} s")
        await stage.start_ext_proc()
        fleet = await stage.fleet(settled=1)
        resent = sent_by_type(fleet).total()
        story.pushed(f"Envoy connected again; resources sent: {resent}")
        story.check(
            len(fleet["nodes"]) == 1 and resent == 0,
            "nothing was sent again",
            f"{resent} resources: {describe(sent_by_type(fleet))}",
        )
        mark = traffic.mark()
        effect = await stage.change(moved(2, CellState.ACTIVE, "drain called off"))
        self._told("cells undrain 2", effect)
        story.check(effect.sent != NOTHING, "and what changes from here on reaches Envoy as before")
        await traffic.more(60)
        self._none_failed(traffic.since(mark))

    def _totals(self, answers: list[Answer]) -> None:
        story = self._story
        story.step("All in all")
        quarantined = sum(a.status == 503 for a in answers)
        lost = failed(answers, quarantined=3)
        story.check(
            not lost,
            f"{len(answers)} requests, {quarantined} answered 503 as the quarantine asks, none lost",
            f"{lost[:3]}",
        )
        story.check(not (dead := self._stage.dead_children()), "every process is alive", "\n".join(dead))

    async def _ask(self, request: Ask) -> Answer:
        async with aiohttp.ClientSession() as session:
            return await ask(session, self._stage.edge_url, request)

    def _told(self, command: str, effect: Effect) -> None:
        self._story.did(f"cellplane {command}")
        sent = f"{effect.sent}; acknowledged" if effect.sent != NOTHING else "nothing to send; up to date"
        self._story.pushed(f"{sent} {effect.milliseconds:.0f} ms after the call (revision {effect.revision})")

    def _owners_hold(self, answers: list[Answer], claim: str) -> None:
        owned = sum(a.ask.owner is not None for a in answers)
        wrong = wrong_owner(answers)
        self._story.check(
            owned > 0 and not wrong,
            f"{claim} ({owned} requests)",
            f"{[(a.ask.kind, a.cell) for a in wrong[:3]]}",
        )

    def _none_failed(self, answers: list[Answer], quarantined: int | None = None) -> None:
        lost = failed(answers, quarantined=quarantined)
        self._story.check(
            bool(answers) and not lost, f"no request failed ({len(answers)} sent)", f"{lost[:3]}"
        )


def _shares(answers: list[Answer]) -> str:
    return ", ".join(f"cell {cell} {count}" for cell, count in sorted(by_cell(answers).items(), key=str))
