"""Rules of type match: each field, and each way to get it wrong."""

from __future__ import annotations

from typing import Any

import pytest

from envoy.classification import KeyType
from envoy.match_rules import (
    Classify,
    KeyTemplate,
    Otherwise,
    Reject,
    Skip,
    Template,
    ToCell,
    Transform,
    TransformType,
    Variable,
)
from tests.envoy.rule_documents import document, match_rule, problems, rule

TOKEN = {"type": "routable-token", "input": "${value}", "output": "token"}


def test_a_rule_is_read() -> None:
    found = match_rule(
        transform=[TOKEN],
        validate={"exist": ["${token.c}"]},
        action={"classify": [{"type": "cell_id", "value": "x${token.c}-y"}, {"type": "first_cell"}]},
        otherwise={"unknown": "default", "malformed": 400, "ambiguous": "next"},
    )
    assert found.transforms == (
        Transform(
            type=TransformType.ROUTABLE_TOKEN, inputs=(Template((Variable("value"),)),), output="token"
        ),
    )
    assert found.exist == ("token.c",)
    template = Template(("x", Variable("token.c"), "-y"))
    keys = (KeyTemplate(KeyType.CELL_ID, template), KeyTemplate(KeyType.FIRST_CELL, Template(())))
    assert found.action == Classify(keys)
    assert found.policy(Skip.UNKNOWN) is Otherwise.DEFAULT
    assert found.policy(Skip.MALFORMED) == 400
    assert found.policy(Skip.AMBIGUOUS) is found.policy(Skip.UNDECIDED) is Otherwise.NEXT


def test_actions() -> None:
    assert match_rule(action={"cell": 7}).action == ToCell(7)
    assert match_rule(action={"reject": {"status": 403}}).action == Reject(403, "")


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"matches": []}, "rules[0].matches", "is unknown"),
        (
            {"action": {"classify": [{"type": "cell_id", "value": "${value}", "many": True}]}},
            "rules[0].action.classify[0].many",
            "is for claims only",
        ),
        (
            {"action": {"classify": [{"type": "route", "value": "${value}", "many": 1}]}},
            "rules[0].action.classify[0].many",
            "must be true or false",
        ),
        ({"match": []}, "rules[0].match", "a list of 1 to 8"),
        ({"match": None}, "rules[0].match", "a list of 1 to 8"),
        ({"match": ["x"]}, "rules[0].match[0]", "must be an object"),
        ({"match": [{1: 2}]}, "rules[0].match[0]", "must be an object"),
        ({"transform": {}}, "rules[0].transform", "a list of"),
        (
            {"transform": [{**TOKEN, "type": "jwt-signature"}]},
            "rules[0].transform[0].type",
            "no transform: use one of",
        ),
        ({"transform": [{**TOKEN, "type": None}]}, "rules[0].transform[0].type", "no transform"),
        ({"transform": [{**TOKEN, "regex": "x"}]}, "rules[0].transform[0].regex", "is unknown"),
        (
            {"transform": [{**TOKEN, "type": "match", "regex": "(?=x)"}]},
            "rules[0].transform[0].regex",
            "RE2 refuses",
        ),
        ({"transform": [{**TOKEN, "type": "match"}]}, "rules[0].transform[0].regex", "no regular expression"),
        (
            {"transform": [{**TOKEN, "input": ["${value}", "${value}"]}]},
            "rules[0].transform[0].input",
            "1 to 1 texts",
        ),
        (
            {"transform": [{**TOKEN, "type": "routable-token-payload"}]},
            "rules[0].transform[0].input",
            "2 to 2 texts",
        ),
        (
            {"transform": [{**TOKEN, "input": "${valu}"}]},
            "rules[0].transform[0].input",
            "no variable valu here: there are value",
        ),
        ({"transform": [{**TOKEN, "input": "${value.c}"}]}, "rules[0].transform[0].input", "write ${value}"),
        (
            {"transform": [{**TOKEN, "input": "$value"}]},
            "rules[0].transform[0].input",
            "a $ that begins no variable",
        ),
        ({"transform": [{**TOKEN, "input": 3}]}, "rules[0].transform[0].input", "a list of"),
        ({"transform": [{**TOKEN, "input": "é"}]}, "rules[0].transform[0].input", "printable ASCII"),
        (
            {"transform": [{**TOKEN, "output": "a.b"}]},
            "rules[0].transform[0].output",
            "no name of a variable",
        ),
        (
            {"transform": [{**TOKEN, "output": "value"}]},
            "rules[0].transform[0].output",
            "a second variable value",
        ),
        (
            {
                "match": [
                    {"type": "header", "name": "a", "as": "x"},
                    {"type": "header", "name": "b", "as": "x"},
                ]
            },
            "rules[0].match[1]",
            "a second variable x",
        ),
        ({"validate": []}, "rules[0].validate", "an object with exist"),
        ({"validate": {"exist": ["value"]}}, "rules[0].validate.exist", "is no variable"),
        ({"validate": {"exist": ["${x}"]}}, "rules[0].validate.exist", "no variable x"),
        (
            {"transform": [TOKEN], "validate": {"exist": ["${token}"]}},
            "rules[0].validate.exist",
            "name a field of it",
        ),
        ({"action": None}, "rules[0].action", "one of classify, cell, cluster, reject"),
        ({"action": {"cell": 1, "reject": {}}}, "rules[0].action", "one of classify"),
        ({"action": {"proxy": 1}}, "rules[0].action", "one of classify"),
        ({"action": {"cell": "3"}}, "rules[0].action.cell", "write its id"),
        ({"action": {"cell": True}}, "rules[0].action.cell", "write its id"),
        ({"action": {"cell": 0}}, "rules[0].action.cell", "write its id"),
        ({"action": {"cluster": "site"}}, "rules[0].action.cluster", "there are none"),
        ({"action": {"reject": {"status": 200}}}, "rules[0].action.reject", "400 to 599"),
        ({"action": {"reject": {"status": 400, "text": ""}}}, "rules[0].action.reject", "400 to 599"),
        ({"action": {"reject": {"status": 400, "body": 3}}}, "rules[0].action.reject.body", "at most 1000"),
        ({"action": {"classify": []}}, "rules[0].action.classify", "a list of 1 to 8"),
        (
            {"action": {"classify": [{"type": "org", "value": "${value}"}]}},
            "rules[0].action.classify[0].type",
            "no type of key",
        ),
        (
            {"action": {"classify": [{"type": "route", "value": "acme"}]}},
            "rules[0].action.classify[0].value",
            "names no variable",
        ),
        (
            {"action": {"classify": [{"type": "route"}]}},
            "rules[0].action.classify[0].value",
            "names no variable",
        ),
        (
            {"action": {"classify": [{"type": "first_cell", "value": "x"}]}},
            "rules[0].action.classify[0].value",
            "leave it out",
        ),
        ({"otherwise": 400}, "rules[0].otherwise", "must be an object"),
        ({"otherwise": {"timeout": 400}}, "rules[0].otherwise.timeout", "is no outcome"),
        ({"otherwise": {"refused": 400}}, "rules[0].otherwise.refused", "is no outcome"),
        ({"otherwise": {"unknown": 200}}, "rules[0].otherwise.unknown", "is no policy"),
        ({"otherwise": {"unknown": True}}, "rules[0].otherwise.unknown", "is no policy"),
        ({"name": "A b"}, "rules[0].name", "is no name"),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(fields: dict[str, Any], field: str, words: str) -> None:
    found = problems(document(rule(**fields)))
    assert words in found[field], found


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        document(rule(action={"cell": 0}, otherwise=3, match=[{"type": "method", "values": ["get"]}]))
    )
    assert set(found) == {"rules[0].match[0].values[0]", "rules[0].action.cell", "rules[0].otherwise"}
