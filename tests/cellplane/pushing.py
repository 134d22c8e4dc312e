"""Pushes for tests: Views as the store would give them, translated as the control plane does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cellplane.push_tracker import Pushed
from envoy.edge import EdgeSettings
from envoy.rules import DEFAULT_RULESET
from envoy.translate import Translation, translate
from tests.cellplane.views import STAMP
from topology.model import Cell, Document
from topology.view import EMPTY, View
from xds.snapshot import Snapshot, diff

NOW = datetime(2026, 11, 22, 10, 0, 5, tzinfo=UTC)


def view_of(revision: int, *cells: Cell, before: View = EMPTY, **documents: Any) -> View:
    """Make a View in which what differs from the one before was written at this revision."""
    keys = {}
    for each in cells:
        key = EMPTY.keyspace.cell(each.id)
        same = before.cells.get(each.id) == each
        keys[key] = before.mod_revisions[key] if same else revision
    found = dict(before.documents)
    for name, body in documents.items():
        kind, _, of = name.partition("__")
        found[kind, of] = Document(kind=kind, name=of, body=body, stamp=STAMP)
        keys[EMPTY.keyspace.document(kind, of)] = revision
    kept = {key: at for key, at in before.mod_revisions.items() if "/cells/" not in key}
    return replace(
        EMPTY,
        revision=revision,
        cells={
            each.id: before.cells[each.id] if before.cells.get(each.id) == each else each for each in cells
        },
        documents=found,
        mod_revisions={**kept, **keys},
    )


def made_of(view: View, previous: Translation | None = None, now: datetime = NOW) -> Translation:
    return translate(view, DEFAULT_RULESET, EdgeSettings(), now, previous)


def pushed(before: View | None, after: View, arrived_at: float = 100.0) -> Pushed:
    """Give the push from one View to the next."""
    old = made_of(before) if before is not None else None
    new = made_of(after, old)
    nothing = Snapshot(0, {})
    return Pushed(
        group="edge",
        before=before,
        after=after,
        old=old.snapshot if old else None,
        new=new.snapshot,
        change=diff(old.snapshot if old else nothing, new.snapshot),
        arrived_at=arrived_at,
        at=1_800_000_000.0,
    )
