"""The way back of a push: its records as they were before it, in one audited change.

`cellplane pushes rollback` sends what the history kept, the service plans it here, by the rules of every
other change. It never moves what customers own: that is a transfer's. Third road: a service call plans a
`Txn`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from cellplane.push_diff import CLAIMS, DRAIN, START, TIME
from cellplane.push_documents import CAUSES_BY_KIND
from cellplane.rules_history import CURRENT, KIND, plan_rules
from envoy.rules import DEFAULT_DOCUMENT, Ruleset, parse_ruleset
from topology.codec import decode, to_json
from topology.keys import CellKey
from topology.model import Cell, Problem, Stamp
from topology.planning import Outcome, Plan, Refusal, plan_document
from topology.restore import plan_restore
from topology.service.documents_service import Writer, Writers
from topology.steps import Step, together
from topology.view import View

ROLLBACK: Final = "pushes-rollback"
KEPT: Final = 20
_CELL: Final = re.compile(r"cell ([1-9][0-9]{0,9})\Z")
_ID: Final = re.compile(r"[0-9a-f]{8}\Z")


def why_not(push: Mapping[str, Any]) -> str:
    """Say why a push cannot be taken back as a whole; empty where it may be tried."""
    causes = set(push["causes"])
    if START in causes:
        return "it is what a control plane found when it started, and no change that somebody made"
    if not push["records"]:
        nobody = {
            CLAIMS: "claims moved, which a roll-back never does: transfer them back",
            DRAIN: "it is a step of a drain, which ends when the cell's state changes",
            TIME: "the time of something was over: write it anew",
        }
        return "; ".join(words for cause, words in nobody.items() if cause in causes) or "no record changed"
    if push["more_records"]:
        return f"{push['more_records']} of its records are not kept: there were too many"
    lost = [each["record"] for each in push["records"] if not each["has_before"]]
    if lost:
        return f"what was before is too large to be kept ({', '.join(lost)}): see `cellplane rules rollback`"
    return ""


def rollback_body(push: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked of the service."""
    kept = ("record", "revision", "before")
    records = [{name: each[name] for name in kept} for each in push["records"]]
    return {"push": push["id"], "records": records}


def plan_rollback(
    view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp, writers: Writers
) -> Outcome:
    """Plan all records of a push as they were, and a record of that, in one transaction.

    `writers` plan the documents that may be among them, by kind.
    """
    if body is None:
        return _refused("name", "what was rolled back stays on record: roll the roll-back's own push back")
    if not _ID.match(name) or body.get("push") != name:
        return _refused("push", f"{name!r} is no push: name it by its id of 8 hex digits, in the body too")
    records = body.get("records")
    if not isinstance(records, list) or not records:
        return _refused("records", "are missing: name each record with what it was")
    because = f": {stamp.reason}" if stamp.reason else ""
    stamp = replace(stamp, reason=f"rollback of push {name}{because}")
    steps = []
    for number, record in enumerate(records):
        step = _step(f"records[{number}]", record, stamp, writers)
        if isinstance(step, Refusal):
            return step
        steps.append(step)
    told = [str(record["record"]) for record in records]
    steps.append(Step("the record of it", partial(_audit, name=name, told=told, stamp=stamp)))
    steps += [Step("the oldest", partial(_forget, name=old, stamp=stamp)) for old in _surplus(view, name)]
    outcome = together(view, steps)
    if not isinstance(outcome, Plan):
        return outcome
    lines = [line for line in outcome.summary if not line.startswith(ROLLBACK)]
    return replace(outcome, summary=(*lines, "claims stay where they are: what a customer owns is not moved"))


def _step(field: str, record: Any, stamp: Stamp, writers: Writers) -> Step | Refusal:
    """Give the step that restores one record, or what is wrong with how it is told."""
    try:
        name, revision, before = str(record["record"]), int(record["revision"]), record["before"]
    except (KeyError, TypeError, ValueError):
        return _refused(field, "lacks its record, revision or before: take them from the history")
    if before is not None and not isinstance(before, dict):
        return _refused(f"{field}.before", "is neither an object nor nothing: take it from the history")
    kind, _, of = name.partition(" ")
    if name == "rules":
        return Step(name, partial(_rules, before=before, revision=revision, stamp=stamp))
    if of and (write := writers.get(kind)) is not None:
        plan = partial(_document, before=before, revision=revision, stamp=stamp)
        return Step(name, lambda view: plan(view, kind, of, write))
    return _cell(field, name, revision, before, stamp)


def _cell(
    field: str, name: str, revision: int, before: Mapping[str, Any] | None, stamp: Stamp
) -> Step | Refusal:
    if (found := _CELL.match(name)) is None:
        known = ", ".join((*CAUSES_BY_KIND, "cell"))
        return _refused(
            f"{field}.record", f"{name[:64]!r} is none that can be restored: rules, or {known} with a name"
        )
    cell_id = int(found[1])
    cell = None
    if before is not None:
        read = decode(CellKey(cell_id), to_json(before))
        if not isinstance(read, Cell):
            return _refused(f"{field}.before", getattr(read, "reason", "is no cell"))
        cell = read
    plan = partial(plan_restore, cell_id=cell_id, before=cell, revision=revision, stamp=stamp)
    return Step(name, plan)


def _rules(view: View, before: Mapping[str, Any] | None, revision: int, stamp: Stamp) -> Outcome:
    now = view.documents.get((KIND, CURRENT))
    if view.document_revision(KIND, CURRENT) != revision:
        by = f" by {now.stamp.updated_by} at {now.stamp.updated_at}" if now else ""
        return _refused("rules", f"were written again{by}: what came later goes back first")
    body = DEFAULT_DOCUMENT if before is None else before
    ruleset = parse_ruleset(body)
    if not isinstance(ruleset, Ruleset):
        return Refusal(problems=tuple(ruleset))
    return plan_rules(view, body, stamp)


def _document(
    view: View,
    kind: str,
    name: str,
    write: Writer,
    *,
    before: Mapping[str, Any] | None,
    revision: int,
    stamp: Stamp,
) -> Outcome:
    now = view.documents.get((kind, name))
    if view.document_revision(kind, name) != revision:
        by = f" by {now.stamp.updated_by} at {now.stamp.updated_at}" if now else ""
        return _refused(kind, f"{name} was written again{by}: what came later goes back first")
    return write(view, name, before, stamp)


def _audit(view: View, name: str, told: list[str], stamp: Stamp) -> Outcome:
    return plan_document(view, ROLLBACK, name, {"push": name, "records": told}, stamp)


def _forget(view: View, name: str, stamp: Stamp) -> Outcome:
    return plan_document(view, ROLLBACK, name, None, stamp)


def _surplus(view: View, name: str) -> list[str]:
    """Name the oldest roll-backs on record that make way for another."""
    others = [
        (view.document_revision(kind, each), each)
        for kind, each in view.documents
        if kind == ROLLBACK and each != name
    ]
    return [each for _, each in sorted(others)[: max(0, len(others) + 1 - KEPT)]]


def _refused(field: str, message: str) -> Refusal:
    return Refusal(problems=(Problem(field=field, message=message),))
