"""Traces of calls by OpenTelemetry, where the standard variables of the environment ask for them.

The composition root lays it around the service's methods; where nobody asks, nothing is laid around and
nothing is imported. Beside `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc

from cellplane.push_traces import PushTraces, context_of
from cellplane.push_tracker import PushTracker
from cellplane.settings import SettingsError
from topology.service.request_id import current_request_id

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

WRITES: Final = frozenset(
    f"/cellplane.topology.v1.{each}"
    for each in ("CellService/ChangeCells", "DocumentService/PutDocument", "DocumentService/DeleteDocument")
)
"""Methods whose answer names the revision that they wrote; nothing was written where that is 0."""


@dataclass
class Ending:
    """How a call ended that came over HTTP: with gRPC's code, and words where it failed."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    words: str = ""


class Tracing:
    """A span for each call, within the trace that the caller says it belongs to."""

    def __init__(self, provider: TracerProvider) -> None:
        # Only who traces needs the packages.
        from opentelemetry import propagate, trace  # noqa: PLC0415

        self.provider = provider
        self._tracer = provider.get_tracer("cellplane")
        self._extract = propagate.extract
        self._trace = trace

    def unary(self, method: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        """Lay a span around a method."""

        async def traced(request: Any, context: Any) -> Any:
            with self._span(method, context) as span:
                response = await answer(request, context)
                # The trace of the revision that was written tells what became of it.
                if method in WRITES and (revision := response.revision):
                    span.set_attribute("cellplane.revision", revision)
                    span.add_link(context_of(revision))
                return response

        return traced

    def stream(self, method: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        """Lay a span around a stream, from its first response to its end."""

        async def traced(request: Any, context: Any) -> AsyncIterator[Any]:
            with self._span(method, context):
                async with aclosing(answer(request, context)) as responses:
                    async for response in responses:
                        yield response

        return traced

    @contextmanager
    def over_http(self, method: str, headers: Mapping[str, str]) -> Iterator[Ending]:
        """Lay a span around a method that is asked over HTTP; who answers says how it ended."""
        span = self._started(method, {name.lower(): value for name, value in headers.items()}, "http")
        ending = Ending()
        try:
            yield ending
        except asyncio.CancelledError:
            ending.code = grpc.StatusCode.CANCELLED
            raise
        finally:
            self._end(span, ending.code, ending.words)

    def close(self) -> None:
        """Send what is left. It may take as long as the exporter's own patience."""
        self.provider.shutdown()

    @contextmanager
    def _span(self, method: str, context: Any) -> Iterator[Span]:
        carrier = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        span = self._started(method, carrier, "grpc")
        cancelled = False
        try:
            yield span
        except (asyncio.CancelledError, GeneratorExit):
            cancelled = True
            raise
        finally:
            code = grpc.StatusCode.CANCELLED if cancelled else context.code()
            self._end(span, code, context.details() or "")

    def _started(self, method: str, carrier: Mapping[str, str], system: str) -> Span:
        service, _, name = method.removeprefix("/").partition("/")
        return self._tracer.start_span(
            method.removeprefix("/"),
            context=self._extract(carrier),
            kind=self._trace.SpanKind.SERVER,
            attributes={"rpc.system": system, "rpc.service": service, "rpc.method": name},
        )

    def _end(self, span: Span, code: Any, words: str) -> None:
        number = code.value[0] if isinstance(code, grpc.StatusCode) else int(code or 0)
        span.set_attribute("rpc.grpc.status_code", number)
        if request_id := current_request_id():
            span.set_attribute("cellplane.request_id", request_id)
        if number in _OURS:
            span.set_status(self._trace.StatusCode.ERROR, words)
        span.end()


# What a server is to blame for; the rest are answers.
_OURS: Final = frozenset(
    code.value[0]
    for code in (
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    )
)


def tracing_wanted(service: str, environment: Mapping[str, str] = os.environ) -> Tracing | None:
    """Make it where an OTLP endpoint is named and nothing switches it off; raise SettingsError where it lacks
    its packages. `service` is its name unless the environment has another.
    """
    if not any(environment.get(name) for name in _ENDPOINTS):
        return None
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        named = next(name for name in _ENDPOINTS if environment.get(name))
        raise SettingsError(
            f"{named} asks for traces, and {error.name} is not installed: "
            "pip install 'cellplane[otel]', or unset it."
        ) from error
    name = environment.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def traced(tracker: PushTracker, replica: str) -> PushTracker:
    """Have a tracker's pushes traced, where that is asked for. What is left is sent when the process ends."""
    tracing = tracing_wanted("cellplane-control-plane")
    if tracing is not None:
        tracker.done = PushTraces(tracing.provider, replica, tracker.clock).done
    return tracker
