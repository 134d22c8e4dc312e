"""WebSockets through the edge, with aiohttp's client: by session, by an agent's token, and in silence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from cellplane.demo.free_port import free_port
from envoy.edge import EdgeSettings
from tests.envoy.token_samples import token
from tests.protocols.cells import Handler, counted, edge_of, rules

BEARER = {"type": "header", "name": "authorization", "regex": "^[Bb]earer +(?P<value>[!-~]+)$"}
AGENTS = {
    "name": "agent",
    "type": "match",
    "match": [
        {"type": "host", "values": ["kas.gitlab.test"]},
        BEARER,
    ],
    "transform": [{"type": "routable-token", "input": "${value}", "output": "token"}],
    "action": {"classify": [{"type": "cell_id", "value": "${token.c}"}]},
    "otherwise": {"malformed": 401, "unknown": 503},
}


def shouting(name: str) -> Handler:
    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("v1.kas",))
        await socket.prepare(request)
        async for message in socket:
            assert message.type is WSMsgType.TEXT
            await socket.send_str(f"{name} {message.data.upper()}")
        return socket

    return serve


async def test_a_websocket_finds_the_cell_of_its_session(tmp_path: Path) -> None:
    async with edge_of(tmp_path, shouting("one"), shouting("two")) as (edge, client):
        for cell, name in (("cell-1", "one"), ("cell-2", "two")):
            cookie = {"cookie": f"_gitlab_session={cell}-abc"}
            async with client.ws_connect("/-/cable", headers=cookie) as socket:
                for word in ("ping", "pong"):
                    await socket.send_str(word)
                    assert await socket.receive_str() == f"{name} {word.upper()}"
        assert await counted(edge) == {"websocket": 2}


async def test_an_agent_finds_its_cell_by_its_token(tmp_path: Path) -> None:
    async with edge_of(tmp_path, shouting("one"), shouting("two"), ruleset=rules(AGENTS)) as (edge, client):

        def agent(text: str) -> dict[str, str]:
            return {"host": "kas.gitlab.test", "authorization": f"Bearer {text}"}

        for cell, name in ((1, "one"), (2, "two")):
            mine = agent(token(f"c:{cell}\no:7", prefix="glagent-"))
            async with client.ws_connect("/", headers=mine, protocols=("v1.kas",)) as socket:
                assert socket.protocol == "v1.kas"
                await socket.send_str("hello")
                assert await socket.receive_str() == f"{name} HELLO"
        for text, status in ((token("c:3\no:7", prefix="glagent-"), 503), ("glagent-broken", 401)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect("/", headers=agent(text))
            assert refused.value.status == status
        assert await edge.envoy.stat("vhost.edge.vcluster.websocket.upstream_rq_total") == 2


async def test_silence_ends_a_page_and_no_websocket(tmp_path: Path) -> None:
    """Both are silent at once; when the page has been given up for it, the WebSocket still speaks."""

    async def silent(request: web.Request) -> web.StreamResponse:
        if request.headers.get("upgrade"):
            return await shouting("one")(request)
        page = web.StreamResponse()
        await page.prepare(request)
        await asyncio.Event().wait()
        return page

    settings = EdgeSettings(
        listen_address="127.0.0.1", listen_port=free_port(), health_check_path="", stream_idle_seconds=0.3
    )
    read = {
        **AGENTS,
        "match": [BEARER],
        "otherwise": {},
    }  # Lua reads the request, and then asks again
    mine = {"authorization": f"Bearer {token('c:1')}"}
    async with (
        edge_of(tmp_path, silent, ruleset=rules(read), settings=settings) as (edge, client),
        client.ws_connect("/-/cable") as socket,
        client.ws_connect("/-/cable", headers=mine) as read_socket,
    ):
        async with client.get("/acme") as page:
            with pytest.raises(aiohttp.ClientPayloadError):
                await page.read()
        assert await edge.envoy.stat("http.edge.downstream_rq_idle_timeout") == 1
        for each in (socket, read_socket):
            await each.send_str("still here")
            assert await each.receive_str() == "one STILL HERE"
