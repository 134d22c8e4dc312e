"""What a push changes, told for people: a table of changes and the lines that they come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cellplane.push_diff import PushDiff, effective_revision, lines, push_diff
from tests.cellplane.pushing import pushed, view_of
from tests.cellplane.views import STAMP, cell
from tests.envoy.rule_documents import document, rule
from topology.model import Cell, CellState, Endpoint, Retired
from topology.view import View

BY_BOB = replace(STAMP, updated_by="bob", reason="too slow")
ONE, TWO = cell(1), cell(2)
BEFORE = view_of(10, ONE, TWO)


def told(before: View | None, after: View) -> PushDiff:
    push = pushed(before, after)
    return push_diff(push.before, push.after, push.old, push.new, push.change)


def after(*cells: Cell, **documents: Any) -> View:
    return view_of(11, *cells, before=BEFORE, **documents)


@pytest.mark.parametrize(
    ("changed", "causes", "text"),
    [
        (
            after(ONE, replace(TWO, weight=0, stamp=BY_BOB)),
            ("cells",),
            ["cell 2: weight: 100 → 0", "route edge changed",
             "cluster: unchanged", "endpoint: unchanged", "listener: unchanged"],
        ),
        (
            after(ONE, replace(TWO, endpoints=(Endpoint(host="10.9.9.9", port=81),))),
            ("endpoints",),
            ["cell 2: endpoints: 10.0.2.1:80 in a weight 1 → 10.9.9.9:81 weight 1", "endpoint cell-2 changed",
             "cluster: unchanged", "listener: unchanged", "route: unchanged"],
        ),
        (
            after(ONE, TWO, cell(3, CellState.PROVISIONING)),
            ("cells",),
            ["cell 3: added in PROVISIONING, weight 100", "cluster cell-3 added", "endpoint cell-3 added",
             "route edge changed", "listener: unchanged"],
        ),
        (
            after(ONE),
            ("cells",),
            ["cell 2: removed", "cluster cell-2 removed", "endpoint cell-2 removed", "route edge changed",
             "listener: unchanged"],
        ),
        (
            replace(BEFORE, revision=11, generations={3: 11, 7: 10}),
            ("claims",),
            ["claims: 2 of 2 generations rose",
             "cluster: unchanged", "endpoint: unchanged", "listener: unchanged", "route: unchanged"],
        ),
    ],
)  # fmt: skip
def test_what_a_change_comes_to(changed: View, causes: tuple[str, ...], text: list[str]) -> None:
    found = told(BEFORE, changed)
    assert found.causes == causes
    assert lines(found) == text


def test_who_wrote_it_and_what_was_before_are_kept() -> None:
    (change,) = told(BEFORE, after(ONE, replace(TWO, weight=0, stamp=BY_BOB))).records
    assert (change.record, change.stamp, change.revision) == ("cell 2", BY_BOB, 11)
    assert change.before is not None
    assert (change.before["weight"], change.before["updated_by"]) == (100, "ada")


def test_a_removed_cell_is_its_tombstones_authors() -> None:
    tombstone = Retired(id=2, name="n", session_prefix="cell-2", sequence_ranges=(), stamp=BY_BOB)
    (change,) = told(BEFORE, replace(after(ONE), retired={2: tombstone})).records
    assert (change.stamp, change.revision) == (BY_BOB, 0)


RULES = document(rule(name="a"), rule(name="b"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (document(rule(name="a"), rule(name="b"), rule(name="c")), ["rules: rule c: added"]),
        (document(rule(name="b")), ["rules: rule a: removed"]),
        (document(rule(name="a", action={"cell": 4}), rule(name="b")), ["rules: rule a: changed"]),
        (document(rule(name="b"), rule(name="a")), ["rules: order of rules: changed"]),
        ({**RULES, "reserved": ["users"]}, ["rules: reserved: changed"]),
        (RULES, []),
    ],
)
def test_rules_are_told_rule_by_rule(body: dict[str, Any], expected: list[str]) -> None:
    before = view_of(10, ONE, rules__current=RULES)
    found = told(before, view_of(11, ONE, before=before, rules__current=body))
    assert [line for line in lines(found) if line.startswith("rules: ")] == expected
    assert ("rules" in found.causes) == bool(expected)


def test_rules_that_are_too_large_to_keep_are_told_and_not_kept() -> None:
    large = document(*(rule(name=f"rule-{number}") for number in range(300)))
    before = view_of(10, ONE, rules__current=large)
    (change,) = told(before, view_of(11, ONE, before=before, rules__current=RULES)).records
    assert (change.has_before, change.before) == (False, None)


def test_what_changes_by_itself_is_a_drain() -> None:
    draining = view_of(10, ONE, cell(2, CellState.DRAINING))
    found = told(draining, draining)
    assert found.causes == ("drain",)
    assert "drain: another step of cell 2" in lines(found)


PASS = {"action": "pass", "until": "2026-11-22T11:00:00Z"}
FILES = {"schema": 1, "certificate": "/etc/a.pem", "key": "/etc/a.key"}


@pytest.mark.parametrize(
    ("written", "causes", "text"),
    [
        ({"overrides__cell/2": PASS}, ("overrides",), "overrides cell/2: action: none → pass"),
        ({"zones-drained__2/a": {"seconds": 0}}, ("zones",), "zones-drained 2/a: seconds: none → 0"),
        ({"certificates__edge": FILES}, ("certificates",), "certificates edge: key: none → /etc/a.key"),
        ({"rules-shadow__candidate": {"percent": 5, "ruleset": {}}}, ("candidate",),
         "rules-shadow candidate: percent: none → 5"),
        ({"departed-claims__x": {"from_cell": 2}}, ("claims",),
         "departures: cells that owners leave changed"),
    ],
)  # fmt: skip
def test_other_documents_are_told_by_their_own_cause(
    written: dict[str, Any], causes: tuple[str, ...], text: str
) -> None:
    found = told(BEFORE, after(ONE, TWO, **written))
    assert found.causes == causes
    assert text in lines(found)
    gone = told(after(ONE, TWO, **written), view_of(12, ONE, TWO, before=BEFORE))
    assert gone.causes == causes


def test_a_document_that_went_keeps_what_it_said() -> None:
    (change,) = told(
        after(ONE, TWO, **{"overrides__cell/2": PASS}), view_of(12, ONE, TWO, before=BEFORE)
    ).records
    assert (change.record, change.before, change.lines) == ("overrides cell/2", PASS, ("removed",))


def test_what_comes_to_its_end_by_itself_is_no_drain() -> None:
    found = told(BEFORE, BEFORE)
    assert found.causes == ("time",)
    assert "time: an override, or a class of traffic, came to its end" in lines(found)
    zone = after(ONE, TWO, **{"zones-drained__2/a": {"seconds": 60}})
    assert told(zone, zone).notes == ("drain: another step of zone 2/a",)


def test_a_first_push_is_nobodys_change() -> None:
    found = told(None, BEFORE)
    assert (found.causes, found.records) == (("start",), ())
    assert lines(found)[0] == "start: a first push, of 2 cells"


def test_very_many_records_are_counted() -> None:
    found = told(BEFORE, after(ONE, TWO, *(cell(number) for number in range(3, 103))))
    assert (len(found.records), found.more_records) == (50, 50)
    assert "and 50 more records" in lines(found)
    assert any("and 80 more added" in line for line in lines(found))


def test_a_revision_is_that_of_the_newest_record_with_a_part_in_it() -> None:
    unrelated = view_of(12, ONE, TWO, before=BEFORE)
    named = replace(unrelated, mod_revisions={**BEFORE.mod_revisions, "/cellplane/v1/pushes-held/edge": 12})
    assert effective_revision(BEFORE) == 10
    assert effective_revision(named) == 10
    for key in (
        "cells/9", "registry", "generations/00042", "rules/current", "certificates/edge",
        "rules-shadow/candidate", "zones-drained/2%2Fa", "overrides/cell%2F1", "departed-claims/x",
    ):  # fmt: skip
        assert effective_revision(replace(BEFORE, mod_revisions={f"/cellplane/v1/{key}": 15})) == 15
