"""One trace from a real Envoy through ext_proc to the cell, as a collector gets it over OTLP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cellplane.tracing import tracing_wanted
from envoy.edge import Tracing
from tests.envoy.owners_rig import asking_edge
from tests.processes import eventually
from topology.model import Endpoint

FORGED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent: spans, each with the name of its service."""

    spans: list[tuple[str, Span]] = field(default_factory=list)
    port: int = 0

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  gRPC's name
        for resource in request.resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.spans += [
                (named["service.name"], span) for scope in resource.scope_spans for span in scope.spans
            ]
        return trace_service_pb2.ExportTraceServiceResponse()

    async def all_of(self, count: int) -> list[tuple[str, Span]]:
        async def there() -> bool:
            return len(self.spans) >= count

        await eventually(there, f"{count} spans", 20)
        return self.spans


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector, server = Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(0)


def tags(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


async def test_a_trace_goes_from_the_edge_through_ext_proc_to_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        python = tracing_wanted("cellplane-ext-proc")
        assert python is not None
        told = Tracing(endpoints=(Endpoint(host="127.0.0.1", port=collector.port),), percent=100)
        async with asking_edge(
            tmp_path, edge_settings={"tracing": told}, server={"around": python.stream}
        ) as asking:
            asking.owners.own(2, "acme")
            # Not in some seconds, when more have gathered.
            await asking.edge.envoy.admin(
                "/runtime_modify?tracing.opentelemetry.min_flush_spans=1", method="POST"
            )
            answer = await asking.edge.send(
                "/acme/web?private_token=secret", ("traceparent", FORGED), ("x-client-trace-id", "7")
            )
            assert answer.get("x-cellplane-cell") == "cell-2"
            await asyncio.to_thread(python.close)
            spans = await collector.all_of(4)

        (edge,) = [span for service, span in spans if service == "cellplane-edge" and not span.parent_span_id]
        (asked,) = [span for service, span in spans if service == "cellplane-ext-proc"]
        by_id = {span.span_id: (service, span) for service, span in spans}
        # Who was asked stands below who asked, and both in the edge's trace.
        service, egress = by_id[asked.parent_span_id]
        assert (service, egress.parent_span_id) == ("cellplane-edge", edge.span_id)
        assert {span.trace_id for _, span in spans} == {edge.trace_id}
        assert asked.name == "envoy.service.ext_proc.v3.ExternalProcessor/Process"
        # The cell gets the trace, below the span of the request to it; a client begins none.
        handed_on = answer.seen["traceparent"][0].split("-")
        assert handed_on[1] == edge.trace_id.hex() != FORGED.split("-")[1]
        assert by_id[bytes.fromhex(handed_on[2])][1].parent_span_id == edge.span_id
        # What was decided is told, and no query.
        told_tags = tags(edge)
        assert (told_tags["cellplane.cell"], told_tags["cellplane.rule"]) == ("cell-2", "path")
        assert told_tags["url.path"] == "/acme/web"
        assert "secret" not in str(spans)
