from __future__ import annotations

import json

import pytest

from tests.topology.samples import CELL_4, CELL_4_JSON, LATER, STAMP, cell, retired, view_of
from topology.model import Stamp
from topology.plan import Overtaken, Refusal, as_seen, find, overtaken, registered, rewrite, unknown
from topology.store import Compare
from topology.view import Quarantined, QuarantineKind

SPOILT = Quarantined(
    key="/cellplane/v1/cells/8",
    kind=QuarantineKind.UNDECODABLE,
    reason="no JSON",
    create_revision=1,
    mod_revision=2,
    raw=b"",
)


def test_a_cell_is_found_as_it_was_seen() -> None:
    view = view_of(cell(1))
    assert find(view, 1, LATER, None) is view.cells[1]
    assert find(view, 1, LATER, 11) is view.cells[1]


def test_who_was_faster_is_told() -> None:
    assert find(view_of(cell(1)), 1, LATER, 9) == Overtaken(
        key="/cellplane/v1/cells/1",
        seen_revision=9,
        revision=11,
        changes=("last written by ada at 2026-03-01T12:00:00Z: first light",),
        cell=cell(1),
    )
    gone = overtaken(view_of(), "/cellplane/v1/cells/1", 9, None)
    assert gone is not None
    assert (gone.revision, gone.changes, gone.cell) == (0, ("is gone",), None)


@pytest.mark.parametrize(
    ("cell_id", "words"),
    [
        (7, "removed at 2026-03-01T12:00:00Z by ada"),
        (8, "/cellplane/v1/cells/8 is kept out (no JSON)"),
        (9, "those that are there (1, 2)"),
    ],
)
def test_a_cell_that_is_not_there(cell_id: int, words: str) -> None:
    view = view_of(cell(1), cell(2), retired={7: retired(7)}, quarantined={SPOILT.key: SPOILT})
    problem = unknown(view, cell_id)
    assert problem.field == "id"
    assert words in problem.message
    assert find(view, cell_id, LATER, None) == Refusal(problems=(problem,))


def test_nothing_is_found_without_an_author() -> None:
    found = find(view_of(cell(1)), 1, Stamp(updated_by="", updated_at="now", reason=""), None)
    assert isinstance(found, Refusal)
    assert [problem.field for problem in found.problems] == ["updated_by", "updated_at"]


def test_a_rewrite_compares_what_was_seen_and_what_it_leans_on() -> None:
    lean = Compare("/cellplane/v1/cells/2", 12)
    plan = rewrite(view_of(CELL_4, cell(2)), CELL_4, ["did this", "did that"], (lean,))
    assert plan.txn.compares == (Compare("/cellplane/v1/cells/4", 14), lean)
    assert plan.txn.puts == (("/cellplane/v1/cells/4", CELL_4_JSON.encode()),)
    assert plan.txn.deletes == ()
    assert plan.summary == ("cell 4: did this", "cell 4: did that")
    assert (plan.cell, plan.keys) == (CELL_4, ("/cellplane/v1/cells/4",))


def test_the_registry_is_compared_and_rewritten() -> None:
    mine = Compare("/cellplane/v1/cells/1", 0)
    txn = registered(view_of(), STAMP, "added cell 1", [mine], (("/cellplane/v1/cells/1", b"1"),), ("/x",))
    assert txn.compares == (mine, Compare("/cellplane/v1/registry", 7))
    assert txn.deletes == ("/x",)
    assert txn.puts[0] == ("/cellplane/v1/cells/1", b"1")
    key, value = txn.puts[1]
    assert key == "/cellplane/v1/registry"
    assert json.loads(value) == {
        "schema": 1,
        "change": "added cell 1",
        "updated_by": "ada",
        "updated_at": "2026-03-01T12:00:00Z",
        "reason": "first light",
    }


def test_a_key_that_was_never_seen_must_not_be_there() -> None:
    assert as_seen(view_of(), "/cellplane/v1/cells/1") == Compare("/cellplane/v1/cells/1", 0)
