"""GitLab's rule JSON, in the spellings that were seen, becomes a ruleset that decides as theirs would."""

from __future__ import annotations

from typing import Any

import pytest

from envoy.evaluator import decide
from envoy.gitlab_rules import import_rules
from envoy.rules import Request, Ruleset, parse_ruleset
from tests.envoy.edge_rig import NOW, cell, view_of
from tests.envoy.token_samples import token

REGEX = r"^glrtr?-(?<payload>[0-9A-Za-z_-]{27,300})\.01\.(?<payload_length>[0-9a-z]{2})[0-9a-z]{7}$"
TOKEN: dict[str, Any] = {
    "id": "session_token_header_runner_token",
    "match": {"type": "header", "name": "runner-token", "regexValue": REGEX},
    "transform": {
        "type": "routable-token-payload",
        "input": ["${payload}", "${payload_length}"],
        "output": "decoded",
    },
    "validate": {"exist": ["${decoded.c}"]},
    "action": "classify",
    "classify": {"type": "CELL_ID", "value": "${decoded.c}"},
}
SESSION: dict[str, Any] = {
    "id": "session prefix",
    "match": {
        "type": "cookie",
        "regex_name": "^_gitlab_session$",
        "regex_value": "^(?<cell_name>cell-[0-9]+)-",
    },
    "action": "classify",
    "classify": {"type": "SESSION_PREFIX", "value": "${cell_name}"},
}
OLDEST: dict[str, Any] = {
    "id": "old",
    "cookies": {"_gitlab_session": {"match_regex": "^(?<cell_name>cell-[0-9]+)-"}},
    "method": ["GET"],
    "action": "classify",
    "classify": {"type": "SESSION_PREFIX", "value": "${cell_name}"},
}
FIRST: dict[str, Any] = {"id": "first", "action": "classify", "classify": {"type": "FIRST_CELL"}}
COOKIE = ("cookie", "_gitlab_session=cell-2-0123")


def imported(*rules: dict[str, Any]) -> Ruleset:
    parsed = parse_ruleset(import_rules({"rules": list(rules)}))
    assert isinstance(parsed, Ruleset), parsed
    return parsed


@pytest.mark.parametrize(
    ("rule", "headers", "name"),
    [
        (TOKEN, (("Runner-Token", token("c:2\no:1", "glrt-")),), "session_token_header_runner_token"[:32]),
        (SESSION, (COOKIE,), "session-prefix"),
        (OLDEST, (COOKIE,), "old"),
    ],
)
def test_a_rule_decides(rule: dict[str, Any], headers: tuple[tuple[str, str], ...], name: str) -> None:
    view = view_of(cell(1), cell(2))
    found = decide(imported(rule), view, Request(headers=headers), NOW)
    assert (found.rule, found.cell) == (name, 2)
    assert decide(imported(rule), view, Request(), NOW).rule == "default"


def test_the_first_cell_takes_what_is_left() -> None:
    found = decide(imported(TOKEN, FIRST), view_of(cell(1), cell(2)), Request(), NOW)
    assert (found.rule, found.cell) == ("first", 1)


def test_an_old_spelling_is_the_same_rule() -> None:
    older = {**TOKEN, "match": {"type": "header", "name": "runner-token", "regex_value": REGEX}}
    assert import_rules([older]) == import_rules([TOKEN])


def test_names_that_begin_alike_are_told_apart() -> None:
    ids = [f"session_token_header_authorization_basic_{kind}" for kind in ("routable_token", "jwt", "two")]
    rules = [{**TOKEN, "id": each, "match": {**TOKEN["match"], "name": each[-3:]}} for each in ids]
    assert [rule.name for rule in imported(*rules).rules] == [
        "session_token_header_authorizati",
        "session_token_header_authoriza-2",
        "session_token_header_authoriza-3",
        "default",
    ]


def test_other_transforms() -> None:
    jwt = {
        **TOKEN,
        "match": {"type": "header", "name": "x", "regexValue": "^(?<jwt>.+)$"},
        "transform": [{"type": "routable-json", "input": ["${jwt}"], "output": "decoded"}],
    }
    text = {**jwt, "id": "b", "transform": {"type": "base64-json", "input": ["${jwt}"], "output": "decoded"}}
    cut = {
        **jwt,
        "id": "c",
        "transform": {
            "type": "decode-base64-match",
            "input": ["${jwt}"],
            "regexValue": "^x:(?<c>[0-9]+)$",
            "output": "decoded",
        },
    }
    kinds = [[step.type.value for step in rule.transforms] for rule in imported(jwt, text, cut).matches]
    assert kinds == [["jwt-claims"], ["base64url", "json"], ["base64", "match"]]


@pytest.mark.parametrize(
    ("rule", "field", "words"),
    [
        ({**TOKEN, "action": "proxy", "proxy": {"address": "x"}}, "rules[0].action", "write a cluster"),
        (
            {**TOKEN, "transform": {"type": "jwt-signature"}},
            "rules[0].transform[0].type",
            "no transform known",
        ),
        ({**TOKEN, "match": {"type": "body"}}, "rules[0].match[0].type", "no type"),
        (
            {**TOKEN, "match": {"type": "header", "regexName": "^x.*"}},
            "rules[0].match[0].name",
            "no plain name",
        ),
        ({**TOKEN, "comment": "x"}, "rules[0].comment", "is unknown"),
        ({**TOKEN, "cookies": []}, "rules[0].cookies", "must be an object"),
        ({**TOKEN, "classify": None}, "rules[0].classify[0]", "must be an object"),
        ("x", "rules[0]", "must be an object"),
    ],
)
def test_what_has_no_counterpart_is_said(rule: Any, field: str, words: str) -> None:
    found = import_rules([rule])
    assert isinstance(found, tuple), found
    assert any(each.field == field and words in each.message for each in found), found
