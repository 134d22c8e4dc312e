from __future__ import annotations

from typing import Any

import pytest

from tests.topology.samples import LATER, STAMP, view_of
from topology.codec import decode
from topology.documents import plan_document
from topology.keys import DocumentKey
from topology.model import Document, Stamp
from topology.plan import Overtaken, Plan, Refusal
from topology.store import Compare, Txn
from topology.view import View

KEY = "/cellplane/v1/rules/current"
OLD = Document(kind="rules", name="current", body={"rules": [1]}, stamp=STAMP)
HELD = View(revision=9, documents={("rules", "current"): OLD}, mod_revisions={KEY: 8})


def test_a_new_document_must_not_be_there_yet() -> None:
    plan = plan_document(view_of(), "rules", "current", {"rules": []}, LATER)
    assert isinstance(plan, Plan)
    assert plan.txn.compares == (Compare(KEY, 0),)
    ((key, value),) = plan.txn.puts
    assert decode(DocumentKey("rules", "current"), value) == Document(
        kind="rules", name="current", body={"rules": []}, stamp=LATER
    )
    assert plan.keys == (key,) == (KEY,)
    assert plan.summary == (f"the ruleset: written, {len(value)} bytes",)


def test_a_document_is_replaced_as_it_was_seen() -> None:
    plan = plan_document(HELD, "rules", "current", {"rules": [2]}, LATER, expected_revision=8)
    assert isinstance(plan, Plan)
    assert plan.txn.compares == (Compare(KEY, 8),)
    assert plan.summary[0].startswith("the ruleset: replaced, ")


def test_a_document_is_deleted() -> None:
    plan = plan_document(HELD, "rules", "current", None, LATER)
    assert plan == Plan(
        txn=Txn(compares=(Compare(KEY, 8),), deletes=(KEY,)), summary=("the ruleset: ended",), keys=(KEY,)
    )


def test_who_was_faster_is_told() -> None:
    faster = plan_document(HELD, "rules", "current", {}, LATER, expected_revision=7)
    assert faster == Overtaken(
        key=KEY,
        seen_revision=7,
        revision=8,
        changes=("last written by ada at 2026-03-01T12:00:00Z: first light",),
    )


def test_an_unknown_kind_is_told_those_that_there_are() -> None:
    refusal = plan_document(HELD, "rule", "current", {}, LATER)
    assert isinstance(refusal, Refusal)
    told = refusal.problems[0].message.partition("use one of ")[2].split(", ")
    assert {"rules", "pushes-good"} <= set(told)


@pytest.mark.parametrize(
    ("kind", "name", "body", "field", "words"),
    [
        ("rule", "current", {}, "kind", "'rule' is none: use one of "),
        ("rules", "", {}, "name", "empty"),
        ("rules", "next", None, "name", "nothing is to be deleted"),
        ("rules", "current", {"a": float("nan")}, "body", "no JSON object"),
        ("rules", "current", {"a": {1, 2}}, "body", "no JSON object"),
        ("rules", "current", {"a": "x" * 1_000_000}, "body", "keep it within 99"),
    ],
)
def test_a_bad_document_is_refused(kind: str, name: str, body: Any, field: str, words: str) -> None:
    refusal = plan_document(HELD, kind, name, body, LATER)
    assert isinstance(refusal, Refusal)
    (problem,) = refusal.problems
    assert problem.field == field
    assert words in problem.message


def test_a_body_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    assert isinstance(plan_document(HELD, "rules", "current", loop, LATER), Refusal)


def test_a_document_has_an_author() -> None:
    refusal = plan_document(HELD, "rules", "current", {}, Stamp(updated_by="", updated_at="", reason=""))
    assert isinstance(refusal, Refusal)
    assert [problem.field for problem in refusal.problems] == ["updated_by", "updated_at"]
