"""Decisions and answers in the words of the tables of requests, so that they can be compared."""

from __future__ import annotations

from envoy.decision import Decision, Outcome
from tests.envoy import request_table
from tests.envoy.edge_rig import Answer

INTERNAL = ("x-cellplane-session", "x-cellplane-identity", "x-cellplane-override")


def said(decision: Decision) -> str:
    """Put a decision in words."""
    match decision.outcome:
        case Outcome.BAD_PATH:
            return "rejected"
        case Outcome.REJECTED:
            return f"{decision.rule} status {decision.status}"
        case Outcome.FIXED:
            return f"{decision.rule} {decision.cluster}"
        case _:
            pass
    words = [decision.rule, "" if decision.cell is None else str(decision.cell)]
    if decision.outcome is not Outcome.ROUTED:
        words.append(decision.outcome.value.lower())
    return " ".join(word for word in words if word)


def answered(answer: Answer) -> str:
    """Put an answer in words, and see that the headers are as they must be."""
    rule, cell = answer.get("x-cellplane-rule"), answer.get("x-cellplane-cell").removeprefix("cell-")
    if not rule and answer.status in (400, 404):
        return "rejected"
    if answer.status == 503 and cell:
        assert answer.get("retry-after") == "30"
        return f"{rule} {cell} quarantined"
    if answer.status != 200:
        return f"{rule} status {answer.status}"
    seen = answer.get("x-cellplane-cell")
    assert answer.cell == seen, "the header names the cell that answered"
    assert answer.seen["x-cellplane-cell"] == [seen]
    assert answer.seen["x-cellplane-rule"] == [rule]
    for name in answer.seen:
        assert name not in INTERNAL
        assert not name.startswith("x_"), "a header with underscores came through"
    if rule == "default":
        assert int(cell) in request_table.UNOWNED
        return "default"
    return f"{rule} {cell}"
