from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.credentials import basic_fields, jwt_fields
from tests.envoy.token_samples import basic, jwt


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (basic("u", "p"), {"user": "u", "password": "p"}),
        (basic("", ""), {"user": "", "password": ""}),
        (basic("u", "p:q"), {"user": "u", "password": "p:q"}),
        (basic("é", "\x00"), {"user": "é", "password": "\x00"}),
        ("basic dTpw", {"user": "u", "password": "p"}),
        ("BASIC  dTpw", {"user": "u", "password": "p"}),
        ("Basic dTo", {"user": "u", "password": ""}),
        ("Basic\tdTpw", None),
        ("Basic", None),
        ("Basic ", None),
        ("Basic dXA", None),
        ("Basic dTpw dTpw", None),
        ("Basic dTpw,Basic dTpw", None),
        ("Basic =", None),
        ("Basic dTpw=", None),
        ("Basic d_pw", None),
        ("Bearer dTpw", None),
        (" Basic dTpw", None),
        ("Basic dTpw\n", None),
        ("", None),
    ],
)
def test_basic(value: str, expected: dict[str, str] | None) -> None:
    assert basic_fields(value) == expected


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (jwt('{"c":"3","iat":1700000000,"aud":["x"]}'), {"c": "3", "iat": "1700000000"}),
        (jwt('{"c":"3"}').rsplit(".", 1)[0] + ".", {"c": "3"}),
        (jwt('{"c":"3"}', head="nothing"), {"c": "3"}),
        (jwt('{"c":"3","c":"4"}'), None),
        (jwt('["c"]'), None),
        (jwt("c"), None),
        ("a.e30.b", {}),
        ("a.e30", None),
        (".e30.b", None),
        ("a..b", None),
        ("a.e30.b.c", None),
        ("a.e30.b.c.d", None),
        ("a.e30=.b", None),
        ("a.e.b", None),
        ("a.e30.b\n", None),
        ("", None),
    ],
)
def test_jwt(token: str, expected: dict[str, str] | None) -> None:
    assert jwt_fields(token) == expected


@given(st.text(st.characters(max_codepoint=255)))
def test_nothing_is_too_odd(text: str) -> None:
    assert basic_fields(text) is None or ":" not in basic_fields(text)["user"]  # type: ignore[index]
    assert jwt_fields(text) is None or isinstance(jwt_fields(text), dict)
