"""HTTP/1.1, HTTP/2 and gRPC through the edge, with real clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from aiohttp import web

from cellplane.demo.free_port import free_port
from envoy.edge import EdgeSettings, EdgeTls
from tests.envoy.certificates import Operators
from tests.protocols.cells import counted, edge_before, edge_of
from tests.protocols.programs import run_program

ANSWERED_BY = "x-cellplane-cell"
TO_GLOBEX = (("cookie", "_gitlab_session=cell-2-x"),)


async def cell_1(request: web.Request) -> web.Response:
    return web.Response(body=b"1 " + await request.read())


async def cell_2(request: web.Request) -> web.Response:
    return web.Response(body=b"2 " + await request.read())


async def test_http1_requests_share_a_connection_and_find_their_cells(tmp_path: Path) -> None:
    async with edge_of(tmp_path, cell_1, cell_2) as (edge, client):
        bodies = []
        for path in ("/acme/x", "/globex/x", "/acme/y"):
            async with client.put(path, data=b"hello") as answer:
                bodies.append((await answer.text(), answer.headers[ANSWERED_BY]))
        assert bodies == [("1 hello", "cell-1"), ("2 hello", "cell-2"), ("1 hello", "cell-1")]
        assert await edge.envoy.stat("http.edge.downstream_cx_http1_total") == 1
        assert await counted(edge) == {"other": 3}


@pytest.mark.tools("curl")
async def test_http2_requests_share_a_connection_and_find_their_cells(tmp_path: Path) -> None:
    """By TLS: curl 7.88 can't use a connection in clear text twice."""
    authority = Operators(tmp_path)
    certificate, key = authority.issue("edge", names=("edge.test",))
    settings = EdgeSettings(
        listen_address="127.0.0.1",
        listen_port=free_port(),
        health_check_path="",
        tls=EdgeTls(certificate=str(certificate), key=str(key)),
    )
    async with edge_of(tmp_path, cell_1, cell_2, settings=settings) as (edge, _):
        found = await run_program(
            *("curl", "--silent", "--show-error", "--cacert", str(authority.ca)),
            *("--resolve", f"edge.test:{edge.port}:127.0.0.1", "--data", "hello"),
            *("--write-out", " %{http_version} %{num_connects}\n"),
            *(f"https://edge.test:{edge.port}/{name}/x" for name in ("acme", "globex", "acme")),
        )
        assert found == "1 hello 2 1\n2 hello 2 0\n1 hello 2 0\n"
        assert await edge.envoy.stat("http.edge.downstream_cx_http2_total") == 1


class Echo(grpc.GenericRpcHandler):
    """Answers calls of each of gRPC's four kinds with what it is sent."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        async def one(request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            return request

        async def many(request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
            for letter in request:
                yield bytes((letter,))

        async def joined(requests: AsyncIterator[bytes], _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            return b"".join([each async for each in requests])

        async def talk(
            requests: AsyncIterator[bytes], _: grpc.aio.ServicerContext[bytes, bytes]
        ) -> AsyncIterator[bytes]:
            async for each in requests:
                yield each

        async def fail(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

        kinds: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "/test.Echo/One": grpc.unary_unary_rpc_method_handler(one),
            "/test.Echo/Many": grpc.unary_stream_rpc_method_handler(many),
            "/test.Echo/Joined": grpc.stream_unary_rpc_method_handler(joined),
            "/test.Echo/Talk": grpc.stream_stream_rpc_method_handler(talk),
            "/test.Echo/Fail": grpc.unary_unary_rpc_method_handler(fail),
        }
        return kinds.get(details.method)


@asynccontextmanager
async def grpc_cell() -> AsyncIterator[int]:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def test_grpc_calls_of_all_four_kinds(tmp_path: Path) -> None:
    async with (
        grpc_cell() as one,
        grpc_cell() as two,
        edge_before(tmp_path, one, two, http2=True) as edge,
        grpc.aio.insecure_channel(f"127.0.0.1:{edge.port}") as channel,
    ):
        unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Echo/One")
        call = unary(b"hello", metadata=TO_GLOBEX)
        assert await call == b"hello"
        assert dict(await call.initial_metadata() or ())[ANSWERED_BY] == "cell-2"
        answers: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/test.Echo/Many")
        assert [each async for each in answers(b"abc", metadata=TO_GLOBEX)] == [b"a", b"b", b"c"]
        questions: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary("/test.Echo/Joined")
        assert await questions(iter((b"a", b"b")), metadata=TO_GLOBEX) == b"ab"
        both: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream("/test.Echo/Talk")
        talk = both(metadata=TO_GLOBEX)
        for word in (b"ping", b"pong"):  # each answer comes before the next question
            await talk.write(word)
            assert await talk.read() == word
        await talk.done_writing()
        assert await talk.read() is grpc.aio.EOF
        wrong: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Echo/Fail")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await wrong(b"", metadata=TO_GLOBEX)
        assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
        assert await counted(edge) == {"grpc": 5}
