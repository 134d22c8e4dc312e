"""What counts as promised: the cell, the rule, and the name on both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cellplane.demo.kinds import KINDS, is_as_promised
from cellplane.demo.traffic import Answer, path_ask

GOOD = Answer(
    ask=path_ask("/acme", 3),
    status=200,
    cell=3,
    rule="path",
    seen_by_cell={"x-cellplane-cell": "cell-3"},
    response_headers={"x-cellplane-cell": "cell-3"},
)


def test_an_answer_as_promised() -> None:
    assert is_as_promised(GOOD, "path")


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, status=503),
        replace(GOOD, rule="default"),
        replace(GOOD, cell=1),
        replace(GOOD, seen_by_cell={}),
        replace(GOOD, response_headers={"x-cellplane-cell": "cell-1"}),
    ],
)
def test_an_answer_that_is_not(bad: Answer) -> None:
    assert not is_as_promised(bad, "path")


def test_every_rule_is_shown() -> None:
    assert {rule for _, rule in KINDS} == {"override", "path", "session", "default"}
