"""Git over SSH, carried as one HTTP request with both directions open: as gitlab-shell asks a cell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from cellplane.demo.free_port import free_port
from envoy.edge import EdgeSettings, Lookups
from envoy.ruleset import Ruleset
from tests.envoy.edge_rig import cell, view_of
from tests.envoy.owners_rig import owner_rules, serving_owners
from tests.protocols.cells import counted, edge_of, rules
from tests.protocols.programs import LEAST, memory_peak_kib
from tests.protocols.streams import echo_stream, send_through, talk
from topology.model import Endpoint
from topology.service.classify import Lifetimes

BIG = 64 << 20
FETCH, PUSH = "/globex/web.git/ssh-upload-pack", "/globex/web.git/ssh-receive-pack"


async def nobody(_: web.Request) -> web.Response:
    return web.Response(status=404)


async def test_each_side_speaks_when_it_likes(tmp_path: Path) -> None:
    async with edge_of(tmp_path, nobody, echo_stream) as (edge, client):
        words = [b"want", b"have" * 1000, b"done"]
        for path in (FETCH, PUSH):
            assert await talk(client, path, words) == words
        assert await counted(edge) == {"git-ssh": 2}


@pytest.mark.tools("curl")
async def test_over_http2_too(tmp_path: Path) -> None:
    async with edge_of(tmp_path, nobody, echo_stream) as (edge, _):
        url = f"http://127.0.0.1:{edge.port}{FETCH}"
        process = await asyncio.create_subprocess_exec(
            *("curl", "--silent", "--no-buffer", "--http2-prior-knowledge"),
            *("--request", "POST", "--upload-file", ".", url),
            env=LEAST,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin
        assert process.stdout
        try:
            async with asyncio.timeout(20):
                for word in (b"want", b"have", b"done"):
                    process.stdin.write(word)
                    assert await process.stdout.readexactly(4) == word
                process.stdin.close()
                assert await process.stdout.read() == b""
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert await edge.envoy.stat("http.edge.downstream_cx_http2_total") == 1
        assert await counted(edge) == {"git-ssh": 1}


async def test_a_big_stream_both_ways_leaves_the_edges_memory_as_it_was(tmp_path: Path) -> None:
    async with edge_of(tmp_path, nobody, echo_stream) as (edge, client):
        assert await send_through(client, FETCH, 1 << 20) == 1 << 20
        before = memory_peak_kib(edge.envoy.pid)
        assert await send_through(client, PUSH, BIG) == BIG
        assert (memory_peak_kib(edge.envoy.pid) - before) << 10 < BIG // 8


async def test_a_silent_stream_is_not_cut_while_a_silent_page_is(tmp_path: Path) -> None:
    assert await silent_stream(tmp_path, rules(), None) == "path"


async def test_a_stream_whose_owner_was_asked_for_may_be_silent_too(tmp_path: Path) -> None:
    """Its route is looked up three times before it is the stream's own."""
    async with serving_owners(view_of(cell(1), cell(2)), Lifetimes(found=60, not_found=60)) as owners:
        owners.own(2, "globex")
        place = Endpoint(host="127.0.0.1", port=owners.port)
        lookups = Lookups(endpoints=(place,), timeout_seconds=0.25)
        assert await silent_stream(tmp_path, owner_rules(), lookups) == "path"
        assert owners.asked == 1


async def silent_stream(folder: Path, ruleset: Ruleset, lookups: Lookups | None) -> str:
    """Be silent on a stream and on a page until the page is given up, speak on; give the stream's rule."""
    settings = EdgeSettings(
        listen_address="127.0.0.1",
        listen_port=free_port(),
        health_check_path="",
        stream_idle_seconds=0.3,
        lookups=lookups,
        count_decisions=True,
    )
    cut = asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        if "ssh-" in request.path:
            return await echo_stream(request)
        await cut.wait()
        return web.Response()

    async def body() -> AsyncIterator[bytes]:
        yield b"want"
        await cut.wait()
        yield b"done"

    async with edge_of(folder, nobody, serve, ruleset=ruleset, settings=settings) as (edge, client):
        if lookups:
            await edge.envoy.until_stat("cluster.ext-proc.membership_healthy", 1)
        async with client.post(FETCH, data=body()) as stream:
            assert await stream.content.readexactly(4) == b"want"
            async with client.get("/globex/page") as page:
                assert page.status == 504
            cut.set()
            assert await stream.content.read() == b"done"
        assert await edge.envoy.stat("http.edge.downstream_rq_idle_timeout") == 1
        assert await counted(edge) == {"git-ssh": 1, "other": 1}
        return stream.headers["x-cellplane-rule"]
