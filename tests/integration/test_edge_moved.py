"""An edge that is behind, and sidecars that are not: what was refused goes to the owner, once and whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.envoy.edge_rig import send
from tests.envoy.owners_rig import OVERRIDE, PATH, SESSION
from tests.envoy.two_cells_rig import TwoCells, two_cells
from tests.topology.departures import announce, leave, wish
from topology.service.classify import Lifetimes

PINNED = {"name": "pinned", "type": "path_prefix", "prefixes": {"/pinned": 1}}
BODY = (OVERRIDE, dict(PATH, otherwise={}), PINNED, SESSION)
SESSION_OF_ONE = ("cookie", "_gitlab_session=cell-1-0123")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[TwoCells]:
    async with two_cells(tmp_path, BODY, Lifetimes(found=60, not_found=60)) as started:
        started.asking.owners.own(1, "acme", "web")
        yield started


async def remembered_then_left(rig: TwoCells) -> None:
    """Have the edge remember that acme is in cell 1, and then have it leave, the edge behind."""
    answer = await rig.asking.edge.send("/acme")
    assert (answer.status, answer.body) == (200, "application 1")
    await rig.tell(leave(announce(rig.view, wish(), "ROUTES/acme"), wish()))
    rig.forget()


async def test_what_was_refused_goes_to_the_owner_once_and_memory_learns_it(rig: TwoCells) -> None:
    await remembered_then_left(rig)
    answer = await rig.asking.edge.send("/acme/web")
    assert (answer.status, answer.body) == (200, "application 2")
    assert answer.all("x-cellplane-owner") == []
    assert (answer.get("x-cellplane-cell"), answer.get("x-cellplane-rule")) == ("cell-2", "path")
    assert rig.seen == ([], [("GET", "/acme/web", b"")])
    refused = await rig.one.envoy.stat("http.inbound.downstream_rq_4xx")
    assert refused == 1
    assert (await rig.asking.edge.send("/acme")).body == "application 2"
    assert await rig.one.envoy.stat("http.inbound.downstream_rq_4xx") == refused, "learned"
    assert (await rig.asking.edge.send("/web")).body == "application 1", "others stay"
    assert await rig.asking.edge.envoy.stat("http.edge.lua.errors") == 0


@pytest.mark.parametrize("size", [0, 60_000])
async def test_a_small_body_arrives_whole_and_once(rig: TwoCells, size: int) -> None:
    await remembered_then_left(rig)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{rig.asking.edge.port}/acme/web", data=body) as answer,
    ):
        assert (answer.status, await answer.text()) == (200, "application 2")
    assert rig.seen == ([], [("POST", "/acme/web", body)])


async def test_a_stream_that_can_not_be_replayed_gets_the_refusal(rig: TwoCells) -> None:
    await remembered_then_left(rig)
    gate = asyncio.Event()

    async def stream() -> AsyncIterator[bytes]:
        yield b"x" * 200_000
        await gate.wait()

    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{rig.asking.edge.port}/acme/web"
        try:
            async with session.post(url, data=stream()) as answer:
                assert (answer.status, answer.headers["retry-after"]) == (421, "1")
                assert "x-cellplane-owner" not in answer.headers
                assert await answer.text() == "This is in another cell now. Try again.\n"
        finally:
            gate.set()
    assert rig.seen == ([], [])


async def test_a_body_over_what_is_kept_gets_the_refusal(rig: TwoCells) -> None:
    await remembered_then_left(rig)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{rig.asking.edge.port}/acme", data=b"x" * 70_000) as answer,
    ):
        assert (answer.status, answer.headers["retry-after"]) == (421, "1")
    assert rig.seen == ([], [])


async def test_a_stream_is_not_repeated_and_gets_the_refusal(rig: TwoCells) -> None:
    await remembered_then_left(rig)
    answer = await send(rig.asking.edge.port, "/acme/web.git/ssh-upload-pack", method="POST")
    assert (answer.status, answer.get("retry-after"), answer.all("x-cellplane-owner")) == (421, "1", [])
    assert (answer.get("x-cellplane-rule"), rig.seen) == ("path", ([], []))
    assert (await rig.asking.edge.send("/acme/web.git/info/refs")).body == "application 2", "and is learned"


async def test_it_is_tried_once(rig: TwoCells) -> None:
    await remembered_then_left(rig)
    on = wish(epoch=3, source=2, to=3)
    await rig.tell(leave(announce(rig.view, on, "ROUTES/acme"), on))
    # Cell 1 knows of epoch 3 and cell 3, which no edge can reach: the refusal is the client's.
    answer = await rig.asking.edge.send("/acme")
    assert (answer.status, answer.get("retry-after")) == (421, "1")
    assert answer.all("x-cellplane-owner") == []
    assert rig.seen == ([], [])


async def test_what_others_say_is_left_alone(rig: TwoCells) -> None:
    await remembered_then_left(rig)
    for status in (421, 307, 423):
        answer = await rig.asking.edge.send(f"/web/status-{status}")
        assert (answer.status, answer.body) == (status, "application 1")
        assert answer.all("x-cellplane-owner") == []
    assert len(rig.one.application.seen) == 3
    assert rig.two.application.seen == []
    forged = ("x-cellplane-owner", "cell-2; owner=USER/1; epoch=9; claim=ROUTES/web")
    answer = await rig.asking.edge.send("/web", forged)
    assert answer.body == "application 1"
    assert "x-cellplane-owner" not in rig.one.application.headers


async def test_writes_wait_while_the_owner_is_leaving(rig: TwoCells) -> None:
    # Somebody came to cell 1 before, so the edge follows refusals, though none of cell 1's: it hears last.
    came = wish(owner="USER/7", source=2, to=1)
    await rig.tell(leave(announce(rig.view, came, "ROUTES/came"), came))
    assert (await rig.asking.edge.send("/acme")).body == "application 1"
    await rig.one.publish(announce(rig.view, wish(), "ROUTES/acme"))
    rig.forget()
    answer = await send(rig.asking.edge.port, "/acme", method="POST")
    assert (answer.status, answer.get("retry-after"), answer.all("x-cellplane-owner")) == (423, "1", [])
    assert await rig.one.envoy.stat("http.inbound.downstream_rq_4xx") == 1, "and is not asked for again"
    assert (await rig.asking.edge.send("/acme")).body == "application 1"
    assert rig.seen == ([("GET", "/acme", b"")], [])


@pytest.mark.parametrize(
    ("rule", "path", "headers"),
    [
        ("default", "/acme/web", ()),
        ("session", "/acme/web", (SESSION_OF_ONE,)),
        ("pinned", "/pinned", ()),
    ],
)
async def test_whoever_decided_what_was_refused_goes_to_the_owner(
    rig: TwoCells, rule: str, path: str, headers: tuple[tuple[str, str], ...]
) -> None:
    """The edge knows of no owner, so another rule than the claim's sends it to the cell that was left."""
    rig.asking.owners.drop("acme")
    answer = await rig.asking.edge.send(path, *headers)
    assert (answer.body, answer.get("x-cellplane-rule")) == ("application 1", rule)
    await rig.tell(leave(announce(rig.view, wish(), "ROUTES/acme", "ROUTES/pinned"), wish()))
    rig.forget()
    answer = await rig.asking.edge.send(path, *headers)
    assert (answer.status, answer.body) == (200, "application 2")
    assert (answer.get("x-cellplane-cell"), answer.get("x-cellplane-rule")) == ("cell-2", rule)
    assert answer.all("x-cellplane-owner") == []
    async with (
        aiohttp.ClientSession(headers=dict(headers)) as session,
        session.post(f"http://127.0.0.1:{rig.asking.edge.port}{path}", data=b"x" * 60_000) as posted,
    ):
        assert (posted.status, await posted.text()) == (200, "application 2")
    assert rig.seen == ([], [("GET", path, b""), ("POST", path, b"x" * 60_000)])
    assert (await rig.asking.edge.send("/other", *headers)).body == "application 1"
    assert await rig.asking.edge.envoy.stat("http.edge.lua.errors") == 0


async def test_where_an_operator_sent_it_the_refusal_is_the_answer(rig: TwoCells) -> None:
    await remembered_then_left(rig)
    answer = await rig.asking.edge.send("/acme", ("x-cellplane-override", "cell-1"))
    assert (answer.status, answer.get("x-cellplane-rule"), answer.get("retry-after")) == (
        421,
        "override",
        "1",
    )
    assert answer.all("x-cellplane-owner") == []
    assert rig.seen == ([], [])
