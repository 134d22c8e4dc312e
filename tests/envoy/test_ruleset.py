"""What a ruleset tells of itself."""

from __future__ import annotations

from dataclasses import replace

from envoy.rules import DEFAULT_DOCUMENT, DEFAULT_RULESET, MatchRule, parse_ruleset
from tests.envoy import match_table


def test_the_built_in_document_holds() -> None:
    assert parse_ruleset(DEFAULT_DOCUMENT) == DEFAULT_RULESET
    assert DEFAULT_RULESET.matches == ()


def test_override_headers_are_listed_once() -> None:
    (override, *others) = DEFAULT_RULESET.rules
    again = replace(override, name="again")
    assert replace(DEFAULT_RULESET, rules=(override, again, *others)).override_headers == (
        "x-cellplane-override",
    )


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
