"""What Envoys counted between two looks at a drain."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from cellplane.cli.drain_counters import Counted
from cellplane.demo.free_port import free_port


async def test_what_came_since_the_last_look_is_told() -> None:
    values = iter((100, 160, 160))

    async def stats(request: web.Request) -> web.Response:
        del request
        return web.json_response(
            {"stats": [{"name": "cluster.cell-2.upstream_rq_total", "value": next(values)}]}
        )

    app = web.Application()
    app.router.add_get("/stats", stats)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    seen = await asyncio.to_thread(Counted, 2, (f"http://127.0.0.1:{port}",))
    said = [await asyncio.to_thread(seen.since) for _ in range(2)]
    await runner.cleanup()
    assert said[0].startswith("; Envoy: ")
    assert said[0].endswith("100 %")
    assert said[1] == "; Envoy: 0 of 0 requests/s", "each look starts anew"


def test_nobody_named_and_one_that_does_not_tell(capsys: pytest.CaptureFixture[str]) -> None:
    assert Counted(2, ()).since() == ""
    assert capsys.readouterr().err == ""
    assert Counted(2, (f"http://127.0.0.1:{free_port()}",)).since() == ""
    assert capsys.readouterr().err.count("does not tell its counters") == 2
