"""Long polls: held by a cell, given up in their own time, and counted apart from pages."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from tests.envoy.token_samples import token
from tests.protocols.cells import counted, edge_of, rules

POLL = {
    "name": "poll",
    "match": [
        {"type": "method", "values": ["POST"]},
        {"type": "path", "prefix": "/api/v4/jobs/request"},
    ],
}
RUNNER = {
    "name": "runner",
    "type": "match",
    "match": [{"type": "header", "name": "runner-token", "as": "value"}],
    "transform": [{"type": "routable-token", "input": "${value}", "output": "token"}],
    "action": {"classify": [{"type": "cell_id", "value": "${token.c}"}]},
}
URL = "/api/v4/jobs/request"
MINE = {"runner-token": token("c:2\no:7", prefix="glrt-")}


async def test_a_runners_question_is_held_by_its_cell(tmp_path: Path) -> None:
    asked, job = asyncio.Event(), asyncio.Event()

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="a page")

    async def hold(request: web.Request) -> web.Response:
        if request.method == "GET":
            return await page(request)
        assert await request.read() == b"{}"
        asked.set()
        await job.wait()
        return web.Response(status=201, text="a job")

    async with (
        edge_of(tmp_path, page, hold, ruleset=rules(RUNNER)) as (edge, client),
        asyncio.TaskGroup() as group,
    ):

        async def ask() -> str:
            async with client.post(URL, data=b"{}", headers=MINE) as answer:
                return f"{answer.status} {answer.headers['x-cellplane-cell']} {await answer.text()}"

        question = group.create_task(ask())
        await asked.wait()
        assert await edge.envoy.stat("cluster.cell-2.upstream_rq_active") == 1
        job.set()
        assert await question == "201 cell-2 a job"
        async with client.get(URL) as answer:
            assert await answer.text() == "a page"
        assert await counted(edge) == {"poll": 1, "other": 1}


async def test_a_poll_that_hangs_is_given_up_and_a_page_is_not(tmp_path: Path) -> None:
    given_up = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        if request.method == "POST":
            await asyncio.Event().wait()
        await given_up.wait()
        return web.Response(text="late")

    ruleset = rules(RUNNER, traffic=[{**POLL, "timeout_seconds": 0.3}])
    async with edge_of(tmp_path, hang, hang, ruleset=ruleset) as (edge, client), asyncio.TaskGroup() as group:

        async def page() -> str:
            async with client.get(URL) as answer:
                return await answer.text()

        slow = group.create_task(page())
        async with client.post(URL, data=b"{}", headers=MINE) as answer:
            assert answer.status == 504
        assert await edge.envoy.stat("vhost.edge.vcluster.poll.upstream_rq_timeout") == 1
        assert await edge.envoy.stat("cluster.cell-2.upstream_rq_retry") == 0, "a question is asked once"
        given_up.set()
        assert await slow == "late"
