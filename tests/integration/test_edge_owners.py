"""Owners on a real Envoy: asked over ext_proc, remembered by Lua, forgotten when told to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import aiohttp
import grpc
import pytest
import trustme

from envoy.edge import LookupTls
from tests.envoy.owners_rig import asking_edge, owner_rules
from topology.model import Endpoint
from topology.service.classify import Lifetimes

COOKIE = ("cookie", "_gitlab_session=cell-1-0123")


async def test_an_owner_is_asked_for_once(tmp_path: Path) -> None:
    async with asking_edge(tmp_path) as asking:
        asking.owners.own(3, "acme")
        assert await asking.get("/acme/web") == "path 3"
        assert asking.owners.asked == 1
        for _ in range(3):
            assert await asking.get("/acme", COOKIE) == "path 3", "the path comes before the session"
        assert asking.owners.asked == 1, "remembered"
        assert await asking.get("/nobody") == "default 1"
        assert await asking.get("/nobody", COOKIE) == "session 1"
        assert asking.owners.asked == 2, "that nobody owns it is remembered too"
        assert await asking.get("/acme", ("x-cellplane-override", "cell-2")) == "override 2"
        assert await asking.get("/other", ("x-cellplane-override", "cell-2")) == "override 2"
        assert await asking.get("/users", COOKIE) == "session 1"
        assert asking.owners.asked == 2, "neither an override nor a page of the application's needs an owner"
        assert await asking.edge.envoy.stat("http.edge.lua.errors") == 0
        assert await asking.edge.envoy.stat("cellplane.rule.path.not_found.ip_parsing_failed") == 2
        assert asking.edge.envoy.warnings() == []
        assert asking.owners.server.answers == {("path", "found"): 1, ("path", "not_found"): 3}


async def test_who_owns_it_does_not_say_that_it_is_served(tmp_path: Path) -> None:
    async with asking_edge(tmp_path, owner_rules({"unknown": 503})) as asking:
        asking.owners.own(4, "new")
        asking.owners.own(5, "held")
        asking.owners.own(9, "gone")
        asking.owners.own(2, "acme")
        assert await asking.get("/new") == "path status 503", "PROVISIONING is reached by override alone"
        assert await asking.get("/new", ("x-cellplane-override", "cell-4")) == "override 4"
        assert await asking.get("/gone") == "path status 503"
        assert await asking.get("/held") == "path 5 status 503", "quarantined: nothing is lost"
        assert await asking.get("/acme") == "path 2"
        asked = asking.owners.asked
        drained = {each: one for each, one in asking.view.cells.items() if each != 2}
        await asking.publish(replace(asking.view, revision=20, cells=drained))
        assert await asking.get("/acme") == "path status 503"
        assert asking.owners.asked == asked, "what is remembered is the owner, never where requests go"


async def test_a_move_is_seen_as_soon_as_the_edge_is_told(tmp_path: Path) -> None:
    async with asking_edge(tmp_path) as asking:
        asking.owners.own(3, "acme", "web")
        for value in ("acme", "web"):
            assert await asking.get(f"/{value}", COOKIE) == "path 3"
        asking.owners.own(2, "acme")
        assert await asking.get("/acme", COOKIE) == "path 3", "nobody told the edge yet"
        before = {
            name: await asking.edge.envoy.stat(name)
            for name in ("listener_manager.listener_modified", "cluster_manager.cluster_modified")
        }
        await asking.bump("acme")
        assert await asking.get("/acme", COOKIE) == "path 2"
        asked = asking.owners.asked
        assert await asking.get("/acme", COOKIE) == "path 2"
        assert await asking.get("/web", COOKIE) == "path 3"
        assert asking.owners.asked == asked, "only what was moved is asked for, and once"
        asking.owners.drop("acme")
        await asking.bump("acme")
        assert await asking.get("/acme", COOKIE) == "session 1"
        for name, count in before.items():
            assert await asking.edge.envoy.stat(name) == count, f"{name}: only routes may change"


async def test_it_is_remembered_over_new_rules_new_cells_and_a_new_listener(tmp_path: Path) -> None:
    async with asking_edge(tmp_path) as asking:
        asking.owners.own(3, "acme")
        assert await asking.get("/acme") == "path 3"
        await asking.publish(replace(asking.view, revision=20), owner_rules({"ambiguous": 400}))
        assert await asking.get("/acme") == "path 3"
        asking.edge.settings = replace(asking.edge.settings, server_name="another")
        await asking.publish(replace(asking.view, revision=21))
        await asking.edge.envoy.until_stat("listener_manager.listener_modified", 1)
        answer = await asking.edge.send("/acme")
        assert answer.get("server") == "another", "it is the new listener that answers"
        assert answer.get("x-cellplane-cell") == "cell-3"
        assert asking.owners.asked == 1


async def test_while_nobody_answers_what_is_remembered_is_used_and_the_rest_follows_its_policy(
    tmp_path: Path,
) -> None:
    async with asking_edge(
        tmp_path, owner_rules({"undecided": 503}), lifetimes=Lifetimes(found=1, not_found=1)
    ) as asking:
        asking.owners.own(3, "acme")
        assert await asking.get("/acme") == "path 3"
        assert await asking.get("/nobody") == "default 1"
        asking.owners.follower.loaded = False
        assert await asking.get("/other") == "path status 503", "not ready is not the same as not found"
        await asking.owners.server.stop(0)
        for _ in range(3):
            assert await asking.get("/acme") == "path 3"
            assert await asking.get("/nobody") == "default 1"
        assert await asking.get("/another") == "path status 503"
        assert await asking.edge.envoy.stat("cellplane.rule.path.undecided.ip_parsing_failed") == 2


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ({}, "session 1"),
        ({"undecided": "default"}, "default 1"),
        ({"undecided": 503}, "path status 503"),
        ({"undecided": 400}, "path status 400"),
    ],
)
async def test_each_policy(tmp_path: Path, policy: dict[str, object], answer: str) -> None:
    async with asking_edge(tmp_path, owner_rules(policy)) as asking:
        await asking.owners.server.stop(0)
        assert await asking.get("/acme", COOKIE) == answer
        found = await asking.edge.send("/acme", COOKIE)
        assert found.get("retry-after") == ("30" if found.status == 503 else "")


async def test_clients_have_no_say_in_it(tmp_path: Path) -> None:
    async with asking_edge(tmp_path) as asking:
        asking.owners.own(3, "acme")
        forged = [
            ("cellplane.told", "2 1 60"),
            ("x-cellplane-cell", "cell-2"),
            ("cellplane.key.path", "unknown"),
        ]
        assert await asking.get("/acme", *forged) == "path 3"
        assert await asking.get("/acme%0apath%201%200%20evil") == "default 1"
        assert await asking.get("/" + "x" * 5000) == "default 1", "too long for anything that Lua reads"
        assert await asking.get("/" + "x" * 4000) == "default 1"
        assert await asking.edge.envoy.stat("http.edge.lua.errors") == 0
        assert asking.owners.server.streams["malformed"] == 0


async def test_a_body_waits_for_the_answer_and_arrives_whole(tmp_path: Path) -> None:
    async with asking_edge(tmp_path) as asking, aiohttp.ClientSession() as session:
        asking.owners.own(3, "acme", "web")
        # The cell answers when it has read as many bytes as the request says that there are.
        for path in ("/acme", "/acme", "/web"):
            url = f"http://127.0.0.1:{asking.edge.port}{path}"
            async with session.post(url, data=bytes(1_000_000)) as answer:
                assert (answer.status, answer.headers["x-cellplane-cell"]) == (200, "cell-3")
        assert asking.owners.asked == 2
        assert asking.owners.server.streams["not_headers"] == 0, "no body goes to Python"


async def test_a_websocket_waits_for_the_answer(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
        writer.write((await reader.readexactly(4)).upper())
        await writer.drain()
        writer.close()

    async with asking_edge(tmp_path) as asking, await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        cells = {
            **asking.view.cells,
            3: replace(asking.view.cells[3], endpoints=(Endpoint(host="127.0.0.1", port=port),)),
        }
        await asking.publish(replace(asking.view, revision=20, cells=cells))
        asking.owners.own(3, "acme")
        reader, writer = await asyncio.open_connection("127.0.0.1", asking.edge.port)
        writer.write(b"GET /acme/cable HTTP/1.1\r\nhost: edge.test\r\n")
        writer.write(b"upgrade: websocket\r\nconnection: upgrade\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"PING"
        assert asking.owners.asked == 1
        writer.close()


async def test_over_mutual_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    server, edge = authority.issue_cert("127.0.0.1"), authority.issue_cert("edge.test")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    edge.cert_chain_pems[0].write_to_path(str(tmp_path / "edge.pem"))
    edge.private_key_pem.write_to_path(str(tmp_path / "edge.key"))
    files = LookupTls(ca=f"{tmp_path}/ca.pem", certificate=f"{tmp_path}/edge.pem", key=f"{tmp_path}/edge.key")
    credentials = grpc.ssl_server_credentials(
        [(server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())],
        authority.cert_pem.bytes(),
        require_client_auth=True,
    )
    async with asking_edge(tmp_path, credentials=credentials, tls=files) as asking:
        asking.owners.own(3, "acme")
        assert await asking.get("/acme") == "path 3"
        assert await asking.edge.envoy.stat("cluster.ext-proc.ssl.handshake") >= 1
