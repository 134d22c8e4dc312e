from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from envoy.ruleset import (
    DefaultRule,
    OverrideRule,
    PathPrefixRule,
    Ruleset,
    SessionCookieRule,
)
from envoy.ruleset_parser import parse_ruleset
from envoy.traffic_parser import usual_traffic

DEFAULT = {"name": "default", "type": "default"}
SESSION = {"name": "session", "type": "session_cookie", "cookie": "_gitlab_session"}
OVERRIDE = {"name": "override", "type": "override", "header": "x-to", "networks": ["10.0.0.0/8"]}
PATH = {"name": "path", "type": "path_prefix", "prefixes": {"/acme": 3}}


def document(*rules: Any) -> dict[str, Any]:
    return {"schema": 1, "rules": list(rules)}


def without(rule: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != key}


def test_a_document_becomes_rules_in_its_order() -> None:
    identities = ["spiffe://ops.test/alice", "bob.ops.test"]
    override = {
        **OVERRIDE,
        "header": "X-To",
        "networks": ["10.0.0.0/8", "fd00::/8"],
        "identities": identities,
    }
    assert parse_ruleset(document(SESSION, override, PATH, DEFAULT)) == Ruleset(
        rules=(
            SessionCookieRule(name="session", cookie="_gitlab_session"),
            OverrideRule(
                name="override",
                header="x-to",
                networks=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
                identities=("spiffe://ops.test/alice", "bob.ops.test"),
            ),
            PathPrefixRule(name="path", prefixes={"/acme": 3}),
            DefaultRule(name="default"),
        ),
        traffic=usual_traffic(),
    )


def test_override_headers_are_listed_once() -> None:
    again = {**OVERRIDE, "name": "again"}
    ruleset = parse_ruleset(document(OVERRIDE, again, DEFAULT))
    assert isinstance(ruleset, Ruleset)
    assert ruleset.override_headers == ("x-to",)


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (None, "", "is no ruleset"),
        ([], "", "is no ruleset"),
        ({**document(DEFAULT), "extra": 1}, "extra", "is unknown"),
        ({"rules": [DEFAULT]}, "schema", "write 2, or 1"),
        ({"schema": 3, "rules": [DEFAULT]}, "schema", "write 2, or 1"),
        ({"schema": True, "rules": [DEFAULT]}, "schema", "write 2, or 1"),
        ({"schema": 1}, "rules", "must be a list"),
        ({"schema": 1, "rules": {}}, "rules", "must be a list"),
        (document(), "rules", "must be a list of 1 to"),
        (
            document(*[{**SESSION, "name": f"s{n}", "cookie": f"c{n}"} for n in range(32)], DEFAULT),
            "rules",
            "1 to 32",
        ),
        (document("session", DEFAULT), "rules[0]", "is no rule"),
        (document({**SESSION, "name": "No Name"}, DEFAULT), "rules[0].name", "'No Name' is no name"),
        (document({**SESSION, "name": "a.b"}, DEFAULT), "rules[0].name", "is no name"),
        (document(without(SESSION, "name"), DEFAULT), "rules[0].name", "None is no name"),
        (
            document({**SESSION, "type": "cookie"}, DEFAULT),
            "rules[0].type",
            "use one of override, path_prefix",
        ),
        (document({**SESSION, "type": ["x"]}, DEFAULT), "rules[0].type", "use one of"),
        (document({**SESSION, "header": "x"}, DEFAULT), "rules[0].header", "is unknown"),
        (
            document(SESSION, {**PATH, "name": "session"}, DEFAULT),
            "rules[1].name",
            "already that of rules[0]",
        ),
        (document(SESSION, {**SESSION, "name": "b"}, DEFAULT), "rules[1].cookie", "the second never matches"),
        (document(SESSION), "rules[0].type", "the last rule must be of type default"),
        (document(DEFAULT, SESSION, {**DEFAULT, "name": "b"}), "rules[0].type", "put it last"),
        (document({**SESSION, "cookie": "a b"}, DEFAULT), "rules[0].cookie", "is no cookie name"),
        (document({**SESSION, "cookie": "a=b"}, DEFAULT), "rules[0].cookie", "is no cookie name"),
        (document({**SESSION, "cookie": "x" * 65}, DEFAULT), "rules[0].cookie", "is no cookie name"),
        (document(without(SESSION, "cookie"), DEFAULT), "rules[0].cookie", "None is no cookie name"),
        (document({**OVERRIDE, "header": ":path"}, DEFAULT), "rules[0].header", "is no header name"),
        (document({**OVERRIDE, "header": "x_to"}, DEFAULT), "rules[0].header", "without underscores"),
        (document({**OVERRIDE, "header": "Cookie"}, DEFAULT), "rules[0].header", "in use already"),
        (document({**OVERRIDE, "header": "X-Cellplane-Cell"}, DEFAULT), "rules[0].header", "in use already"),
        (document({**OVERRIDE, "networks": []}, DEFAULT), "rules[0]", "nobody may use this rule"),
        (document(without(OVERRIDE, "networks"), DEFAULT), "rules[0]", "nobody may use this rule"),
        (document({**OVERRIDE, "networks": "10.0.0.0/8"}, DEFAULT), "rules[0].networks", "must be a list"),
        (
            document({**OVERRIDE, "networks": ["10.0.0.1/8"]}, DEFAULT),
            "rules[0].networks[0]",
            "is no network",
        ),
        (
            document({**OVERRIDE, "networks": ["10.0.0.0/8", 10]}, DEFAULT),
            "rules[0].networks[1]",
            "is no network",
        ),
        (document({**OVERRIDE, "identities": ["a,b"]}, DEFAULT), "rules[0].identities[0]", "is no identity"),
        (document({**OVERRIDE, "identities": [""]}, DEFAULT), "rules[0].identities[0]", "is no identity"),
        (document({**PATH, "prefixes": ["/acme"]}, DEFAULT), "rules[0].prefixes", "must be an object"),
        (document(without(PATH, "prefixes"), DEFAULT), "rules[0].prefixes", "must be an object"),
        (document({**PATH, "prefixes": {"acme": 3}}, DEFAULT), "rules[0].prefixes", "'acme' is no prefix"),
        (document({**PATH, "prefixes": {3: 3}}, DEFAULT), "rules[0].prefixes", "3 is no prefix"),
        (
            document({**PATH, "prefixes": {"/acme": "3"}}, DEFAULT),
            "rules[0].prefixes['/acme']",
            "write its id",
        ),
        (document({**PATH, "prefixes": {"/acme": 0}}, DEFAULT), "rules[0].prefixes['/acme']", "write its id"),
        (
            document({**PATH, "prefixes": {"/acme": True}}, DEFAULT),
            "rules[0].prefixes['/acme']",
            "write its id",
        ),
    ],
)
def test_a_bad_document_is_refused_with_field_and_fix(body: Any, field: str, message: str) -> None:
    problems = parse_ruleset(body)
    assert isinstance(problems, tuple)
    assert [problem.field for problem in problems] == [field], problems
    assert message in problems[0].message


def test_all_problems_come_at_once() -> None:
    problems = parse_ruleset({"schema": 0, "rules": [{"name": "?", "type": "x"}, {**SESSION, "cookie": ""}]})
    assert isinstance(problems, tuple)
    assert {problem.field for problem in problems} == {
        "schema",
        "rules[0].name",
        "rules[0].type",
        "rules[1].cookie",
        "rules[1].type",
    }
