"""Traces: a span a call, in the caller's trace, with how it ended; and nothing where nobody asks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator

import aiohttp
import grpc
import grpc.aio
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cellplane.push_traces import context_of
from cellplane.settings import Listen, SettingsError, TlsFiles
from cellplane.topology_rest import RestPages
from cellplane.tracing import Tracing, tracing_wanted
from pb.cellplane.topology.v1 import cells_pb2
from tests.processes import eventually
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, drained, failure, playing
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.service.classify import Lifetimes
from topology.service.identity import NO_MORE_NAMES

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def stage(exporter: InMemorySpanExporter) -> AsyncIterator[Stage]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider)
    async with playing(MemoryStore(), Keyspace("/t"), (cell(1),), around=tracing) as stage:
        yield stage
    tracing.close()


@pytest.fixture
def client(stage: Stage) -> Client:
    return stage.client()


async def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    """Give the span of the one call. It ends behind the call: a caller may have its answer before."""

    async def ended() -> bool:
        return bool(exporter.get_finished_spans())

    await eventually(ended, "the end of the span")
    (span,) = exporter.get_finished_spans()
    exporter.clear()
    return span


async def test_a_call_is_a_span_of_the_callers_trace(client: Client, exporter: InMemorySpanExporter) -> None:
    said = [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("x-request-id", "r-1")]
    await client.cells.ListCells(cells_pb2.ListCellsRequest(), metadata=said)
    span = await only(exporter)
    assert (span.name, span.kind) == ("cellplane.topology.v1.CellService/ListCells", SpanKind.SERVER)
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.attributes == {
        "rpc.system": "grpc",
        "rpc.service": "cellplane.topology.v1.CellService",
        "rpc.method": "ListCells",
        "rpc.grpc.status_code": 0,
        "cellplane.request_id": "r-1",
    }
    assert span.status.status_code is StatusCode.UNSET


async def test_a_write_leads_to_the_trace_of_its_revision(
    client: Client, exporter: InMemorySpanExporter
) -> None:
    weight = cells_pb2.SetCellWeightRequest(id=1, weight=7, force=True)
    request = cells_pb2.ChangeCellsRequest(changes=[cells_pb2.CellChange(set_weight=weight)], dry_run=True)
    await client.cells.ChangeCells(request)
    assert not (await only(exporter)).links, "nothing was written"
    request.dry_run = False
    revision = (await client.cells.ChangeCells(request)).revision
    span = await only(exporter)
    assert span.attributes is not None
    assert span.attributes["cellplane.revision"] == revision
    assert [link.context for link in span.links] == [context_of(revision)]


async def test_a_call_over_http_is_a_span_too(stage: Stage, exporter: InMemorySpanExporter) -> None:
    assert isinstance(stage.around, Tracing)
    pages = RestPages(stage.server, NO_MORE_NAMES, Lifetimes(), stage.around)
    port = await pages.start(Listen(host="127.0.0.1", port=0), TlsFiles())
    said = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "r-2"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=said) as session:
        await session.get("/v1/cells/1")
        found = await only(exporter)
        assert found.context is not None
        assert f"{found.context.trace_id:032x}" == TRACE
        assert found.attributes == {
            "rpc.system": "http",
            "rpc.service": "cellplane.topology.v1.CellService",
            "rpc.method": "GetCell",
            "rpc.grpc.status_code": 0,
            "cellplane.request_id": "r-2",
        }
        await session.get("/v1/cells/9")
        missing = await only(exporter)
        assert missing.attributes is not None
        assert (missing.attributes["rpc.grpc.status_code"], missing.status.status_code) == (
            5,
            StatusCode.UNSET,
        )
    await pages.stop()


async def test_an_answer_is_no_error_of_the_server_and_an_outage_is(
    stage: Stage, client: Client, exporter: InMemorySpanExporter
) -> None:
    await failure(client.cells.GetCell(cells_pb2.GetCellRequest(id=9)))
    missing = await only(exporter)
    assert missing.attributes is not None
    assert (missing.attributes["rpc.grpc.status_code"], missing.status.status_code) == (5, StatusCode.UNSET)
    assert isinstance(stage.store, MemoryStore)
    stage.store.inject(Faults(unreachable=True))
    await failure(client.cells.ListCells(cells_pb2.ListCellsRequest(fresh=True)))
    away = await only(exporter)
    assert away.attributes is not None
    assert (away.attributes["rpc.grpc.status_code"], away.status.status_code) == (14, StatusCode.ERROR)


async def test_a_stream_is_one_span(stage: Stage, client: Client, exporter: InMemorySpanExporter) -> None:
    call = client.cells.Watch(cells_pb2.WatchCellsRequest())
    assert await call.read() is not grpc.aio.EOF
    assert exporter.get_finished_spans() == ()
    await stage.server.stop(1)
    await failure(drained(call))
    span = await only(exporter)
    assert span.attributes is not None
    assert (span.name, span.attributes["rpc.grpc.status_code"]) == (
        "cellplane.topology.v1.CellService/Watch",
        grpc.StatusCode.UNAVAILABLE.value[0],
    )


async def test_a_caller_that_goes_away_is_told_from_an_answer(
    client: Client, exporter: InMemorySpanExporter
) -> None:
    call = client.cells.Watch(cells_pb2.WatchCellsRequest())
    await call.read()
    call.cancel()
    span = await only(exporter)
    assert span.attributes is not None
    assert span.attributes["rpc.grpc.status_code"] == grpc.StatusCode.CANCELLED.value[0]


def test_it_is_off_unless_an_endpoint_is_named() -> None:
    there = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert tracing_wanted("test", {}) is None
    assert tracing_wanted("test", {**there, "OTEL_SDK_DISABLED": "true"}) is None
    assert tracing_wanted("test", {**there, "OTEL_TRACES_EXPORTER": "none"}) is None
    tracing = tracing_wanted("test", there)
    assert tracing is not None
    tracing.close()


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(SettingsError, match=r"pip install 'cellplane\[otel\]'"):
        tracing_wanted("test", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"})


def test_nothing_is_imported_where_nobody_asks() -> None:
    code = (
        "import sys, cellplane.topology_service; from cellplane.tracing import tracing_wanted; "
        "tracing_wanted('test', {}); print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
