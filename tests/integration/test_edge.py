"""The edge on a real Envoy, configured by a real ADS server: decisions, headers, counters, changes, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from cellplane.demo.free_port import free_port
from envoy.edge import EdgeSettings, EdgeTls
from envoy.paths import normalise
from envoy.rules import Decision, DefaultRule, Request, Ruleset, decide, parse_ruleset
from tests.envoy import request_table
from tests.envoy.answers import answered, said
from tests.envoy.certificates import Operators
from tests.envoy.edge_rig import NOW, cell, running_edge, send, view_of
from tests.envoy.request_table import Row
from topology.model import CellState


def decided(row: Row) -> Decision:
    request = Request(path=row.path, headers=row.headers, peer=row.peer)
    return decide(request_table.ruleset(), request_table.view(), request, NOW)


async def test_envoy_and_the_evaluator_decide_alike(tmp_path: Path) -> None:
    rows = list(request_table.rows())
    assert len(rows) >= 150
    async with running_edge(tmp_path, request_table.SERVERS) as edge:
        ports = {cell_id: stub.port for cell_id, stub in edge.cells.items()}
        await edge.publish(request_table.view(ports), request_table.ruleset())
        await edge.envoy.ready()
        wrong = []
        for row in rows:
            real = answered(await send(edge.port, row.path, row.headers, peer=row.peer))
            reference = said(decided(row))
            if not real == reference == row.expected:
                wrong.append(f"{row}: Envoy {real}, evaluator {reference}, expected {row.expected}")
        assert not wrong, "\n".join(wrong)

        expected = Counter(skip for row in rows for skip in row.skips)
        counted = await edge.envoy.stats("^cellplane.rule")
        names = {
            "{}:{}".format(*name.removeprefix("cellplane.rule.").split(".")): value
            for name, value in counted.items()
        }
        assert {name: value for name, value in names.items() if value} == expected
        assert await edge.envoy.stat("listener_manager.listener_modified") == 0
        assert edge.envoy.warnings() == []
        prometheus = await edge.envoy.admin("/stats/prometheus?filter=cellplane.rule")
        assert 'envoy_cellplane_rule_unknown_ip_parsing_failed{cellplane_rule="session"}' in prometheus


async def test_envoy_and_the_evaluator_see_the_same_paths(tmp_path: Path) -> None:
    """Paths put together at random from what is special in paths; the same ones each time."""
    pieces = ["a", "b", "/", "/", "/", ".", "..", ";", "\\", "?", "#", "%", "%2e", "%2F", "%2f", "%41", "%7e"]
    pieces += ["%5C", "%00", "%zz", "%", "~", "^", "|", '"', "<", "{", "`", ":", "@", "=", ",", "%20", "%E9"]
    chance = random.Random(40)
    paths = ["/" + "".join(chance.choices(pieces, k=chance.randint(1, 9))) for _ in range(500)]
    async with running_edge(tmp_path, (1,)) as edge:
        await edge.publish(view_of(cell(1, ports=edge.ports(1))))
        await edge.envoy.ready()
        wrong = []
        for path in paths:
            answer = await edge.send(path)
            seen = answer.line.split(" ")[1] if answer.status == 200 else None
            if seen != normalise(path):
                wrong.append(f"{path}: Envoy {seen} ({answer.status}), evaluator {normalise(path)}")
        assert not wrong, "\n".join(wrong)


async def test_cells_come_and_go_without_a_new_listener(tmp_path: Path) -> None:
    """A listener that changes drains connections, and so does a cluster: neither does for an endpoint, a
    weight or a state.
    """
    async with running_edge(tmp_path, (1, 2, 3)) as edge:
        one, two = cell(1, ports=edge.ports(1)), cell(2, ports=edge.ports(2), weight=0)
        await edge.publish(view_of(one, two, revision=10))
        await edge.envoy.ready()
        session = ("cookie", "_gitlab_session=cell-2-x")
        assert answered(await edge.send("/", session)) == "session 2"

        steps = (
            view_of(one, cell(2, ports=edge.ports(3), weight=0), revision=11),  # another endpoint
            view_of(one, cell(2, CellState.CORDONED, ports=edge.ports(3)), revision=12),
            view_of(one, cell(2, CellState.DRAINING, ports=edge.ports(3)), revision=13),
            view_of(one, cell(2, CellState.QUARANTINED, ports=edge.ports(3)), revision=14),
            view_of(one, cell(2, ports=edge.ports(3), weight=5), revision=15),
        )
        for view in steps:
            await edge.publish(view)
            await edge.settled(view.revision)
            answer = await edge.send("/", session)
            if view.revision == 14:
                assert (answer.status, answer.get("x-cellplane-cell")) == (503, "cell-2")
            else:
                assert (answer.get("x-cellplane-cell"), answer.cell) == ("cell-2", "cell-3")

        await edge.publish(
            view_of(one, cell(2, ports=edge.ports(2)), cell(3, ports=edge.ports(3)), revision=16)
        )
        await edge.settled(16)
        assert (await edge.send("/", ("cookie", "_gitlab_session=cell-3-x"))).cell == "cell-3"

        stats = await edge.envoy.stats("^(cluster_manager|listener_manager|http.edge.rds)")
        assert stats["cluster_manager.cluster_added"] == 4  # with that of the control plane
        assert stats["cluster_manager.cluster_modified"] == 0
        assert stats["cluster_manager.cluster_removed"] == 0
        assert stats["cluster_manager.cds.update_rejected"] == 0
        assert stats["listener_manager.listener_modified"] == 0
        assert stats["http.edge.rds.edge.update_rejected"] == 0


async def test_the_cookie_of_a_removed_cell_goes_to_the_default_and_is_counted(tmp_path: Path) -> None:
    async with running_edge(tmp_path, (1, 2)) as edge:
        one, two = cell(1, ports=edge.ports(1)), cell(2, ports=edge.ports(2), weight=0)
        await edge.publish(view_of(one, two, revision=20))
        await edge.envoy.ready()
        session = ("cookie", "_gitlab_session=cell-2-x")
        assert answered(await edge.send("/", session)) == "session 2"
        await edge.publish(view_of(one, revision=21))
        await edge.settled(21)
        assert answered(await edge.send("/", session)) == "default"
        assert await edge.envoy.stat("cellplane.rule.session.unknown.ip_parsing_failed") == 1


async def test_traffic_that_no_cell_takes_is_told_so(tmp_path: Path) -> None:
    async with running_edge(tmp_path, (1,)) as edge:
        await edge.publish(view_of(cell(1, CellState.CORDONED, ports=edge.ports(1))))
        await edge.envoy.ready()
        answer = await edge.send("/")
        assert (answer.status, answer.get("retry-after")) == (503, "30")
        assert answer.get("x-cellplane-rule") == "default"
        assert answer.all("x-cellplane-cell") == []
        assert answer.body.startswith("No cell takes new traffic now")
        assert answered(await edge.send("/", ("cookie", "_gitlab_session=cell-1-x"))) == "session 1"

        least = Ruleset(rules=(DefaultRule(name="all"),))
        await edge.publish(view_of(cell(1, ports=edge.ports(1)), revision=8), least)
        await edge.settled(8)
        assert (await edge.send("/")).get("x-cellplane-rule") == "all"


async def test_grpc_reaches_a_cell_that_speaks_http2(tmp_path: Path) -> None:
    seen: list[str] = []

    async def echo(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        metadata = dict(context.invocation_metadata() or ())
        seen.append(str(metadata["x-cellplane-cell"]))
        return request

    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with running_edge(tmp_path, ()) as edge:
            await edge.publish(view_of(cell(1, ports=(port,), http2=True)))
            await edge.envoy.ready()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.port}") as channel:
                ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Echo/Echo")
                cookies = (("cookie", "a=b"), ("cookie", "_gitlab_session=cell-1-x"))
                call = ask(b"hello", metadata=cookies)
                assert await call == b"hello"
                answered_by = dict(await call.initial_metadata() or ())
        assert seen == ["cell-1"]
        assert (answered_by["x-cellplane-cell"], answered_by["x-cellplane-rule"]) == ("cell-1", "session")
    finally:
        await server.stop(0)


async def test_a_cell_of_dns_names_is_resolved_by_envoy(tmp_path: Path) -> None:
    async with running_edge(tmp_path, (1,)) as edge:
        await edge.publish(view_of(cell(1, ports=edge.ports(1), host="localhost")))
        await edge.envoy.ready()
        assert answered(await edge.send("/", ("cookie", "_gitlab_session=cell-1-x"))) == "session 1"


async def test_health_checks_keep_a_dead_endpoint_out(tmp_path: Path, closed_port: int) -> None:
    settings = EdgeSettings(
        listen_address="127.0.0.1",
        listen_port=free_port(),
        health_check_interval_seconds=0.2,
        health_check_timeout_seconds=0.2,
    )
    async with running_edge(tmp_path, (1,), settings=settings) as edge:
        await edge.publish(view_of(cell(1, ports=(*edge.ports(1), closed_port))))
        await edge.envoy.ready()
        await edge.envoy.until_stat("cluster.cell-1.membership_healthy", 1)
        answers = [await edge.send("/") for _ in range(20)]
        assert {answer.status for answer in answers} == {200}
        assert await edge.envoy.stat("cluster.cell-1.membership_total") == 2
        assert await edge.envoy.stat("cluster.cell-1.membership_healthy") == 1


async def test_a_request_that_met_a_closed_port_is_tried_elsewhere(tmp_path: Path, closed_port: int) -> None:
    """Without health checks half of the first attempts find nobody, and none of the requests fails."""
    async with running_edge(tmp_path, (1,)) as edge:
        await edge.publish(view_of(cell(1, ports=(*edge.ports(1), closed_port))))
        await edge.envoy.ready()
        answers = [await edge.send("/") for _ in range(20)]
        assert {answer.status for answer in answers} == {200}
        assert await edge.envoy.stat("cluster.cell-1.upstream_rq_retry") > 0
        assert edge.cells[1].requests == 20


async def test_an_operator_is_known_by_a_verified_certificate(tmp_path: Path) -> None:
    operators, others = Operators(tmp_path / "operators"), Operators(tmp_path / "others")
    certificate, key = operators.issue("edge", names=("edge.test",))
    settings = EdgeSettings(
        listen_address="127.0.0.1",
        listen_port=free_port(),
        health_check_path="",
        tls=EdgeTls(certificate=str(certificate), key=str(key), client_ca=str(operators.ca)),
    )
    rules = parse_ruleset(
        {
            "schema": 1,
            "rules": [
                {
                    "name": "override",
                    "type": "override",
                    "header": "x-cellplane-override",
                    "identities": ["spiffe://ops.test/alice", "alice.ops.test"],
                },
                {"name": "default", "type": "default"},
            ],
        }
    )
    assert isinstance(rules, Ruleset)
    alice = "spiffe://ops.test/alice"
    clients = {
        "nobody": None,
        "alice": operators.issue("alice", uris=(alice,)),
        "alice and more": operators.issue("more", uris=("spiffe://ops.test/b", alice), names=("b.ops.test",)),
        "alice by name": operators.issue("name", uris=("spiffe://ops.test/b",), names=("alice.ops.test",)),
        "malice": operators.issue("malice", uris=(f"{alice}x", f"x{alice}"), names=("xalice.ops.test",)),
    }
    async with running_edge(tmp_path, (1, 4), ruleset=rules, settings=settings) as edge:
        await edge.publish(
            view_of(cell(1, ports=edge.ports(1)), cell(4, CellState.PROVISIONING, ports=edge.ports(4)))
        )
        await edge.envoy.ready()
        headers = (("x-cellplane-override", "cell-4"), ("x-cellplane-identity", alice))
        found = {
            name: answered(await send(edge.port, "/", headers, tls=operators.client(certificate)))
            for name, certificate in clients.items()
        }
        assert found == {
            "nobody": "default",
            "alice": "override 4",
            "alice and more": "override 4",
            "alice by name": "override 4",
            "malice": "default",
        }
        by_name = operators.client(clients["alice by name"])
        told = (await send(edge.port, "/", headers, tls=by_name)).seen["x-cellplane-operator"]
        assert told == ["127.0.0.1,spiffe://ops.test/b,alice.ops.test"]
        impostor = operators.client(others.issue("alice", uris=(alice,)))
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await send(edge.port, "/", headers, tls=impostor)


async def test_a_websocket_and_a_silent_stream_come_through(tmp_path: Path) -> None:
    """The upgrade reaches the cell, and bytes go both ways."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
        writer.write((await reader.readexactly(4)).upper())
        await writer.drain()
        writer.close()

    async with (
        running_edge(tmp_path, ()) as edge,
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        await edge.publish(view_of(cell(1, ports=(port,))))
        await edge.envoy.ready()
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(
            b"GET /-/cable HTTP/1.1\r\nhost: edge.test\r\ncookie: _gitlab_session=cell-1-x\r\n"
            b"upgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"x-cellplane-cell: cell-1" in head
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"PING"
        writer.close()


async def test_a_new_cell_gets_no_request_before_its_first_health_check(tmp_path: Path) -> None:
    """Envoy acknowledges a cluster when it is warm, and the routes wait for that."""
    asked = asyncio.Event()
    healthy = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health "):
                    asked.set()
                    await healthy.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnew")
                await writer.drain()
        writer.close()

    settings = EdgeSettings(
        listen_address="127.0.0.1",
        listen_port=free_port(),
        health_check_path="/health",
        health_check_timeout_seconds=30,
    )
    session = ("cookie", "_gitlab_session=cell-2-x")
    async with running_edge(tmp_path, (1,), settings=settings) as edge, AsyncExitStack() as stack:
        server = await stack.enter_async_context(await asyncio.start_server(serve, "127.0.0.1", 0))
        one, two = cell(1, ports=edge.ports(1)), cell(2, ports=(server.sockets[0].getsockname()[1],))
        await edge.publish(view_of(one, revision=10))
        await edge.envoy.ready()
        await edge.publish(view_of(one, two, revision=11))
        await asked.wait()
        assert answered(await edge.send("/", session)) == "default", "not yet known"
        healthy.set()
        await edge.settled(11)
        answer = await edge.send("/", session)
        assert (answer.status, answer.get("x-cellplane-cell")) == (200, "cell-2")
