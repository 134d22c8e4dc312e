"""Small ruleset documents for tests, and what comes of them."""

from __future__ import annotations

from typing import Any

from envoy.match_rules import MatchRule
from envoy.rules import Ruleset, parse_ruleset

DEFAULT = {"name": "default", "type": "default"}
HEADER = {"type": "header", "name": "x-a", "as": "value"}


def rule(**fields: Any) -> dict[str, Any]:
    """Make a rule that holds, with some of its fields replaced."""
    return {"name": "a", "type": "match", "match": [HEADER], "action": {"cell": 3}, **fields}


def document(*rules: Any, **fields: Any) -> dict[str, Any]:
    return {"schema": 2, "rules": [*rules, DEFAULT], **fields}


def problems(body: Any) -> dict[str, str]:
    """Give all problems by field."""
    found = parse_ruleset(body)
    assert isinstance(found, tuple), found
    return {problem.field: problem.message for problem in found}


def parsed(*rules: Any, **fields: Any) -> Ruleset:
    found = parse_ruleset(document(*rules, **fields))
    assert isinstance(found, Ruleset), found
    return found


def match_rule(**fields: Any) -> MatchRule:
    (found,) = parsed(rule(**fields), reserved=["users"]).matches
    return found
