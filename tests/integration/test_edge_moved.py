"""An edge that is behind, and sidecars that are not: what was refused goes to the owner, once and whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from envoy.edge import EdgeSettings, Lookups
from tests.envoy.edge_rig import cell, running_edge, send, view_of
from tests.envoy.owners_rig import OVERRIDE, PATH, SESSION, AskingEdge, serving_owners
from tests.envoy.rule_documents import document, parsed
from tests.envoy.sidecar_rig import Sidecar, sidecar_before
from tests.processes import free_port
from tests.topology.departures import announce, leave, wish
from topology.model import Document, Endpoint
from topology.service.classify import Lifetimes
from topology.view import View

PINNED = {"name": "pinned", "type": "path_prefix", "prefixes": {"/pinned": 1}}
BODY = (OVERRIDE, dict(PATH, otherwise={}), PINNED, SESSION)
RULES = Document(kind="rules", name="current", body=document(*BODY, reserved=["users"]), stamp=wish().stamp)
SESSION_OF_ONE = ("cookie", "_gitlab_session=cell-1-0123")


@dataclass
class Rig:
    asking: AskingEdge
    one: Sidecar
    two: Sidecar
    view: View

    async def tell(self, view: View) -> None:
        self.view = view
        for sidecar in (self.one, self.two):
            await sidecar.publish(view)
        await self.asking.publish(view)

    def forget(self) -> None:
        for sidecar in (self.one, self.two):
            sidecar.application.seen.clear()

    @property
    def seen(self) -> tuple[list[tuple[str, str, bytes]], list[tuple[str, str, bytes]]]:
        return self.one.application.seen, self.two.application.seen


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        owners = await stack.enter_async_context(serving_owners(View(), Lifetimes(found=60, not_found=60)))
        settings = EdgeSettings(
            listen_address="127.0.0.1",
            listen_port=free_port(),
            health_check_path="",
            lookups=Lookups(endpoints=(Endpoint(host="127.0.0.1", port=owners.port),), timeout_seconds=0.9),
        )
        ruleset = parsed(*BODY, reserved=["users"])
        edge = await stack.enter_async_context(running_edge(tmp_path, (), ruleset, settings))
        one = await stack.enter_async_context(sidecar_before(tmp_path, edge, 1))
        two = await stack.enter_async_context(sidecar_before(tmp_path, edge, 2))
        rig = Rig(AskingEdge(edge, owners), one, two, View())
        base = replace(
            view_of(
                cell(1, ports=(one.port,), session_prefix="cell-1"), cell(2, ports=(two.port,), weight=0)
            ),
            documents={("rules", "current"): RULES},
        )
        for sidecar in (one, two):
            sidecar.offer(base)
        await edge.publish(base)
        for envoy in (edge.envoy, one.envoy, two.envoy):
            await envoy.ready()
        await rig.tell(base)
        await rig.asking.is_asked_over_a_healthy_connection()
        owners.own(1, "acme", "web")
        yield rig


async def remembered_then_left(rig: Rig) -> None:
    """Have the edge remember that acme is in cell 1, and then have it leave, the edge behind."""
    answer = await rig.asking.edge.send("/acme")
    assert (answer.status, answer.body) == (200, "application 1")
    await rig.tell(leave(announce(rig.view, wish(), "ROUTES/acme"), wish()))
    rig.forget()


async def test_what_was_refused_goes_to_the_owner_once_and_memory_learns_it(rig: Rig) -> None:
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
async def test_a_small_body_arrives_whole_and_once(rig: Rig, size: int) -> None:
    await remembered_then_left(rig)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{rig.asking.edge.port}/acme/web", data=body) as answer,
    ):
        assert (answer.status, await answer.text()) == (200, "application 2")
    assert rig.seen == ([], [("POST", "/acme/web", body)])


async def test_a_stream_that_can_not_be_replayed_gets_the_refusal(rig: Rig) -> None:
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


async def test_a_body_over_what_is_kept_gets_the_refusal(rig: Rig) -> None:
    await remembered_then_left(rig)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{rig.asking.edge.port}/acme", data=b"x" * 70_000) as answer,
    ):
        assert (answer.status, answer.headers["retry-after"]) == (421, "1")
    assert rig.seen == ([], [])


async def test_it_is_tried_once(rig: Rig) -> None:
    await remembered_then_left(rig)
    on = wish(epoch=3, source=2, to=3)
    await rig.tell(leave(announce(rig.view, on, "ROUTES/acme"), on))
    # Cell 1 knows of epoch 3 and cell 3, which no edge can reach: the refusal is the client's.
    answer = await rig.asking.edge.send("/acme")
    assert (answer.status, answer.get("retry-after")) == (421, "1")
    assert answer.all("x-cellplane-owner") == []
    assert rig.seen == ([], [])


async def test_what_others_say_is_left_alone(rig: Rig) -> None:
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


async def test_writes_wait_while_the_owner_is_leaving(rig: Rig) -> None:
    assert (await rig.asking.edge.send("/acme")).body == "application 1"
    await rig.tell(announce(rig.view, wish(), "ROUTES/acme"))
    rig.forget()
    answer = await send(rig.asking.edge.port, "/acme", method="POST")
    assert (answer.status, answer.get("retry-after"), answer.all("x-cellplane-owner")) == (423, "1", [])
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
    rig: Rig, rule: str, path: str, headers: tuple[tuple[str, str], ...]
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


async def test_where_an_operator_sent_it_the_refusal_is_the_answer(rig: Rig) -> None:
    await remembered_then_left(rig)
    answer = await rig.asking.edge.send("/acme", ("x-cellplane-override", "cell-1"))
    assert (answer.status, answer.get("x-cellplane-rule"), answer.get("retry-after")) == (
        421,
        "override",
        "1",
    )
    assert answer.all("x-cellplane-owner") == []
    assert rig.seen == ([], [])
