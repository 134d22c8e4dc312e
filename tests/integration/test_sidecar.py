"""A sidecar on a real Envoy: it lets through what is its cell's, and refuses what has left, by every name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from cellplane.demo.free_port import free_port
from envoy.sidecar import Outbound
from tests.envoy.edge_rig import Answer, cell, running_edge, send, view_of
from tests.envoy.owners_rig import PATH
from tests.envoy.rule_documents import document
from tests.envoy.sidecar_rig import Sidecar, sidecar_before
from tests.topology.departures import announce, leave, wish
from topology.model import Document, Endpoint
from topology.view import View

RULES = Document(kind="rules", name="current", body=document(PATH, reserved=["users"]), stamp=wish().stamp)
OTHERS = ("/web", "/users/acme", "/")


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Sidecar]:
    async with running_edge(tmp_path, ()) as edge, sidecar_before(tmp_path, edge, 1) as sidecar:
        await sidecar.publish(base())
        await sidecar.envoy.ready()
        yield sidecar


def base() -> View:
    return replace(view_of(cell(1), cell(2)), documents={("rules", "current"): RULES})


async def ask(sidecar: Sidecar, path: str, method: str = "GET", *headers: tuple[str, str]) -> Answer:
    return await send(sidecar.port, path, headers, method=method)


async def test_what_has_left_is_refused_with_owner_and_epoch_and_nothing_else(sidecar: Sidecar) -> None:
    for path in ("/acme/web", *OTHERS):
        answer = await ask(sidecar, path)
        assert (answer.status, answer.body, answer.get("x-cellplane-owner")) == (200, "application 1", "")
    assert await sidecar.envoy.stat("http.inbound.lua.executions") == 0, "nobody left: Lua never runs"
    view = announce(base(), wish(), "ROUTES/acme", "REDIRECT_ROUTES/old")
    await sidecar.publish(view)
    listeners = await sidecar.envoy.stat("listener_manager.listener_modified")
    moving = await ask(sidecar, "/acme/web", "POST")
    assert (moving.status, moving.get("retry-after")) == (423, "1"), "no write while it is leaving"
    assert (await ask(sidecar, "/acme/web")).status == 200, "but reads"
    seen = len(sidecar.application.seen)
    await sidecar.publish(leave(view, wish()))
    for path in ("/acme/web", "/acme", "/acme?x=1", "//acme/./web", "/old/web"):
        for method in ("GET", "POST"):
            answer = await ask(sidecar, path, method)
            claim = "REDIRECT_ROUTES/old" if "old" in path else "ROUTES/acme"
            assert (answer.status, answer.get("retry-after")) == (421, "1"), (method, path)
            where = f"cell-2; owner=NAMESPACE/42; epoch=2; claim={claim}"
            assert answer.get("x-cellplane-owner") == where
    assert len(sidecar.application.seen) == seen, "the application was asked for none of it"
    for path in OTHERS:
        assert (await ask(sidecar, path)).status == 200
    assert await sidecar.envoy.stat("listener_manager.listener_modified") == listeners
    assert await sidecar.envoy.stat("http.inbound.lua.errors") == 0


async def test_of_thousands_of_names_it_knows_who_comes_and_who_goes(sidecar: Sidecar) -> None:
    """Lua takes the names over once, and anew with each change of them."""
    many, one = wish(), wish(owner="USER/7")
    view = leave(announce(base(), many, *(f"ROUTES/name-{at}" for at in range(3000))), many)
    await sidecar.publish(view)
    assert [(await ask(sidecar, path)).status for path in ("/name-2999/x", "/name-3000", "/acme")] == [
        421,
        200,
        200,
    ]
    view = announce(view, one, "ROUTES/acme")
    await sidecar.publish(view)
    assert [(await ask(sidecar, path, "POST")).status for path in ("/name-0", "/acme")] == [421, 423]
    await sidecar.publish(leave(view, one))
    assert (await ask(sidecar, "/acme")).status == 421
    await sidecar.publish(replace(base(), revision=view.revision + 9))
    assert [(await ask(sidecar, path)).status for path in ("/name-0", "/acme")] == [200, 200]
    assert await sidecar.envoy.stat("http.inbound.lua.errors") == 0


async def test_an_answer_of_the_application_is_its_own(sidecar: Sidecar) -> None:
    view = leave(announce(base(), wish(), "ROUTES/acme"), wish())
    await sidecar.publish(view)
    for status in (421, 307, 423):
        answer = await ask(sidecar, f"/web/status-{status}")
        assert (answer.status, answer.body) == (status, "application 1")
        assert answer.all("x-cellplane-owner") == [], "the application has no say in where the edge sends it"


async def test_it_keeps_what_it_was_told_while_nobody_tells_it_more(sidecar: Sidecar) -> None:
    await sidecar.publish(leave(announce(base(), wish(), "ROUTES/acme"), wish()))
    await sidecar.edge.server.stop(0)
    assert (await ask(sidecar, "/acme", "POST")).status == 421
    assert (await ask(sidecar, "/web", "POST")).status == 200


async def test_a_freeze_and_a_saved_view_tell_nothing(sidecar: Sidecar) -> None:
    gone = leave(announce(base(), wish(), "ROUTES/acme"), wish())
    frozen = Document(kind="pushes-frozen", name="all", body={}, stamp=wish().stamp)
    stopped = replace(gone, documents={**gone.documents, ("pushes-frozen", "all"): frozen})
    before = sidecar.edge.cache.current("sidecar/1")
    sidecar.publisher.offer(stopped)
    sidecar.publisher.offer(replace(gone, stale=True))
    assert sidecar.edge.cache.current("sidecar/1") is before


async def test_the_application_reaches_the_topology_service_through_it(tmp_path: Path) -> None:
    async def echo(request: bytes, context: Any) -> bytes:
        return b"topology: " + request

    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {"Ask": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    outbound = Outbound(listen_port=free_port(), endpoints=(Endpoint(host="127.0.0.1", port=port),))
    try:
        async with (
            running_edge(tmp_path, ()) as edge,
            sidecar_before(tmp_path, edge, 1, outbound=outbound) as sidecar,
        ):
            await sidecar.publish(base())
            await sidecar.envoy.ready()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{outbound.listen_port}") as channel:
                call: Any = channel.unary_unary("/t.T/Ask")
                answer: bytes = await call(b"hello", timeout=10)
            assert answer == b"topology: hello"
    finally:
        await server.stop(0)
