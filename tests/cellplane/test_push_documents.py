"""Documents that edges are told of: what is told of each."""

from __future__ import annotations

from cellplane.push_documents import document_changes, kept_before
from tests.cellplane.pushing import view_of
from tests.cellplane.views import cell

BEFORE = view_of(10, cell(1), overrides__x={"action": "block"}, departing__y={})


def test_only_what_envoys_are_told_of_counts() -> None:
    after = view_of(11, cell(1), before=BEFORE, overrides__x={"action": "pass"}, departing__y={"a": 1})
    ((kind, change),) = document_changes(BEFORE, after)
    assert (kind, change.record, change.revision) == ("overrides", "overrides x", 11)
    assert change.lines == ("action: block → pass",)
    assert change.before == {"action": "block"}
    assert list(document_changes(after, after)) == []


def test_what_is_no_scalar_is_not_spelled_out_and_what_is_large_is_not_kept() -> None:
    large = view_of(11, cell(1), before=BEFORE, overrides__x={"action": ["x" * 20_000]})
    ((_, change),) = document_changes(BEFORE, large)
    assert change.lines == ("action: block → …",)
    assert kept_before(large.documents["overrides", "x"]) == (None, False)
    assert kept_before(None) == (None, True)
