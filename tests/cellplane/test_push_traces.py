"""A push as a span in the trace of each revision that it brought."""

from __future__ import annotations

from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from cellplane.push_traces import MOST_REVISIONS, PushTraces, context_of, revisions_of
from cellplane.push_tracker import PushTracker
from tests.cellplane.fleets import response, synced
from tests.cellplane.pushing import pushed, view_of
from tests.cellplane.views import cell
from xds.status import Fleet

BEFORE = view_of(10, cell(1), cell(2), cell(3))
AFTER = view_of(12, cell(1), replace(cell(2), weight=5), cell(3), before=BEFORE)


class Rig:
    def __init__(self) -> None:
        self.now = 100.0
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.fleet = Fleet()
        self.tracker = PushTracker(self.fleet, clock=lambda: self.now)
        self.tracker.done = PushTraces(provider, "a", lambda: self.now, lambda: self.now + 1000).done

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_push_is_done_when_the_last_node_has_it(rig: Rig) -> None:
    first, second = synced(rig.fleet, "edge-1", 10), synced(rig.fleet, "edge-2", 10)
    rig.tracker.published(replace(pushed(BEFORE, AFTER, arrived_at=100.0), at=1100.25))
    rig.now = 101.0
    first.settled(12)
    assert rig.spans() == {}
    rig.now = 103.0
    second.settled(12)
    spans = rig.spans()
    assert set(spans) == {"push", "watch to publish", "publish to acknowledge"}
    whole = spans["push"]
    assert whole.context is not None
    assert whole.parent == context_of(12)
    assert whole.context.trace_id == context_of(12).trace_id
    assert (whole.start_time, whole.end_time) == (1_100_000_000_000, 1_103_000_000_000)
    assert dict(whole.attributes or {}) == {
        "cellplane.revision": 12,
        "cellplane.group": "edge",
        "cellplane.replica": "a",
        "cellplane.wave": "",
        "cellplane.nodes": 2,
        "cellplane.left": 0,
        "cellplane.rejected": 0,
    }
    published = spans["publish to acknowledge"]
    assert published.parent is not None
    assert published.parent.span_id == whole.context.span_id
    assert published.start_time == 1_100_250_000_000


def test_a_rejection_is_an_error_of_the_push(rig: Rig) -> None:
    stream, sent = synced(rig.fleet, "edge-1", 10), response("12")
    more = view_of(12, *BEFORE.cells.values(), cell(4), before=BEFORE)
    rig.tracker.published(pushed(BEFORE, more, arrived_at=100.0))
    stream.sent(sent)
    stream.rejected(sent, (), "no")
    rig.fleet.closed(stream)
    assert rig.spans()["push"].status.status_code is StatusCode.ERROR


def test_a_revision_names_its_trace_and_a_first_push_has_none() -> None:
    assert context_of(7) == context_of(7)
    assert context_of(7).trace_id != context_of(8).trace_id
    assert revisions_of(None, AFTER) == []
    assert revisions_of(BEFORE, AFTER) == [12]
    many = replace(AFTER, mod_revisions={f"/{at}": 100 + at for at in range(20)})
    assert revisions_of(AFTER, many) == list(range(119, 119 - MOST_REVISIONS, -1))
