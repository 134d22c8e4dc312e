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

from cellplane.push_change import NO_STAMP, RecordChange
from cellplane.push_documents import CAUSES_BY_KIND, document_changes, kept_before
from cellplane.rules_history import CURRENT, KIND
from topology.changes import differences
from topology.codec import encode
from topology.departing import NAMES as LEFT_NAMES
from topology.departing import left_cells
from topology.keys import CellKey, DocumentKey, GenerationKey, RegistryKey
from topology.model import Cell, CellState, Document
from topology.view import View
from topology.zones import zone_drains
from xds.resource import ENDPOINT
from xds.snapshot import Change, Snapshot

RULES, CELLS, ENDPOINTS, CLAIMS, DRAIN, START = "rules", "cells", "endpoints", "claims", "drain", "start"
TIME: Final = "time"
CAUSES: Final = (RULES, CELLS, *CAUSES_BY_KIND.values(), ENDPOINTS, CLAIMS, DRAIN, TIME, START)
"""Why a push happens; where there are several reasons, the first of these names it."""
MOST_NAMES: Final = 20
MOST_RECORDS: Final = 50


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
    documents = list(document_changes(known, after))
    records = [*rules, *cells, *(each for _, each in documents)]
    moved = sum(known.generations.get(slot) != revision for slot, revision in after.generations.items())
    gone = sum(after.departed.get(owner) is not one for owner, one in known.departed.items())
    departed = gone + sum(owner not in known.departed for owner in after.departed)
    notes = [f"claims: {moved} of {len(after.generations)} generations rose"] if moved else []
    notes += [f"departures: {departed} changed"] if departed else []
    leaving = left_cells(known) != left_cells(after) if known.documents is not after.documents else False
    notes += ["departures: cells that owners leave changed"] if leaving else []
    claims = bool(moved or departed or leaving)
    drains = []
    if before is None:
        notes.append(f"start: a first push, of {len(after.cells)} cells")
    elif not (records or claims):
        # Nobody wrote anything: the clock did it.
        drains = [*_drains(after)]
        named = f"drain: another step of {', '.join(drains[:MOST_NAMES])}"
        notes.append(named if drains else "time: an override, or a class of traffic, came to its end")
    kinds = {kind for kind, _ in documents}
    causes = {
        START: before is None,
        RULES: bool(rules),
        CELLS: bool(cells) and not change.keys() <= {ENDPOINT},
        **{cause: kind in kinds for kind, cause in CAUSES_BY_KIND.items()},
        ENDPOINTS: bool(cells) and change.keys() <= {ENDPOINT},
        CLAIMS: claims,
        DRAIN: bool(drains),
        TIME: before is not None and not (records or claims or drains),
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
                case CellKey() | RegistryKey() | GenerationKey() | DocumentKey(kind="rules", name="current"):
                    newest = revision
                case DocumentKey(kind=kind) if kind in CAUSES_BY_KIND or kind == LEFT_NAMES:
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


def _drains(view: View) -> Iterator[str]:
    """Name what is being drained."""
    yield from (f"cell {cell.id}" for cell in view.cells.values() if cell.state is CellState.DRAINING)
    yield from (f"zone {cell_id}/{each.zone}" for cell_id, of in zone_drains(view).items() for each in of)


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
    before_body, fits = kept_before(old)
    yield RecordChange(
        record="rules",
        stamp=new.stamp if new is not None else NO_STAMP,
        lines=tuple(_rule_lines(old, new)),
        revision=after.document_revision(KIND, CURRENT),
        before=before_body,
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
