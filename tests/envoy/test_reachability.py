"""Rules that no request reaches are refused, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from envoy.reachability import unreachable
from tests.envoy.rule_documents import document, parsed, problems, rule

A = {"type": "header", "name": "a"}
B = {"type": "header", "name": "b"}
COOKIE = {"type": "cookie", "name": "c"}
PAGES = {"type": "path", "prefix": "/a"}
REJECT = {"reject": {"status": 400}}
ROUTE = {"type": "path", "template": "/o/:x"}
CLAIM = {"classify": [{"type": "route", "value": "${x}"}]}


def named(name: str, **fields: Any) -> dict[str, Any]:
    return rule(**{"name": name, **fields})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"match": [A], "action": REJECT}, {"match": [A]}),
        ({"match": [A], "action": REJECT}, {"match": [B, A]}),
        ({"match": [{**A, "as": "x"}], "action": REJECT}, {"match": [A]}),
        ({"match": [A], "action": {"cluster": "site"}}, {"match": [A], "action": REJECT}),
        ({"match": [A], "otherwise": {"unknown": 503}}, {"match": [A], "action": {"cell": 4}}),
        ({"match": [A]}, {"match": [A, B]}),
        ({"match": [A], "action": REJECT}, {"match": [{**A, "value": "x"}]}),
        ({"match": [PAGES], "action": REJECT}, {"match": [{"type": "path", "prefix": "/a/b"}]}),
        ({"match": [PAGES], "action": REJECT}, {"match": [{"type": "path", "template": "/a/:x/*"}]}),
        (
            {"match": [{"type": "method", "values": ["GET", "HEAD"]}], "action": REJECT},
            {"match": [{"type": "method", "values": ["HEAD"]}, A]},
        ),
        ({"match": [{"type": "path", "regex": "^/"}], "action": REJECT}, {"match": [ROUTE], "action": CLAIM}),
        ({"match": [ROUTE], "action": CLAIM}, {"match": [ROUTE], "action": CLAIM}),
        (
            {
                "match": [ROUTE],
                "action": CLAIM,
                "otherwise": {"unknown": 503, "undecided": 503, "not_found": 404},
            },
            {"match": [ROUTE, A]},
        ),
    ],
)
def test_a_rule_behind_one_that_takes_all_is_refused(first: dict[str, Any], second: dict[str, Any]) -> None:
    site = {"site": {"endpoints": [{"host": "10.0.0.1", "port": 80}]}}
    found = problems(document(named("a", **first), named("b", **second), clusters=site))
    assert "rules[0] (a) takes all" in found["rules[1]"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"match": [A, B], "action": REJECT}, {"match": [A]}),
        ({"match": [{**A, "value": "x"}], "action": REJECT}, {"match": [A]}),
        ({"match": [A]}, {"match": [A], "action": {"cell": 4}}),
        ({"match": [ROUTE], "action": CLAIM}, {"match": [ROUTE], "action": {"cell": 4}}),
        ({"match": [COOKIE], "action": REJECT}, {"match": [COOKIE]}),
        ({"match": [PAGES], "action": REJECT}, {"match": [{"type": "path", "prefix": "/ab"}]}),
        ({"match": [{"type": "path", "prefix": "/a/b"}], "action": REJECT}, {"match": [PAGES]}),
        ({"match": [{**A, "regex": "^x"}], "action": REJECT}, {"match": [{**A, "regex": "x"}]}),
        ({"match": [{**B, "regex": "x"}], "action": REJECT}, {"match": [{**A, "regex": "x"}]}),
        (
            {"match": [{"type": "path", "template": "/:x/*"}], "action": REJECT},
            {"match": [{"type": "path", "regex": "^/[^/]+(?:/.*)?$"}]},
        ),
    ],
)
def test_a_rule_that_is_reached_is_not_refused(first: dict[str, Any], second: dict[str, Any]) -> None:
    ruleset = parsed(named("a", **first), named("b", **second), reserved=["users"])
    assert list(unreachable(ruleset.rules)) == []


def test_two_values_that_nothing_has_both_of() -> None:
    both = [{**A, "value": "x"}, {**A, "value": "y"}]
    assert "to be 'x' and 'y'" in problems(document(rule(match=both)))["rules[0].match"]
    parsed(rule(match=[{**A, "value": "x"}, {**A, "prefix": "x"}]))
