"""What a rule takes out of a request, and why it takes nothing; tables of whole rulesets are elsewhere."""

from __future__ import annotations

import pytest

from envoy.classification import ClassificationKey, KeyType
from envoy.extraction import MAX_TEXT, Extracted, NoMatch, Passed, extract, is_reserved
from envoy.match_rules import MatchRule, Skip
from envoy.request import Request
from tests.envoy.rule_documents import match_rule
from tests.envoy.token_samples import token

TOKEN = match_rule(
    transform=[{"type": "routable-token", "input": "${value}", "output": "token"}],
    action={
        "classify": [
            {"type": "cell_id", "value": "${token.c}"},
            {"type": "organization_id", "value": "${token.o}"},
            {"type": "first_cell"},
        ]
    },
)


def asked(rule: MatchRule, *values: str, path: str = "/") -> Extracted | NoMatch | Passed:
    headers = tuple(("x-a", value) for value in values)
    return extract(rule, Request(headers=headers), path, frozenset({"users"}))


def test_keys_are_made_in_their_order() -> None:
    cell, org = ClassificationKey(KeyType.CELL_ID, "3"), ClassificationKey(KeyType.ORGANIZATION_ID, "36")
    first = ClassificationKey(KeyType.FIRST_CELL, "")
    assert asked(TOKEN, token("c:3\no:10")) == Extracted((cell, org, first))
    assert asked(TOKEN, token("o:10")) == Extracted((org, first))
    assert asked(TOKEN, token("p:1")) == Extracted((first,))


def test_why_there_are_none() -> None:
    assert asked(TOKEN) == NoMatch("no header x-a")
    assert asked(TOKEN, "x") == Passed(Skip.MALFORMED, "it can't be read by routable-token")
    needs = match_rule(validate={"exist": ["${value}"]})
    assert asked(needs, "x") == Extracted()
    absent = match_rule(
        match=[{"type": "header", "name": "x-a", "regex": "^a(?P<b>b)?$"}],
        transform=[{"type": "base64", "input": "${b}", "output": "c"}],
    )
    assert asked(absent, "a") == NoMatch("there is nothing to read by base64")
    missing = match_rule(
        match=[{"type": "header", "name": "x-a", "regex": "^a(?P<b>b)?$"}], validate={"exist": ["${b}"]}
    )
    assert asked(missing, "a") == NoMatch("b is not there")
    keyless = match_rule(
        match=[{"type": "header", "name": "x-a", "regex": "^a(?P<b>b)?$"}],
        action={"classify": [{"type": "route", "value": "${b}"}]},
    )
    assert asked(keyless, "a") == NoMatch("none of its keys is there")
    cookie = match_rule(match=[{"type": "cookie", "name": "c"}])
    request = Request(headers=(("cookie", "c=1; c=1"),))
    assert extract(cookie, request, "/", frozenset()) == Passed(Skip.AMBIGUOUS, "cookie c came 2 times")


def test_what_is_too_long_to_be_read_is_malformed_and_not_as_if_it_were_not_there() -> None:
    long = "x" * (MAX_TEXT + 1)
    too_long = Passed(Skip.MALFORMED, f"header x-a is longer than {MAX_TEXT} bytes")
    assert asked(TOKEN, long) == too_long
    posted = match_rule(
        match=[{"type": "header", "name": "x-a", "as": "v"}, {"type": "method", "values": ["POST"]}],
        action={"classify": [{"type": "route", "value": "${v}"}]},
    )
    assert isinstance(asked(posted, long), NoMatch), "of other requests the rule has nothing to say"
    path = match_rule(
        match=[{"type": "path", "template": "/:n/*"}],
        action={"classify": [{"type": "route", "value": "${n}"}]},
    )
    assert asked(path, path="/acme/" + long) == NoMatch(
        f"path template /:n/* is longer than {MAX_TEXT} bytes"
    )
    patterned = match_rule(
        match=[{"type": "header", "name": "x-a", "regex": "^a(?P<v>.*)$"}],
        action={"classify": [{"type": "route", "value": "${v}"}]},
    )
    assert isinstance(asked(patterned, long), NoMatch), "matchers have said that it is none of the rule's"
    assert isinstance(asked(patterned, "a" + long), NoMatch), "and Lua can't tell the one from the other"


def test_a_native_rule_looks_at_texts_of_any_length() -> None:
    native = match_rule(match=[{"type": "header", "name": "x-a", "prefix": "x"}])
    assert native.is_native
    assert asked(native, "x" * (MAX_TEXT + 1)) == Extracted()


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        ("/users", True),
        ("/users/", True),
        ("/users/x", True),
        ("/users.json", True),
        ("/users.", True),
        ("/users.json/", True),
        ("/users.json/x", False),
        ("/users.a.b", False),
        ("/userss", False),
        ("/Users", False),
        ("/x/users", False),
        ("/", False),
        ("//users", False),
    ],
)
def test_reserved_first_segments(path: str, reserved: bool) -> None:
    assert is_reserved(path, frozenset({"users"})) is reserved
    namespace = match_rule(match=[{"type": "path", "template": "/:namespace/*"}])
    found = extract(namespace, Request(), path, frozenset({"users"}))
    if reserved:
        assert found == NoMatch("the path's first segment is reserved")
