"""Traces from a write of the topology to the last acknowledgement: a push as a span in the trace of each
revision that it brought.

A revision names its trace, so the call that wrote it and every replica that pushed it meet there without
telling each other. The tracker tells of pushes that are done (`View -> Snapshot -> Response`, traced).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cellplane.push_tracker import Tracked
from topology.view import View

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext

MOST_REVISIONS: Final = 8
_NANOSECONDS: Final = 1_000_000_000


def context_of(revision: int) -> SpanContext:
    """Give the root of a revision's trace: the same wherever it is asked for."""
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415  only who traces needs it

    digest = hashlib.sha256(f"cellplane revision {revision}".encode()).digest()
    return SpanContext(
        trace_id=int.from_bytes(digest[:16]),
        span_id=int.from_bytes(digest[16:24]),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


def revisions_of(before: View | None, after: View) -> list[int]:
    """Give the revisions that a push brought, the newest first; only so many, and of a first push none."""
    if before is None:
        return []
    fresh = {revision for revision in after.mod_revisions.values() if revision > before.revision}
    return sorted(fresh, reverse=True)[:MOST_REVISIONS]


class PushTraces:
    """Makes the spans. `clock` is the tracker's, `wall_clock` counts Unix seconds."""

    def __init__(
        self,
        provider: TracerProvider,
        replica: str,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        from opentelemetry import trace  # noqa: PLC0415  only who traces needs it

        self._trace = trace
        self._tracer = provider.get_tracer("cellplane.pushes")
        self._replica = replica
        self._clock = clock
        self._wall_clock = wall_clock

    def done(self, push: Tracked) -> None:
        """Tell of a push, or of one stage of its wave, that nobody is waited for any more."""
        pushed, now = push.pushed, self._wall_clock()
        arrived = now - max(0.0, self._clock() - pushed.arrived_at)
        published = min(max(pushed.at, arrived), now)
        attributes: dict[str, Any] = {
            "cellplane.group": pushed.group,
            "cellplane.replica": self._replica,
            "cellplane.wave": pushed.wave,
            "cellplane.nodes": push.times.nodes,
            "cellplane.left": push.left,
            "cellplane.rejected": push.rejected,
        }
        for revision in revisions_of(pushed.before, pushed.after):
            whole = self._span("push", context_of(revision), arrived)
            whole.set_attributes({"cellplane.revision": revision, **attributes})
            for name, start, end in (
                ("watch to publish", arrived, published),
                ("publish to acknowledge", published, now),
            ):
                self._span(name, whole.get_span_context(), start).end(int(end * _NANOSECONDS))
            if push.rejected:
                whole.set_status(self._trace.StatusCode.ERROR, f"rejected {push.rejected} times")
            whole.end(int(now * _NANOSECONDS))

    def _span(self, name: str, parent: SpanContext, start: float) -> Any:
        context = self._trace.set_span_in_context(self._trace.NonRecordingSpan(parent))
        return self._tracer.start_span(name, context=context, start_time=int(start * _NANOSECONDS))
