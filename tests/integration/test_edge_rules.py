"""Rules of type match on a real Envoy: decided as the evaluator decides, by matchers or by generated Lua."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from envoy.rules import Ruleset, parse_ruleset
from tests.envoy import match_table
from tests.envoy import test_gitlab_rules as gitlab
from tests.envoy.answers import answered
from tests.envoy.corpus import generated, written
from tests.envoy.edge_rig import cell, running_edge, view_of
from tests.envoy.owned import owner_of
from tests.envoy.replay import differences, matching_edge, owning_edge, reference
from tests.envoy.token_samples import token
from tests.etcd_server import EtcdServer


async def test_envoy_and_the_evaluator_match_alike(tmp_path: Path) -> None:
    async with matching_edge(tmp_path) as edge:
        wrong = await differences(edge, list(match_table.rows()))
        assert not wrong, "\n".join(wrong)
        assert await edge.envoy.stat("http.edge.lua.errors") == 0
        assert edge.envoy.warnings() == []


async def test_what_nobody_thought_of_is_decided_alike_too(tmp_path: Path) -> None:
    """A small part of the corpus; `make prove PROOF=decisions` replays it whole."""
    assert len(list(written())) >= 300
    async with matching_edge(tmp_path) as edge:
        wrong = await differences(edge, list(generated(300, seed=7)))
        assert not wrong, "\n".join(wrong)
        assert await edge.envoy.stat("http.edge.lua.errors") == 0
        assert await edge.envoy.stat("http.edge.lua.executions") > 50, "the requests are worth it"


async def test_claims_are_decided_alike(etcd: EtcdServer, etcd_prefix: str, tmp_path: Path) -> None:
    """Found, not found, and owned by cells that are quarantined, drained, not there, or not open yet."""
    rows = [*match_table.rows(), *match_table.claims(), *generated(200, seed=8)]
    async with owning_edge(tmp_path, etcd.endpoint, etcd_prefix) as edge:
        wrong = await differences(edge, rows, owner_of)
        assert not wrong, "\n".join(wrong)
        assert await edge.envoy.stat("http.edge.lua.errors") == 0
        asked = await edge.envoy.stat("cluster.ext-proc.upstream_rq_total")
        assert 15 < asked < 120, "each name is asked for once"
        overridden = [row for row in rows if reference(row, owner_of).cell == 4]
        assert all(dict(row.headers).get("x-cellplane-override") == "cell-4" for row in overridden)
        assert edge.cells[4].requests == len(overridden), "PROVISIONING is reached by override alone"


TOKEN_RULES = {
    "schema": 2,
    "rules": [
        {
            "name": "token",
            "type": "match",
            "match": [{"type": "header", "name": "private-token", "as": "value"}],
            "transform": [{"type": "routable-token", "input": "${value}", "output": "token"}],
            "action": {"classify": [{"type": "cell_id", "value": "${token.c}"}]},
        },
        {"name": "default", "type": "default"},
    ],
}
TO_TWO = ("private-token", token("c:2\no:1"))


def token_rules() -> Ruleset:
    found = parse_ruleset(TOKEN_RULES)
    assert isinstance(found, Ruleset)
    return found


async def test_new_rules_and_new_cells_change_no_listener(tmp_path: Path) -> None:
    async with running_edge(tmp_path, (1, 2)) as edge:
        one, two = cell(1, ports=edge.ports(1)), cell(2, ports=edge.ports(2), weight=0)
        await edge.publish(view_of(one, revision=10))
        await edge.envoy.ready()
        assert answered(await edge.send("/", TO_TWO)) == "default"
        await edge.publish(view_of(one, revision=11), token_rules())
        await edge.settled(11)
        assert answered(await edge.send("/", TO_TWO)) == "default", "the cell is not there yet"
        await edge.publish(view_of(one, two, revision=12))
        await edge.settled(12)
        assert answered(await edge.send("/", TO_TWO)) == "token 2"
        assert await edge.envoy.stat("listener_manager.listener_modified") == 0
        assert await edge.envoy.stat("cellplane.rule.token.unknown.ip_parsing_failed") == 1


async def test_a_websocket_finds_its_cell_by_token(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
        writer.write((await reader.readexactly(4)).upper())
        await writer.drain()
        writer.close()

    async with (
        running_edge(tmp_path, (1,), ruleset=token_rules()) as edge,
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        await edge.publish(view_of(cell(1, ports=edge.ports(1)), cell(2, ports=(port,), weight=0)))
        await edge.envoy.ready()
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        head = f"GET / HTTP/1.1\r\nhost: edge.test\r\n{TO_TWO[0]}: {TO_TWO[1]}\r\n"
        writer.write(f"{head}upgrade: websocket\r\nconnection: upgrade\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"x-cellplane-cell: cell-2" in answer
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"PING"
        writer.close()


@pytest.mark.parametrize("source", ["error('broken')", "return function() error('broken') end", "no lua"])
async def test_lua_that_fails_sends_nobody_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """The requests that it would read are answered 503; all others are decided as ever."""
    monkeypatch.setattr("envoy.pending.lua_program", lambda *_, **__: source)
    async with running_edge(tmp_path, (1, 2), ruleset=token_rules()) as edge:
        await edge.publish(view_of(cell(1, ports=edge.ports(1)), cell(2, ports=edge.ports(2), weight=0)))
        await edge.envoy.ready()
        answer = await edge.send("/", TO_TWO)
        assert (answer.status, answer.get("x-cellplane-rule"), answer.get("x-cellplane-cell")) == (
            503,
            "unread",
            "",
        )
        assert answered(await edge.send("/")) == "default"
        assert await edge.envoy.stat("http.edge.lua.errors") == 1


async def test_rules_of_gitlabs_router_decide_in_an_envoy(tmp_path: Path) -> None:
    """As they are written now, and in the two older spellings; each by what it takes out of the request."""
    older = {**gitlab.SESSION, "id": "older", "match": {**gitlab.SESSION["match"], "regex_name": "^_older$"}}
    oldest = {**gitlab.OLDEST, "cookies": {"_oldest": gitlab.OLDEST["cookies"]["_gitlab_session"]}}
    ruleset = gitlab.imported(gitlab.TOKEN, older, oldest, gitlab.FIRST)
    cookie = "=cell-2-0123"
    async with running_edge(tmp_path, (1, 2), ruleset) as edge:
        await edge.publish(
            view_of(*(cell(each, ports=edge.ports(each), session_prefix=f"cell-{each}") for each in (1, 2)))
        )
        await edge.envoy.ready()
        found = [
            answered(await edge.send("/", header))
            for header in (
                ("runner-token", token("c:2\no:1", "glrt-")),
                ("runner-token", token("c:2\no:1", "glpat-")),
                ("cookie", f"_older{cookie}"),
                ("cookie", f"_oldest{cookie}"),
                ("cookie", f"_other{cookie}"),
            )
        ]
        assert found == [f"{gitlab.TOKEN['id'][:32]} 2", "first 1", "older 2", "old 2", "first 1"]
