"""The way back of a push, from what the history kept to one transaction."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cellplane.document_writers import roll_back
from cellplane.push_diff import push_diff
from cellplane.push_record import push_body
from cellplane.push_rollback import KEPT, ROLLBACK, rollback_body, why_not
from tests.cellplane.pushing import pushed, view_of
from tests.cellplane.views import STAMP, cell
from tests.envoy.rule_documents import document, rule
from topology.model import Document
from topology.planning import Outcome, Plan, Refusal
from topology.view import View

OLD, NEW = document(rule(name="a")), document(rule(name="a"), rule(name="b"))
BEFORE = view_of(10, cell(1), cell(2), rules__current=OLD)
AFTER = view_of(11, cell(1), replace(cell(2), weight=0), before=BEFORE, rules__current=NEW)
LATER = replace(STAMP, updated_by="bob", reason="it hurts")


def push(before: View | None = BEFORE, after: View = AFTER) -> dict[str, Any]:
    """Give a push as the history's page does."""
    made = pushed(before, after)
    diff = push_diff(made.before, made.after, made.old, made.new, made.change)
    body = push_body(group="edge", revision=11, digest="d", at=1.0, replica="a", diff=diff)
    found: dict[str, Any] = json.loads(json.dumps(body))
    return found


def plan(view: View, body: dict[str, Any] | None, name: str = "") -> Outcome:
    return roll_back(view, name or (body or {}).get("push", "0a1b2c3d"), body, LATER)


def refused(outcome: Outcome) -> str:
    assert isinstance(outcome, Refusal), outcome
    return "; ".join(map(str, outcome.problems))


def test_all_records_go_back_at_one_revision_and_it_is_on_record() -> None:
    made = plan(AFTER, rollback_body(push()))
    assert isinstance(made, Plan)
    written = {key: json.loads(value) for key, value in made.txn.puts}
    assert written["/cellplane/v1/cells/2"]["weight"] == 100
    assert written["/cellplane/v1/rules/current"]["body"] == OLD
    identity = push()["id"]
    assert written[f"/cellplane/v1/{ROLLBACK}/{identity}"]["body"]["records"] == ["rules", "cell 2"]
    assert written["/cellplane/v1/cells/2"]["reason"] == f"rollback of push {identity}: it hurts"
    assert written["/cellplane/v1/cells/2"]["updated_by"] == "bob"
    assert "cell 2: weight: 0 → 100" in made.summary
    assert made.summary[-1].startswith("claims stay where they are")


def test_rules_from_before_there_were_any_are_the_built_in_ones() -> None:
    bare = view_of(10, cell(1), cell(2))
    made = plan(
        AFTER, rollback_body(push(bare, view_of(11, cell(1), cell(2), before=bare, rules__current=NEW)))
    )
    assert isinstance(made, Plan)


def test_nothing_goes_back_where_one_record_cannot() -> None:
    since = view_of(12, cell(1), replace(cell(2), weight=5), before=AFTER)
    assert "cell 2 was written again by ada" in refused(plan(since, rollback_body(push())))
    rules = view_of(12, cell(1), AFTER.cells[2], before=AFTER, rules__current=OLD)
    assert "rules: were written again by ada" in refused(plan(rules, rollback_body(push())))


def test_documents_that_envoys_are_told_of_go_back_too() -> None:
    pinned = {"action": "pass", "until": "2026-11-23T00:00:00Z"}
    before = view_of(10, cell(1), cell(2))
    after = view_of(11, cell(1), cell(2), before=before, **{"overrides__cell/2": pinned})
    made = plan(after, rollback_body(push(before, after)))
    assert isinstance(made, Plan)
    assert made.txn.deletes == ("/cellplane/v1/overrides/cell%2F2",)
    since = view_of(12, cell(1), cell(2), before=after, **{"overrides__cell/2": pinned})
    assert "overrides: cell/2 was written again by ada" in refused(
        plan(since, rollback_body(push(before, after)))
    )
    certificates = {"schema": 1, "certificate": "/etc/a.pem", "key": "/etc/a.key"}
    old = view_of(10, cell(1), certificates__edge=certificates)
    new = view_of(11, cell(1), before=old, certificates__edge={**certificates, "key": "/etc/b.key"})
    asked = {
        "push": "0a1b2c3d",
        "records": [{"record": "certificates edge", "revision": 11, "before": certificates}],
    }
    made = plan(new, asked)
    assert isinstance(made, Plan)
    assert json.loads(made.txn.puts[0][1])["body"] == certificates
    asked["records"] = [{"record": "certificates edge", "revision": 11, "before": {"schema": 2}}]
    assert "write 1" in refused(plan(new, asked))


def test_old_rollbacks_make_way() -> None:
    names = [f"{number:08x}" for number in range(KEPT)]
    many = {(ROLLBACK, name): Document(kind=ROLLBACK, name=name, body={}, stamp=STAMP) for name in names}
    keys = {f"/cellplane/v1/{ROLLBACK}/{name}": 3 + number for number, name in enumerate(names)}
    view = replace(
        AFTER, documents={**AFTER.documents, **many}, mod_revisions={**AFTER.mod_revisions, **keys}
    )
    made = plan(view, rollback_body(push()))
    assert isinstance(made, Plan)
    assert made.txn.deletes == (f"/cellplane/v1/{ROLLBACK}/{names[0]}",)


CELL = {"record": "cell 2", "revision": 11, "before": None}


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("0a1b2c3d", None, "stays on record"),
        ("nonsense", {"push": "nonsense"}, "'nonsense' is no push"),
        ("0a1b2c3d", {"push": "ffffffff"}, "in the body too"),
        ("0a1b2c3d", {"push": "0a1b2c3d", "records": []}, "records: are missing"),
        ("0a1b2c3d", {"push": "0a1b2c3d", "records": [{}]}, "records[0]: lacks its record"),
        ("0a1b2c3d", {"push": "0a1b2c3d", "records": [{**CELL, "record": "cell x"}]}, "rules, or "),
        (
            "0a1b2c3d",
            {"push": "0a1b2c3d", "records": [{**CELL, "before": 7}]},
            "neither an object nor nothing",
        ),
        ("0a1b2c3d", {"push": "0a1b2c3d", "records": [{**CELL, "before": {"id": 2}}]}, "records[0].before"),
    ],
)
def test_what_is_asked_wrongly(name: str, body: dict[str, Any] | None, words: str) -> None:
    assert words in refused(plan(AFTER, body, name))


def test_what_cannot_be_taken_back_says_why() -> None:
    assert why_not(push()) == ""
    assert "no change that somebody made" in why_not(push(None))
    bare = {**push(), "records": []}
    assert "transfer them back" in why_not({**bare, "causes": ["claims"]})
    assert "a step of a drain" in why_not({**bare, "causes": ["drain"]})
    assert "7 of its records are not kept" in why_not({**push(), "more_records": 7})
    (rules, *_) = push()["records"]
    assert "too large to be kept (rules)" in why_not({**push(), "records": [{**rules, "has_before": False}]})
