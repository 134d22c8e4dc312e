"""Envoys' counters: read over HTTP, made into rates."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from cellplane.demo.free_port import free_port
from cellplane.envoy_counters import CountersUnread, rates, read_requests, told


async def test_counters_of_several_envoys_are_summed() -> None:
    asked: list[str] = []

    async def stats(request: web.Request) -> web.Response:
        asked.append(request.query["filter"])
        names = ("cluster.cell-2.upstream_rq_total", "cluster.ext-proc.upstream_rq_total")
        return web.json_response({"stats": [{"name": name, "value": 7} for name in names]})

    app = web.Application()
    app.router.add_get("/stats", stats)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    admin = f"http://127.0.0.1:{port}"
    assert await asyncio.to_thread(read_requests, (admin, f"{admin}/")) == {2: 14}
    assert asked[0] == r"^cluster\.cell-[0-9]+\.upstream_rq_total$"
    await runner.cleanup()


def test_one_that_does_not_tell_is_named() -> None:
    with pytest.raises(CountersUnread, match="does not tell its counters"):
        read_requests((f"http://127.0.0.1:{free_port()}",))


def test_rates_and_words() -> None:
    found = rates({1: 100, 2: 50}, {1: 160, 2: 50, 3: 20}, 2.0)
    assert found == {1: 30.0, 2: 0.0, 3: 10.0}
    assert rates({1: 100}, {1: 10}, 1.0) == {1: 0.0}, "it was restarted"
    assert told(1, found) == "Envoy: 30 of 40 requests/s, 75 %"
    assert told(1, {}) == "Envoy: 0 of 0 requests/s"
