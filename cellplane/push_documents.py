"""Documents that edges are told of, besides cells and rules: what changed of them from one View to the next.

The diff of a push tells them as it tells cells, and waves and ids of pushes follow the same list. Pure: Views
in, changes out (`View -> Snapshot`, told).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cellplane.push_change import MOST_BYTES_BEFORE, NO_STAMP, RecordChange
from envoy.certificates import KIND as CERTIFICATES
from envoy.shadow import KIND as CANDIDATE
from topology.model import Document
from topology.overrides import KIND as OVERRIDES
from topology.view import View
from topology.zones import DRAINED_ZONES

CAUSES_BY_KIND: Final = {
    CERTIFICATES: "certificates",
    OVERRIDES: "overrides",
    DRAINED_ZONES: "zones",
    CANDIDATE: "candidate",
}
"""What a push is for where such a document changed."""


def document_changes(before: View, after: View) -> Iterator[tuple[str, RecordChange]]:
    """Yield what changed of these documents, each with its kind."""
    if before.documents is after.documents:
        return
    for kind, name in sorted(before.documents.keys() | after.documents.keys()):
        if kind in CAUSES_BY_KIND:
            old, new = before.documents.get((kind, name)), after.documents.get((kind, name))
            # A zone's evacuation begins with the stamp: written again it begins anew.
            if old is not new and old != new:
                yield kind, _change(f"{kind} {name}", old, new, after.document_revision(kind, name))


def kept_before(document: Document | None) -> tuple[Mapping[str, Any] | None, bool]:
    """Give what a document said before, and whether that is small enough to be kept."""
    body = dict(document.body) if document is not None else None
    fits = body is None or len(json.dumps(body)) <= MOST_BYTES_BEFORE
    return (body if fits else None), fits


def _change(record: str, old: Document | None, new: Document | None, revision: int) -> RecordChange:
    before, fits = kept_before(old)
    return RecordChange(
        record=record,
        stamp=new.stamp if new is not None else NO_STAMP,
        lines=tuple(_lines(old, new)),
        revision=revision if new is not None else 0,
        before=before,
        has_before=fits,
    )


def _lines(old: Document | None, new: Document | None) -> Iterator[str]:
    if new is None:
        yield "removed"
        return
    was: Mapping[str, Any] = old.body if old is not None else {}
    if old is None:
        yield "added"
    names = [name for name in sorted(was.keys() | new.body.keys()) if was.get(name) != new.body.get(name)]
    for name in names:
        yield f"{name}: {_shown(was, name)} → {_shown(new.body, name)}"
    if old is not None and not names:
        yield "written again"


def _shown(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "none")
    return "…" if isinstance(value, dict | list) else str(value)
