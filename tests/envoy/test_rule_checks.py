"""Entries of rules, by schema; `test_ruleset_parser` has each field of each type."""

from __future__ import annotations

import pytest

from envoy.rule_checks import rule_problems

MATCH = {"name": "a", "type": "match"}


def test_rules_of_type_match_come_with_schema_2() -> None:
    assert list(rule_problems("rules[0]", MATCH, 2)) == []
    (problem,) = rule_problems("rules[0]", MATCH, 1)
    assert problem.field == "rules[0].type"
    assert "override, path_prefix, session_cookie, default" in problem.message


@pytest.mark.parametrize("name", ["", "A", "a b", "a.b", "-a", "a" * 33, 3, None])
def test_a_name_is_one_of_stats_and_headers(name: object) -> None:
    (problem,) = rule_problems("rules[0]", {**MATCH, "name": name}, 2)
    assert problem.field == "rules[0].name"


@pytest.mark.parametrize("until", ["tomorrow", "2026-03-01T12:00:00", 7])
def test_the_end_of_an_override_is_a_moment_with_its_zone(until: object) -> None:
    entry = {"name": "o", "type": "override", "header": "x-to", "networks": ["10.0.0.0/8"], "until": until}
    (problem,) = rule_problems("rules[0]", entry, 2)
    assert problem.field == "rules[0].until"
    assert "with its zone" in problem.message
