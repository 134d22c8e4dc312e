"""Pushes for people: a row, one in full, an event in a line."""

from __future__ import annotations

from typing import Any

import pytest

from cellplane.push_report import (
    COLUMNS,
    MAY_DROP,
    blame,
    event_line,
    headline,
    push_fields,
    push_row,
    rejection_lines,
    span,
)

OUTCOME = {
    "nodes": 3, "first_ms": 4.6, "p50_ms": 20.2, "p99_ms": 40.0, "last_ms": 12_345.0,
    "waiting": 0, "left": 0, "rejected": 0, "rejections": [],
}  # fmt: skip
PUSH: dict[str, Any] = {
    "id": "3fa9c2d1", "group": "edge", "revision": 12, "at": 1_800_000_000.0, "causes": ["cells"],
    "authors": ["ada"], "reasons": ["too slow"], "outcome": OUTCOME, "more_records": 0,
    "lines": ["cell 3: weight: 100 → 0", "route edge changed", "cluster: unchanged"],
}  # fmt: skip
NOBODY = {**OUTCOME, "nodes": 0, "first_ms": None, "p50_ms": None, "p99_ms": None, "last_ms": None}
REJECTION = {"node": "edge-1", "type": "route", "names": ["edge"], "message": "no such cluster", "at": 1.0}
REJECTED = {**PUSH, "outcome": {**NOBODY, "waiting": 2, "left": 1, "rejected": 1, "rejections": [REJECTION]}}


def test_a_row() -> None:
    assert push_row(PUSH) == (
        "3fa9c2d1", "2027-01-15 08:00:00Z", "12", "cells", "cell 3: weight: 100 → 0", "ada", "-", "3",
        "20 ms", "40 ms", "12 s", "-",
    )  # fmt: skip
    assert push_row(REJECTED)[7:] == ("0 (2 waiting, 1 left)", "-", "-", "-", "1")
    assert len(push_row(PUSH)) == len(COLUMNS)
    assert set(MAY_DROP) < set(COLUMNS)


@pytest.mark.parametrize(
    ("lines", "more", "said"),
    [
        (
            ["cell 3: weight: 100 → 0", "cell 4: weight: 1 → 2", "route edge changed"],
            0,
            "cell 3: weight: 100 → 0 (+1)",
        ),
        (["cell 3: added in PROVISIONING, weight 100"], 7, "cell 3: added in PROVISIONING, weight 100 (+7)"),
        (["drain: another step of cell 3", "route edge changed"], 0, "drain: another step of cell 3"),
        (["cluster: unchanged"], 0, "nothing that is told"),
        (["cell 3: endpoints: " + "x" * 100], 0, "cell 3: endpoints: " + "x" * 50 + "…"),
    ],
)
def test_a_headline(lines: list[str], more: int, said: str) -> None:
    assert headline({"lines": lines, "more_records": more}) == said


def test_one_in_full_and_whom_to_blame() -> None:
    fields = push_fields(PUSH)
    assert fields["times"] == "first 5 ms, p50 20 ms, p99 40 ms, last 12 s"
    assert (fields["by"], fields["reason"], fields["rejected"]) == ("ada", "too slow", "no")
    assert list(rejection_lines(REJECTED)) == ["rejected by edge-1: route edge: no such cluster"]
    assert blame(PUSH) == "push 3fa9c2d1 of 2027-01-15 08:00:00Z by ada: cell 3: weight: 100 → 0"


@pytest.mark.parametrize(
    ("kind", "body", "line"),
    [
        ("push", PUSH, "2027-01-15 08:00:00Z push 3fa9c2d1 by ada: cell 3: weight: 100 → 0"),
        ("outcome", PUSH, "  3fa9c2d1: 3 edges, p99 40 ms"),
        ("outcome", REJECTED, "  3fa9c2d1: 0 (2 waiting, 1 left) edges, p99 -, REJECTED 1 times"),
        ("frozen", {"by": "ada", "reason": "holidays"}, "FROZEN by ada: holidays; nothing goes out"),
        ("resumed", {}, "resumed: what waited goes out"),
        ("held", {"id": "ab", "reason": "all is gone"}, "HELD: push ab: all is gone"),
        ("released", {}, "nothing is held any more"),
        ("lost", {"events": 3}, "(3 events were lost: this terminal was too slow)"),
        ("fleet", {"changes": 3}, ""),
    ],
)
def test_an_event(kind: str, body: dict[str, Any], line: str) -> None:
    assert event_line(kind, body) == line


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(None, "-"), (0.4, "0 ms"), (9999, "9999 ms"), (61_000, "61 s")]
)
def test_a_time(milliseconds: float | None, text: str) -> None:
    assert span(milliseconds) == text
