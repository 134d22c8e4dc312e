"""Overrides: what is in force at a moment, and what is refused to be written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.topology.samples import cell
from topology import forms
from topology.keys import Keyspace
from topology.model import Document, Stamp
from topology.overrides import NONE, Action, OverridesOf, overrides_of, plan_override
from topology.plan import Plan, Refusal
from topology.view import View

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAMP = Stamp(updated_by="ada", updated_at=forms.format_utc(NOW), reason="an incident")
LATER = forms.format_utc(NOW + timedelta(hours=1))
PIN: dict[str, Any] = {"action": "pin", "cell": 3, "until": LATER}
BLOCK: dict[str, Any] = {"action": "block", "until": LATER}
PASS: dict[str, Any] = {"action": "pass", "until": LATER}


def view(**bodies: dict[str, Any]) -> View:
    documents = {
        ("overrides", name): Document(kind="overrides", name=name, body=body, stamp=STAMP)
        for name, body in bodies.items()
    }
    revisions = {Keyspace().document("overrides", name): 5 for name in bodies}
    return View(documents=documents, cells={3: cell(3)}, mod_revisions=revisions)


def test_what_is_over_has_no_effect_though_nobody_deletes_it() -> None:
    found = overrides_of(view(**{"ORGANIZATION/42": PIN, "USER/7": BLOCK, "cell/3": PASS}).documents)
    pinned = found.of_owner("ORGANIZATION/42", NOW)
    assert pinned is not None
    assert (pinned.action, pinned.cell_id) == (Action.PIN, 3)
    assert found.of_owner("USER/8", NOW) is None
    assert found.passed(NOW) == {3}
    assert found.next_change_seconds(NOW) == 3600
    after = NOW + timedelta(hours=1)
    assert found.of_owner("ORGANIZATION/42", after) is None
    assert found.of_owner("USER/7", after) is None
    assert found.passed(after) == set()
    assert found.next_change_seconds(after) is None


def test_what_is_not_ours_to_read_is_left_out() -> None:
    odd = view(**{"cell/3": {"action": "pin"}, "nobody": BLOCK})
    assert overrides_of(odd.documents) is NONE
    assert overrides_of({}) is NONE


def test_they_are_read_anew_only_where_documents_changed() -> None:
    read, one = OverridesOf(), view(**{"cell/3": PASS})
    assert read(one) is read(View(documents=one.documents))
    assert read(View()) is NONE


def test_a_plan_says_what_was_and_what_will_be() -> None:
    outcome = plan_override(view(**{"USER/7": BLOCK}), "USER/7", PIN, STAMP)
    assert isinstance(outcome, Plan)
    assert outcome.summary == (
        "USER/7: pin to cell 3 until 2026-03-01T13:00:00Z, was block until 2026-03-01T13:00:00Z",
    )
    end = plan_override(view(**{"USER/7": BLOCK}), "USER/7", None, STAMP)
    assert isinstance(end, Plan)
    assert end.summary == ("USER/7: no override any more, was block until 2026-03-01T13:00:00Z",)


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("nobody", BLOCK, "name"),
        ("cell/3", BLOCK, "action"),
        ("USER/7", PASS, "action"),
        ("USER/7", {**BLOCK, "cell": 3}, "cell"),
        ("USER/7", {**PIN, "cell": "3"}, "cell"),
        ("USER/7", {**PIN, "cell": 9}, "cell"),
        ("cell/9", PASS, "cell"),
        ("USER/7", {**BLOCK, "until": "soon"}, "until"),
        ("USER/7", {**BLOCK, "until": forms.format_utc(NOW)}, "until"),
        ("USER/7", {**BLOCK, "until": forms.format_utc(NOW + timedelta(days=31))}, "until"),
        ("USER/7", {**BLOCK, "status": 500}, "status"),
    ],
)
def test_a_mistake_is_named(name: str, body: dict[str, Any], field: str) -> None:
    outcome = plan_override(view(), name, body, STAMP)
    assert isinstance(outcome, Refusal)
    assert [problem.field for problem in outcome.problems] == [field]


def test_each_has_a_reason() -> None:
    outcome = plan_override(view(), "USER/7", BLOCK, replace(STAMP, reason=" "))
    assert isinstance(outcome, Refusal)
    assert [problem.field for problem in outcome.problems] == ["reason"]
