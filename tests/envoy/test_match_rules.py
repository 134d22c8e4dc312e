"""Which rules matchers can decide, and which need Lua."""

from __future__ import annotations

from typing import Any

import pytest

from envoy.match_rules import Classify
from tests.envoy.rule_documents import match_rule

PATH = {"type": "path", "template": "/o/:x"}
MAYBE = {"type": "path", "regex": "^/o(?:/(?P<x>[a-z]+))?$"}
ROUTE = {"classify": [{"type": "route", "value": "${x}"}]}


@pytest.mark.parametrize(
    ("fields", "native"),
    [
        ({}, True),
        ({"match": [PATH], "action": ROUTE}, False),
        ({"match": [MAYBE], "action": ROUTE}, False),
        ({"action": {"classify": [{"type": "first_cell"}]}}, True),
        ({"match": [PATH], "action": {"classify": [{"type": "cell_id", "value": "${x}"}]}}, False),
        ({"action": {"classify": [{"type": "username", "value": "${value}"}]}}, False),
        ({"match": [{"type": "cookie", "name": "c"}]}, False),
        ({"match": [{"type": "query", "name": "q"}]}, False),
        ({"validate": {"exist": ["${value}"]}}, False),
        ({"transform": [{"type": "base64", "input": "${value}", "output": "x"}]}, False),
    ],
)
def test_what_matchers_can_do_they_do(fields: dict[str, Any], native: bool) -> None:
    assert match_rule(**fields).is_native is native


def test_a_chain_is_answered_here_until_its_first_claim() -> None:
    keys = [{"type": kind, "value": "${value}"} for kind in ("cell_id", "route", "session_prefix")]
    action = match_rule(action={"classify": keys}).action
    assert isinstance(action, Classify)
    assert [key.type for key in action.local] == ["cell_id"]
    assert action.asks
