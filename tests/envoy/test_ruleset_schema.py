"""The published JSON Schema takes what the parser takes, and refuses what it can see to be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from envoy.classification import KeyType
from envoy.match_rules import POLICY_SKIPS, Part, TransformType
from envoy.rules import DEFAULT_DOCUMENT, Ruleset, parse_ruleset
from envoy.traffic_parser import USUAL_TRAFFIC
from tests.envoy import match_table
from tests.envoy.rule_documents import document, rule

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "ruleset.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
HEADER = {"type": "header", "name": "a"}


def test_it_is_a_schema_and_knows_every_word() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    defs = SCHEMA["$defs"]
    words = json.dumps(defs)
    assert {each["properties"]["type"]["const"] for each in defs["condition"]["oneOf"]} == set(Part)
    assert set(defs["match_rule"]["properties"]["otherwise"]["propertyNames"]["enum"]) == set(POLICY_SKIPS)
    for word in (*TransformType, *KeyType):
        assert f'"{word}"' in words


@pytest.mark.parametrize(
    "body",
    [
        DEFAULT_DOCUMENT,
        match_table.document(),
        document(rule()),
        document(rule(match=[{"type": "query", "name": "q", "prefix": "x", "as": "y"}])),
        document(rule(otherwise={"unknown": 503, "malformed": "next"})),
        document(rule(), traffic=[]),
        document(rule(match=[{"type": "query", "name": "q", "every": True, "as": "value"}])),
        document(rule(match=[{"type": "host", "except": ["a.test"], "as": "value"}])),
        document(rule(action={"classify": [{"type": "route", "value": "${value}", "many": True}]})),
        document(rule(otherwise={"ambiguous": {"status": 400, "body": "{}"}})),
        document(rule(), traffic=list(USUAL_TRAFFIC)),
    ],
)
def test_what_the_parser_takes_it_takes(body: dict[str, Any]) -> None:
    assert isinstance(parse_ruleset(body), Ruleset)
    assert not list(VALIDATOR.iter_errors(json.loads(json.dumps(dict(body)))))


def test_the_example_is_taken() -> None:
    example = (ROOT / "examples" / "rules" / "gitlab.yaml").read_text(encoding="utf-8")
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(example)))


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"schema": 3, "rules": []},
        document(rule(), extra=1),
        {**document(rule()), "schema": 1},
        document({"name": "a", "type": "none"}),
        document(rule(name="A")),
        document(rule(match=[])),
        document(rule(match=[{"type": "body"}])),
        document(rule(match=[{**HEADER, "value": "x", "prefix": "y"}])),
        document(rule(match=[{"type": "path"}])),
        document(rule(match=[{"type": "path", "prefix": "/a", "regex": "b"}])),
        document(rule(match=[{"type": "method", "values": []}])),
        document(rule(transform=[{"type": "jwt-signature", "input": "${value}", "output": "x"}])),
        document(rule(transform=[{"type": "match", "input": "${value}", "output": "x"}])),
        document(rule(action={"cell": 0})),
        document(rule(action={"cell": 1, "cluster": "x"})),
        document(rule(action={"reject": {"status": 200}})),
        document(rule(action={"classify": [{"type": "first_cell", "value": "x"}]})),
        document(rule(action={"classify": [{"type": "org", "value": "${value}"}]})),
        document(rule(validate={"exist": ["value"]})),
        document(rule(otherwise={"refused": 400})),
        document(rule(otherwise={"unknown": "later"})),
        document(rule(), clusters={"A": {"endpoints": []}}),
        document(rule(match=[{"type": "query", "name": "q", "every": True}])),
        document(rule(match=[{"type": "host", "values": ["a.test"], "except": ["b.test"]}])),
        document(rule(action={"classify": [{"type": "cell_id", "value": "${value}", "many": True}]})),
        document(rule(otherwise={"ambiguous": {"status": 200}})),
        document(rule(), traffic=[{"name": "other", "match": [HEADER]}]),
        document(rule(), traffic=[{"name": "q", "match": [{"type": "query", "name": "q"}]}]),
        document(rule(), traffic=[{"name": "q", "match": [HEADER], "idle_seconds": -1}]),
    ],
)
def test_what_it_refuses_the_parser_refuses_too(body: Any) -> None:
    assert list(VALIDATOR.iter_errors(body))
    assert not isinstance(parse_ruleset(body), Ruleset)
