"""The tour's step about moves: the customer behind a claimed path goes to another cell, and the edge follows.

The tour hands it the stage and the story.
"""

from __future__ import annotations

import asyncio

from cellplane.cli.moves_report import step_name
from cellplane.demo.claims import CLAIMED, OWNER
from cellplane.demo.say import Story
from cellplane.demo.stage import Stage
from cellplane.demo.traffic import Traffic, failed

_TO = 3
_WINDOW_SECONDS = 1
_RATE = 50.0


async def move_the_owner(stage: Stage, story: Story) -> None:
    """Move the owner of the claimed path from cell 2 to cell 3 while its requests flow."""
    story.step(f"{OWNER} moves to cell {_TO} with its path, and the edge follows")
    story.did(f"cellplane moves start {OWNER} --to {_TO} --test-window {_WINDOW_SECONDS}s")
    async with asyncio.TaskGroup() as tasks:
        traffic = Traffic(stage.edge_url, [CLAIMED], _RATE)
        flow = tasks.create_task(traffic.run())
        await traffic.more(10)
        before = {answer.cell for answer in traffic.answers}
        move = await stage.topology.move(OWNER, 2, _TO, _WINDOW_SECONDS)
        mark = traffic.mark()
        await traffic.more(30)
        flow.cancel()
    for entry in move.history:
        if entry.what == "done":
            story.moved(f"{step_name(entry.step).lower()}: {entry.words}")
    story.check(move.ended and not move.waiting, "each step was done once, and the move committed")
    story.check(before == {2}, "before, its requests landed on cell 2", f"{before}")
    after = [answer.cell for answer in traffic.since(mark)[5:]]
    story.check(
        set(after) == {_TO},
        f"{len(after)} requests after it land on cell {_TO}",
        f"{sorted(set(after), key=str)}",
    )
    lost = failed(traffic.answers)
    story.check(not lost, f"no request failed meanwhile ({len(traffic.answers)} sent)", f"{lost[:3]}")
    story.did("cellplane claims create --cell 2 ROUTES initech")
    refused = await stage.topology.claim(2, "initech")
    story.check(f"cell {_TO}" in refused, f"refused: {refused}", "cell 2 took it back")
