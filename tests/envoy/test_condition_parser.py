"""Conditions: what each asks of a request, as the regular expression that all engines run."""

from __future__ import annotations

from typing import Any

import pytest

from envoy.transforms import match_text
from tests.envoy.rule_documents import document, match_rule, problems, rule


@pytest.mark.parametrize(
    ("condition", "text", "expected"),
    [
        ({"type": "method", "values": ["GET", "HEAD"]}, "HEAD", {}),
        ({"type": "method", "values": ["GET", "HEAD"]}, "HEADER", None),
        ({"type": "host", "values": ["a.test"]}, "A.Test:80", {}),
        ({"type": "host", "values": ["a.test"]}, "b.a.test", None),
        ({"type": "host", "values": ["*.a.test"]}, "b.c.a.test", {}),
        ({"type": "host", "values": ["*.a.test"]}, "a.test", None),
        ({"type": "path", "template": "/o/:org"}, "/o/acme", {"org": "acme"}),
        ({"type": "path", "template": "/o/:org"}, "/o/acme/x", None),
        ({"type": "path", "template": "/o/:org"}, "/o/", None),
        ({"type": "path", "template": "/o/:org/*"}, "/o/acme", {"org": "acme"}),
        ({"type": "path", "template": "/o/:org/*"}, "/o/acme/", {"org": "acme"}),
        ({"type": "path", "template": "/o/:org/*"}, "/o/acme/x/y", {"org": "acme"}),
        ({"type": "path", "template": "/:a/:b.c"}, "/x/:b.c", None),
        ({"type": "path", "prefix": "/a/b"}, "/a/b/c", {}),
        ({"type": "path", "prefix": "/a/b"}, "/a/bc", None),
        ({"type": "path", "regex": "^/(?P<x>[a-z]+)/"}, "/abc/d", {"x": "abc"}),
        ({"type": "header", "name": "A", "value": "x.y"}, "x.y", {}),
        ({"type": "header", "name": "A", "value": "x.y"}, "xxy", None),
        ({"type": "header", "name": "A", "prefix": "x."}, "x.yz", {}),
        ({"type": "cookie", "name": "c", "prefix": "x"}, "y", None),
        ({"type": "query", "name": "q", "regex": "^[0-9]+$"}, "12", {}),
        ({"type": "query", "name": "q"}, "", None),
        ({"type": "query", "name": "q"}, "x", {}),
    ],
)
def test_what_is_asked(condition: dict[str, Any], text: str, expected: dict[str, str] | None) -> None:
    if condition.get("template") == "/:a/:b.c":
        assert "has no segment" in problems(document(rule(match=[condition])))["rules[0].match[0].template"]
        return
    (found,) = match_rule(match=[condition]).conditions
    assert match_text(found.regex, text) == expected


def test_a_path_that_begins_with_a_variable_is_never_a_reserved_one() -> None:
    for condition, unreserved in (
        ({"type": "path", "template": "/:namespace/*"}, True),
        ({"type": "path", "template": "/groups/:group"}, False),
        ({"type": "path", "regex": "^/(?P<x>[^/]+)", "unreserved": True}, True),
        ({"type": "path", "prefix": "/a"}, False),
    ):
        (found,) = match_rule(match=[condition]).conditions
        assert found.unreserved is unreserved


def test_names_and_labels() -> None:
    (found,) = match_rule(match=[{"type": "header", "name": "Private-Token", "as": "value"}]).conditions
    assert (found.name, found.kept_as, found.label) == ("private-token", "value", "header private-token")
    (found,) = match_rule(match=[{"type": "path", "prefix": "/a"}]).conditions
    assert found.label == "path prefix /a"


@pytest.mark.parametrize(
    ("condition", "field", "words"),
    [
        ({"type": "body"}, "type", "no part of a request: use one of method"),
        ({}, "type", "no part of a request"),
        ({"type": ["x"]}, "type", "no part of a request"),
        ({"type": "method"}, "", "must ask one thing"),
        ({"type": "query", "name": "q", "every": True}, "every", "into a variable (as), unasked"),
        ({"type": "query", "name": "q", "every": True, "as": "x", "prefix": "y"}, "every", "unasked"),
        ({"type": "query", "name": "q", "every": "yes", "as": "x"}, "every", "must be true or false"),
        ({"type": "header", "name": "q", "every": True}, "every", "is unknown"),
        ({"type": "method", "values": []}, "values", "a list of 1 to 100"),
        ({"type": "method", "values": ["get"]}, "values[0]", "is no method"),
        ({"type": "method", "values": [f"A{'B' * n}" for n in range(19)] * 5}, "values", "divide the rule"),
        ({"type": "method", "values": ["GET"], "name": "x"}, "name", "is unknown"),
        ({"type": "host", "values": ["a_b"]}, "values[0]", "is no host"),
        ({"type": "host", "values": ["A.test"]}, "values[0]", "is no host"),
        ({"type": "host", "values": ["a.test:80"]}, "values[0]", "is no host"),
        ({"type": "path"}, "", "must ask one thing"),
        ({"type": "path", "prefix": "/a", "regex": "b"}, "", "must ask one thing"),
        ({"type": "path", "prefix": "a"}, "prefix", "is no prefix"),
        ({"type": "path", "prefix": "/a/../b"}, "prefix", "never matches"),
        ({"type": "path", "prefix": 3}, "prefix", "must be a text"),
        ({"type": "path", "prefix": "/" + "a" * 300}, "prefix", "1 to 300"),
        ({"type": "path", "template": "a/:b"}, "template", "is no template"),
        ({"type": "path", "template": "/:a/:a"}, "template", "has no segment"),
        ({"type": "path", "template": "/a//b"}, "template", "has no segment"),
        ({"type": "path", "template": "/*"}, "template", "has no segment"),
        ({"type": "path", "template": "/*/a"}, "template", "has no segment"),
        ({"type": "path", "template": "/%61/:b"}, "template", "never matches"),
        ({"type": "path", "template": "/a/./:b"}, "template", "never matches"),
        ({"type": "path", "regex": "^/a", "unreserved": "yes"}, "unreserved", "true or false"),
        ({"type": "path", "regex": "(?<=a)b"}, "regex", "looking behind"),
        ({"type": "path", "regex": 3}, "regex", "no regular expression"),
        ({"type": "path", "regex": "(?:ab){300}"}, "regex", "too large"),
        ({"type": "header"}, "name", "is no name of a header"),
        ({"type": "header", "name": "a_b"}, "name", "without underscores"),
        ({"type": "header", "name": ":path"}, "name", "is no name of a header"),
        ({"type": "header", "name": "Cookie"}, "name", "use type cookie"),
        ({"type": "header", "name": "host"}, "name", "use type host"),
        ({"type": "header", "name": "a", "as": "a.b"}, "as", "no name of a variable"),
        ({"type": "header", "name": "a", "value": "é"}, "value", "printable ASCII"),
        ({"type": "header", "name": "a", "value": ""}, "value", "1 to 300"),
        ({"type": "cookie", "name": "a b"}, "name", "is no name of a cookie"),
        ({"type": "query", "name": "a&b"}, "name", "is no name of a query"),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(condition: dict[str, Any], field: str, words: str) -> None:
    path = "rules[0].match[0]" + (f".{field}" if field else "")
    assert words in problems(document(rule(match=[condition])))[path]
