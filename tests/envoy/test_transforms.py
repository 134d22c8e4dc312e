from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.match_rules import Template, Transform, TransformType
from envoy.regex import Regex
from envoy.regex_parser import parse_regex
from envoy.transforms import apply_transform, match_text
from tests.envoy.token_samples import basic, jwt, payload, token

WORD = parse_regex("^(?P<word>[a-z]+)$")
assert isinstance(WORD, Regex)


def transform(kind: TransformType) -> Transform:
    regex = WORD if kind is TransformType.MATCH and isinstance(WORD, Regex) else None
    return Transform(type=kind, inputs=(Template(()),), output="x", regex=regex)


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("routable-token", (token("c:3"),), {"c": "3"}),
        ("routable-token", ("x",), None),
        ("routable-token-payload", (payload("c:3"), "0r"), {"c": "3"}),
        ("routable-token-payload", (payload("c:3"), "0s"), None),
        ("basic-auth", (basic("a", "b"),), {"user": "a", "password": "b"}),
        ("jwt-claims", (jwt('{"a":1}'),), {"a": "1"}),
        ("json", ('{"a":"b"}',), {"a": "b"}),
        ("json", ("3",), None),
        ("base64", ("YQ==",), "a"),
        ("base64url", ("_w",), "\xff"),
        ("base64url", ("_w==",), None),
        ("registry-scopes", ("repository:acme/web:pull",), {"namespaces": "acme"}),
        ("registry-scopes", ("acme",), None),
        ("match", ("abc",), {"word": "abc"}),
        ("match", ("ABC",), None),
    ],
)
def test_each_transform(kind: str, inputs: tuple[str, ...], expected: object) -> None:
    assert apply_transform(transform(TransformType(kind)), inputs) == expected


@given(st.sampled_from(list(TransformType)), st.text(st.characters(max_codepoint=255)))
def test_none_ever_raises(kind: TransformType, text: str) -> None:
    inputs = (text, text[:2]) if kind is TransformType.ROUTABLE_TOKEN_PAYLOAD else (text,)
    apply_transform(transform(kind), inputs)


def test_without_a_regex_anything_but_nothing_matches() -> None:
    assert match_text(None, "x") == {}
    assert match_text(None, "") is None
