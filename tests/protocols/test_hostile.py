"""What hostile clients of HTTP/1.1, HTTP/2 and HTTP/3 say of themselves: no scheme, no name counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cellplane.demo.free_port import free_port
from envoy.edge import INTERNAL_HEADERS, EdgeSettings, EdgeTls
from tests.envoy.certificates import Operators
from tests.envoy.edge_rig import Edge, cell, running_edge, view_of
from tests.envoy.owners_rig import OVERRIDE, SESSION
from tests.envoy.rule_documents import parsed
from tests.protocols.http2 import Http2Cell, request, send_http2
from tests.protocols.http3 import http3_client

FORWARDED = (
    "x-forwarded-host", "x-forwarded-port", "x-forwarded-ssl", "x-forwarded-scheme", "x-forwarded-prefix",
    "forwarded", "x-real-ip", "x-original-url", "x-rewrite-url",
)  # fmt: skip
SCHEMES = ("http", "https", "HTTPS", "gopher", "file", "h" * 100)


@asynccontextmanager
async def edge_before(folder: Path, **settings: Any) -> AsyncIterator[tuple[Edge, Http2Cell]]:
    noting = Http2Cell()
    chosen = EdgeSettings(
        listen_address="127.0.0.1", listen_port=free_port(), health_check_path="", **settings
    )
    async with (
        await asyncio.start_server(noting.serve, "127.0.0.1", 0) as server,
        running_edge(folder, (), settings=chosen) as edge,
    ):
        await edge.publish(view_of(cell(1, ports=(server.sockets[0].getsockname()[1],), http2=True)))
        await edge.envoy.ready()
        yield edge, noting


def said(noting: Http2Cell) -> set[tuple[str, str, str]]:
    """Give what the cell was told of how its clients came."""
    return {(each[":scheme"], each["x-forwarded-proto"], each[":authority"]) for each in noting.seen}


async def test_a_scheme_in_clear_text_is_http_whatever_the_client_says(tmp_path: Path) -> None:
    async with edge_before(tmp_path) as (edge, noting):
        for scheme in SCHEMES:
            forged = request(("x-forwarded-proto", scheme), scheme=scheme)
            assert await send_http2(edge.port, forged) == 200
        assert len(noting.seen) == len(SCHEMES)
        assert said(noting) == {("http", "http", "edge.test")}
        none = (
            request(scheme=""),
            request(scheme=" https"),
            request(scheme="http\n"),
            (*request(), (":scheme", "https")),
            [pair for pair in request() if pair[0] != ":scheme"],
        )
        assert await asyncio.gather(*(send_http2(edge.port, headers) for headers in none)) == [0] * len(none)
        for target in ("https://edge.test:99/x", "gopher://edge.test/x", "https://elsewhere.test/x"):
            assert (await edge.send(target)).status in (400, 403)
        assert len(noting.seen) == len(SCHEMES), "no cell sees a request that is none"
        assert (await edge.send("http://elsewhere.test:99/x")).status == 200
        assert noting.seen[-1][":scheme"] == "http"
        assert edge.envoy.running


async def test_a_scheme_over_tls_is_https_whatever_the_client_says(tmp_path: Path) -> None:
    authority = Operators(tmp_path)
    certificate, key = authority.issue("edge", names=("edge.test",))
    tls = EdgeTls(certificate=str(certificate), key=str(key), http3=True)
    async with edge_before(tmp_path, tls=tls) as (edge, noting):
        for scheme in SCHEMES:
            forged = request(("x-forwarded-proto", scheme), scheme=scheme)
            assert await send_http2(edge.port, forged, authority.client(None)) == 200
        async with http3_client(edge.port, authority.ca) as client:
            for scheme in SCHEMES:
                answer = await client.send("/", (("x-forwarded-proto", scheme),), scheme=scheme)
                assert answer.status == 200
        assert len(noting.seen) == 2 * len(SCHEMES)
        assert said(noting) == {("https", "https", "edge.test")}


@pytest.mark.parametrize("told", ["http", "https"])
async def test_a_proxy_that_is_trusted_says_how_its_clients_came(tmp_path: Path, told: str) -> None:
    async with edge_before(tmp_path, trusted_hops=1) as (edge, noting):
        forwarded = [(name, "elsewhere.test") for name in FORWARDED]
        assert (await edge.send("/", ("x-forwarded-proto", told), *forwarded)).status == 200
        assert said(noting) == {(told, told, "edge.test")}
        assert {noting.seen[0][name] for name in FORWARDED} == {"elsewhere.test"}


async def test_where_a_client_says_that_it_came_from_no_cell_hears(tmp_path: Path) -> None:
    """Applications make links of these, and take paths from them that were not decided on."""
    forged = [(name, "elsewhere.test") for name in (*FORWARDED, "x-forwarded-for", "x-forwarded-proto")]
    async with edge_before(tmp_path) as (edge, noting):
        assert (await edge.send("/", *forged)).status == 200
        assert (await edge.send("/", *((name.title(), value) for name, value in forged))).status == 200
        assert await send_http2(edge.port, request(*forged, ("x-http-method-override", "PUT"))) == 200
        for seen in noting.seen:
            assert "elsewhere.test" not in seen.values()
            assert set(FORWARDED).isdisjoint(seen)
            assert (seen["x-forwarded-proto"], "," in seen["x-forwarded-for"]) == ("http", False)
        assert noting.seen[-1]["x-http-method-override"] == "PUT", (
            "what it asks an application for is its own"
        )


async def test_trailers_are_no_headers_and_decide_nothing(tmp_path: Path) -> None:
    """HTTP/2 hands them on behind the body, as gRPC wants it; HTTP/1.1 drops them."""
    session = ("cookie", "_gitlab_session=cell-2-x")
    forged = (("x-cellplane-cell", "cell-2"), ("x-cellplane-override", "cell-2"), session)
    settings = EdgeSettings(listen_address="127.0.0.1", listen_port=free_port(), health_check_path="")
    noting = Http2Cell()
    async with (
        await asyncio.start_server(noting.serve, "127.0.0.1", 0) as server,
        running_edge(tmp_path, (1,), parsed(OVERRIDE, SESSION), settings) as edge,
    ):
        two = cell(
            2, ports=(server.sockets[0].getsockname()[1],), weight=0, session_prefix="cell-2", http2=True
        )
        await edge.publish(view_of(cell(1, ports=edge.ports(1), session_prefix="cell-1"), two))
        await edge.envoy.ready()
        assert await send_http2(edge.port, request(), trailers=forged) == 200
        taken = edge.cells[1].requests
        assert taken
        assert noting.seen == []
        assert await send_http2(edge.port, request(session), trailers=(*forged, ("x-fine", "1"))) == 200
        kept = {"x-cellplane-override": "cell-2", "x-fine": "1", session[0]: session[1]}
        assert (edge.cells[1].requests, noting.trailers) == (taken, [kept]), "our own names are no one else's"
        assert noting.seen[0]["x-cellplane-rule"] == "session"
        assert "x-cellplane-override" not in noting.seen[0]
        assert edge.envoy.running


async def test_our_names_from_a_cell_reach_no_client(tmp_path: Path) -> None:
    """Neither as headers nor as trailers, whatever a cell makes up; but for who answered, and why."""
    ours = [(name, "made-up") for name in INTERNAL_HEADERS]
    async with edge_before(tmp_path) as (edge, noting):
        noting.answers = (*ours, ("x-fine", "1"))
        noting.ends = (*ours, ("grpc-status", "0"))
        answer: dict[str, str] = {}
        assert await send_http2(edge.port, request(), answer=answer) == 200
        assert (answer["x-fine"], answer["grpc-status"]) == ("1", "0")
        found = {name: value for name, value in answer.items() if "cellplane-" in name}
        assert found == {"x-cellplane-cell": "cell-1", "x-cellplane-rule": "default"}


async def test_a_connection_header_names_nothing_of_ours_away(tmp_path: Path) -> None:
    """Headers that `Connection` lists are for one hop only, and Envoy takes them out before it decides."""
    async with edge_before(tmp_path) as (edge, noting):
        ours = "x-cellplane-cell, x-cellplane-rule, x-cellplane-operator"
        assert (await edge.send("/", ("connection", ours), ("x-cellplane-cell", "cell-9"))).status == 200
        assert (noting.seen[-1]["x-cellplane-cell"], noting.seen[-1]["x-cellplane-rule"]) == (
            "cell-1",
            "default",
        )
        for name in ("host", "x-forwarded-for", "x-forwarded-proto"):
            assert (await edge.send("/", ("connection", name))).status == 400
        assert len(noting.seen) == 1


async def test_our_names_from_a_client_of_http2_reach_no_cell(tmp_path: Path) -> None:
    """In small letters they are removed, with underscores dropped, and in capitals they are no HTTP/2."""
    ours = ("x-cellplane-cell", "x-cellplane-rule", "x-cellplane-identity", "x-cellplane-operator")
    forged = [(name, "cell-9") for name in (*ours, "x-cellplane-owner", "x-cellplane-session")]
    async with edge_before(tmp_path) as (edge, noting):
        assert await send_http2(edge.port, request(*forged)) == 200
        assert await send_http2(edge.port, request(("x_cellplane_owner", "cell-9"))) == 200
        for capital in ("X-Cellplane-Owner", "X-CELLPLANE-CELL"):
            assert await send_http2(edge.port, request((capital, "cell-9"))) == 0
        for seen in noting.seen:
            assert "cell-9" not in seen.values()
            assert {name for name in seen if "cellplane" in name} == {"x-cellplane-cell", "x-cellplane-rule"}
        assert len(noting.seen) == 2
