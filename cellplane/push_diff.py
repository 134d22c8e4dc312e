"""What a push changes, for people and for the way back: records with their authors, resources by type,
causes.

Given two Views and the Snapshots made of them by whoever writes pushes down; it says nothing of a push's
fate. Pure: values in, values out (`View -> Snapshot`, told).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cellplane.rules_history import CURRENT, KIND
from topology.changes import differences
from topology.codec import encode
from topology.keys import CellKey, DocumentKey, GenerationKey, RegistryKey
from topology.model import Cell, CellState, Document, Stamp
from topology.view import View
from xds.resource import ENDPOINT
from xds.snapshot import Change, Snapshot

RULES, CELLS, ENDPOINTS, CLAIMS, DRAIN, START = "rules", "cells", "endpoints", "claims", "drain", "start"
CAUSES: Final = (RULES, CELLS, ENDPOINTS, CLAIMS, DRAIN, START)
"""Why a push happens; where there are several reasons, the first of these names it."""
MOST_NAMES: Final = 20
MOST_RECORDS: Final = 50
MOST_RULES_BYTES: Final = 16 * 1024
NO_STAMP: Final = Stamp(updated_by="", updated_at="", reason="")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordChange:
    """One record of the topology that changed. `before` is its JSON form; None: it was not there.

    `revision` is where it was written; 0 where it went. `has_before` is False where what was is too large to
    be kept.
    """

    record: str
    stamp: Stamp
    lines: tuple[str, ...]
    revision: int
    before: Mapping[str, Any] | None = None
    has_before: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceChange:
    """What came, changed and went of one type: the first names of each, and how many there are in all."""

    type: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    counts: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushDiff:
    """All that a push changes. `more_records` were left out because there are too many."""

    causes: tuple[str, ...]
    records: tuple[RecordChange, ...]
    more_records: int
    resources: tuple[ResourceChange, ...]
    unchanged: tuple[str, ...]
    notes: tuple[str, ...] = ()


def push_diff(
    before: View | None, after: View, old: Snapshot | None, new: Snapshot, change: Change
) -> PushDiff:
    """Tell what changed from one View to the next, and what that changes for Envoys."""
    # The first push of a replica that knows of none before is no change that somebody made.
    known = before or after
    cells, rules = list(_cells(known, after)), list(_rules(known, after))
    records = [*rules, *cells]
    moved = sum(known.generations.get(slot) != revision for slot, revision in after.generations.items())
    gone = sum(after.departed.get(owner) is not one for owner, one in known.departed.items())
    departed = gone + sum(owner not in known.departed for owner in after.departed)
    notes = [f"claims: {moved} of {len(after.generations)} generations rose"] if moved else []
    notes += [f"departures: {departed} changed"] if departed else []
    if before is None:
        notes.append(f"start: a first push, of {len(after.cells)} cells")
    drains = [cell.id for cell in after.cells.values() if cell.state is CellState.DRAINING]
    if not (records or notes) and drains:
        notes.append(f"drain: another step of cell {', '.join(map(str, drains[:MOST_NAMES]))}")
    causes = {
        START: before is None,
        RULES: bool(rules),
        CELLS: bool(cells) and not change.keys() <= {ENDPOINT},
        ENDPOINTS: bool(cells) and change.keys() <= {ENDPOINT},
        CLAIMS: bool(moved or departed),
        DRAIN: not (records or moved or departed) and before is not None,
    }
    used = [kind for kind in new.resources if new.of_type(kind) or kind in change]
    return PushDiff(
        causes=tuple(cause for cause in CAUSES if causes[cause]),
        records=tuple(records[:MOST_RECORDS]),
        more_records=max(0, len(records) - MOST_RECORDS),
        resources=tuple(_resources(old, change)),
        unchanged=tuple(sorted(kind.name for kind in used if kind not in change)),
        notes=tuple(notes),
    )


def effective_revision(view: View) -> int:
    """Give the revision of the newest record that has a part in what Envoys are told.

    It is the same at every replica for the same content, whatever else was written and whatever each took
    together.
    """
    newest = 0
    for key, revision in view.mod_revisions.items():
        if revision > newest:
            match view.keyspace.parse(key):
                case (
                    CellKey()
                    | RegistryKey()
                    | GenerationKey()
                    | DocumentKey(kind="rules", name="current")
                    | DocumentKey(kind="overrides")
                ):
                    newest = revision
    return newest


def lines(diff: PushDiff) -> list[str]:
    """Tell a diff in lines: records first, then resources, then what stayed."""
    told = [f"{each.record}: {line}" for each in diff.records for line in each.lines]
    if diff.more_records:
        told.append(f"and {diff.more_records} more records")
    told += diff.notes
    for each in diff.resources:
        words = zip(("added", "changed", "removed"), (each.added, each.changed, each.removed), strict=True)
        for (word, names), count in zip(words, each.counts, strict=True):
            if count:
                more = f" and {count - len(names)} more" if count > len(names) else ""
                told.append(f"{each.type} {', '.join(names)}{more} {word}")
    told += [f"{name}: unchanged" for name in diff.unchanged]
    return told


def _cells(before: View, after: View) -> Iterator[RecordChange]:
    for cell_id in sorted(before.cells.keys() | after.cells.keys()):
        old, new = before.cells.get(cell_id), after.cells.get(cell_id)
        if old is not new and old != new:
            yield _cell(cell_id, old, new, after)


def _cell(cell_id: int, old: Cell | None, new: Cell | None, after: View) -> RecordChange:
    if new is None:
        tombstone = after.retired.get(cell_id)
        stamp = tombstone.stamp if tombstone else NO_STAMP
        told: tuple[str, ...] = ("removed",)
    elif old is None:
        stamp, told = new.stamp, (f"added in {new.state}, weight {new.weight}",)
    else:
        stamp, told = new.stamp, differences(old, replace(new, stamp=old.stamp)) or ("written as it was",)
    return RecordChange(
        record=f"cell {cell_id}",
        stamp=stamp,
        lines=told,
        revision=after.cell_revision(cell_id) if new is not None else 0,
        before=json.loads(encode(old)) if old is not None else None,
    )


def _rules(before: View, after: View) -> Iterator[RecordChange]:
    old, new = before.documents.get((KIND, CURRENT)), after.documents.get((KIND, CURRENT))
    if old is new or (old and new and old.body == new.body):
        return
    body = dict(old.body) if old is not None else None
    fits = body is None or len(json.dumps(body)) <= MOST_RULES_BYTES
    yield RecordChange(
        record="rules",
        stamp=new.stamp if new is not None else NO_STAMP,
        lines=tuple(_rule_lines(old, new)),
        revision=after.document_revision(KIND, CURRENT),
        before=body if fits else None,
        has_before=fits,
    )


def _rule_lines(old: Document | None, new: Document | None) -> Iterator[str]:
    if new is None:
        yield "deleted: the built-in rules are in force"
        return
    if old is None:
        yield "in force instead of the built-in ones"
    was, now = _named(old.body if old else {}), _named(new.body)
    yield from (f"rule {name}: added" for name in now if name not in was)
    yield from (f"rule {name}: removed" for name in was if name not in now)
    yield from (f"rule {name}: changed" for name in now if name in was and now[name] != was[name])
    if [name for name in was if name in now] != [name for name in now if name in was]:
        yield "order of rules: changed"
    fields = dict(old.body) if old else {}
    for name in sorted((fields.keys() | new.body.keys()) - {"rules"}):
        if fields.get(name) != new.body.get(name):
            yield f"{name}: changed"


def _named(body: Mapping[str, Any]) -> dict[str, Any]:
    rules = body.get("rules")
    found = rules if isinstance(rules, list) else []
    return {str(rule.get("name")): rule for rule in found if isinstance(rule, dict)}


def _resources(old: Snapshot | None, change: Change) -> Iterator[ResourceChange]:
    for kind, names in change.items():
        known = old.of_type(kind) if old is not None else {}
        added = sorted(name for name in names.upserted if name not in known)
        changed = sorted(name for name in names.upserted if name in known)
        removed = sorted(names.removed)
        yield ResourceChange(
            type=kind.name,
            added=tuple(added[:MOST_NAMES]),
            changed=tuple(changed[:MOST_NAMES]),
            removed=tuple(removed[:MOST_NAMES]),
            counts=(len(added), len(changed), len(removed)),
        )
