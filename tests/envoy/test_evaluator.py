"""The table of requests against the evaluator; `tests/integration/test_edge.py` sends the same to Envoy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from envoy.classification import ClassificationKey, KeyType
from envoy.decision import Lookup, Outcome, Silence
from envoy.evaluator import decide
from envoy.match_rules import Skip
from envoy.request import Request
from envoy.rules import DEFAULT_RULESET, OverrideRule
from tests.envoy import match_table, request_table
from tests.envoy.answers import said
from tests.envoy.edge_rig import NOW, cell, view_of
from tests.envoy.lua_twin import LuaTwin
from tests.envoy.owned import owner_of
from tests.envoy.rule_documents import parsed, rule
from topology.claims.model import Bucket, BucketType
from topology.model import CellState


@pytest.mark.parametrize("row", list(request_table.rows()), ids=str)
def test_a_request_is_decided_as_written(row: request_table.Row) -> None:
    request = Request(path=row.path, headers=row.headers, peer=row.peer)
    decision = decide(request_table.ruleset(), request_table.view(), request, NOW)
    rule, _, rest = row.expected.partition(" ")
    if rule == "rejected":
        assert decision.outcome is Outcome.BAD_PATH
        return
    assert decision.rule == rule
    assert [f"{name}:{skip}" for name, skip in decision.skips] == list(row.skips)
    if rule == "default":
        assert decision.cell is None
        assert dict(decision.candidates) == request_table.UNOWNED
        assert decision.outcome is Outcome.ROUTED
    else:
        assert decision.cell == int(rest.split()[0])
        expected = Outcome.QUARANTINED if rest.endswith("quarantined") else Outcome.ROUTED
        assert decision.outcome is expected


def test_the_table_is_large() -> None:
    assert len(list(request_table.rows())) >= 150


def test_without_a_cell_that_takes_unowned_traffic_there_is_none() -> None:
    view = view_of(cell(1, CellState.CORDONED), cell(2, weight=0))
    decision = decide(DEFAULT_RULESET, view, Request(), NOW)
    assert (decision.outcome, decision.rule, decision.cell) == (Outcome.NO_CELL, "default", None)


def test_a_single_candidate_is_the_cell() -> None:
    decision = decide(DEFAULT_RULESET, view_of(cell(1)), Request(), NOW)
    assert (decision.cell, decision.candidates) == (1, ((1, 100),))


def test_a_drain_that_is_over_takes_nothing() -> None:
    view = view_of(cell(1), cell(2, CellState.DRAINING))
    assert dict(decide(DEFAULT_RULESET, view, Request(), NOW).candidates) == {1: 100, 2: 50}
    assert dict(decide(DEFAULT_RULESET, view, Request(), NOW + timedelta(minutes=1)).candidates) == {1: 100}


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_an_override_is_heard_from_an_allowed_network(peer: str, allowed: bool) -> None:
    request = Request(headers=(("x-cellplane-override", "cell-1"),), peer=peer)
    decision = decide(DEFAULT_RULESET, view_of(cell(1)), request, NOW)
    assert decision.rule == ("override" if allowed else "default")
    assert decision.skips == (() if allowed else (("override", Skip.REFUSED),))


def test_an_override_is_heard_from_an_identity() -> None:
    (override, *others) = DEFAULT_RULESET.rules
    assert isinstance(override, OverrideRule)
    named = replace(override, networks=(), identities=("spiffe://ops.test/alice",))
    ruleset = replace(DEFAULT_RULESET, rules=(named, *others))
    request = Request(headers=(("x-cellplane-override", "cell-1"),), peer="127.0.0.1")
    assert decide(ruleset, view_of(cell(1)), request, NOW).rule == "default"
    alice = replace(request, identities=("bob", "spiffe://ops.test/alice"))
    assert decide(ruleset, view_of(cell(1)), alice, NOW).rule == "override"


def test_slashes_can_be_told_apart() -> None:
    ruleset, view = request_table.ruleset(), request_table.view()
    request = Request(path="//acme")
    assert decide(ruleset, view, request, NOW).rule == "path"
    assert decide(ruleset, view, request, NOW, merge_slashes=False).rule == "default"


ROWS = [
    *((row, None) for row in match_table.rows()),
    *((row, owner_of) for row in match_table.claims()),
]


@pytest.mark.parametrize(("row", "lookup"), ROWS, ids=[str(row) for row, _ in ROWS])
def test_a_request_is_matched_as_written(row: match_table.Asked, lookup: Lookup | None) -> None:
    request = Request(
        method=row.method, path=row.path, authority=row.authority, headers=row.headers, peer=row.peer
    )
    decision = decide(match_table.ruleset(), request_table.view(), request, NOW, lookup=lookup)
    found = said(decision)
    assert (found or "default") == row.expected
    assert tuple(f"{name}:{skip}" for name, skip in decision.skips) == row.skips


def test_an_answer_that_does_not_come_is_never_not_found() -> None:
    def nobody_answers(_: ClassificationKey) -> Silence:
        return Silence.UNANSWERED

    found = decide(
        match_table.ruleset(), request_table.view(), Request(path="/acme"), NOW, lookup=nobody_answers
    )
    assert found.skips == (("namespace", Skip.UNDECIDED),)


MANY = {
    "action": {
        "classify": [
            {"type": "username", "value": "${value}", "many": True},
            {"type": "route", "value": "${value}", "many": True},
        ]
    },
    "otherwise": {"ambiguous": 409, "undecided": 503, "unknown": 404},
}
OWNERS = {"one": 1, "uno": 1, "two": 2, "gone": 9}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one", "a 1"),
        ("one uno", "a 1"),
        ("one nobody", "a 1"),
        ("one two", "a status 409"),
        ("two nobody gone", "a status 409"),
        ("gone", "a status 404"),
        ("nobody", "default"),
        ("mute", "a status 503"),
        ("one two mute", "a status 503"),
        (" ".join(f"n{at}" for at in range(8)), "default"),
        (" ".join(f"n{at}" for at in range(11)), "a status 409"),
    ],
)
def test_what_a_key_of_many_names_must_be_one_cells(text: str, expected: str) -> None:
    def lookup(key: ClassificationKey) -> int | Silence | None:
        if key.value == "mute":
            return Silence.UNANSWERED
        return OWNERS.get(key.value) if key.type is KeyType.ROUTE else None

    def told(bucket: Bucket) -> int | None:
        return OWNERS.get(bucket.value) if bucket.type is BucketType.ROUTES else None

    ruleset = parsed(rule(**MANY))
    request = Request(headers=(("x-a", text),))
    decision = decide(ruleset, view_of(cell(1), cell(2)), request, NOW, lookup=lookup)
    assert said(decision) == expected
    if "mute" not in text:
        twin = LuaTwin(ruleset, told)
        assert twin.said(request) == twin.expected(request)
