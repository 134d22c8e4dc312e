"""What a ruleset tells of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from envoy.edge import EdgeSettings
from envoy.evaluator import decide
from envoy.match_rules import Skip
from envoy.request import Request
from envoy.rules import DEFAULT_DOCUMENT, DEFAULT_RULESET, MatchRule, Ruleset, parse_ruleset
from envoy.ruleset import ends, ruleset_at
from envoy.translate import translate
from tests.envoy import match_table
from tests.envoy.edge_rig import cell, view_of
from xds.resource import CLUSTER, ROUTE


def test_the_built_in_document_holds() -> None:
    assert parse_ruleset(DEFAULT_DOCUMENT) == DEFAULT_RULESET
    assert DEFAULT_RULESET.matches == ()


def test_override_headers_are_listed_once() -> None:
    (override, *others) = DEFAULT_RULESET.rules
    again = replace(override, name="again")
    assert replace(DEFAULT_RULESET, rules=(override, again, *others)).override_headers == (
        "x-cellplane-override",
    )


def test_an_override_runs_out_at_its_moment() -> None:
    end = datetime(2026, 3, 1, 12, tzinfo=UTC)
    rules = {**DEFAULT_DOCUMENT["rules"][0], "until": "2026-03-01T13:00:00+01:00"}
    ruleset = parse_ruleset({**DEFAULT_DOCUMENT, "rules": [rules, *DEFAULT_DOCUMENT["rules"][1:]]})
    assert isinstance(ruleset, Ruleset)
    assert ends(ruleset) == (end,)
    assert ruleset_at(ruleset, end - timedelta(seconds=1)) is ruleset
    request = Request(peer="127.0.0.1", headers=(("x-cellplane-override", "cell-2"),))
    view = view_of(cell(1), cell(2, weight=0))
    before, after = (decide(ruleset, view, request, end + timedelta(seconds=wait)) for wait in (-1, 0))
    assert (before.rule, before.cell) == ("override", 2)
    assert (after.rule, after.cell, after.skips) == ("default", 1, (("override", Skip.REFUSED),))
    told = translate(view, ruleset, EdgeSettings(), end - timedelta(seconds=7), None)
    assert told.next_change_seconds == 7
    again = translate(view, ruleset, EdgeSettings(), end, told)
    assert again.next_change_seconds is None
    assert again.snapshot.of_type(ROUTE) != told.snapshot.of_type(ROUTE)
    assert again.snapshot.of_type(CLUSTER) is told.snapshot.of_type(CLUSTER)


def test_rules_that_match_are_told_apart() -> None:
    ruleset = match_table.ruleset()
    assert all(isinstance(rule, MatchRule) for rule in ruleset.matches)
    assert [rule.name for rule in ruleset.matches if rule.is_native] == [
        "trace",
        "site",
        "old-api",
        "admin",
        "closed",
        "first",
    ]
