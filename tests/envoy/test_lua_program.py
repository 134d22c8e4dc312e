"""The Lua that Envoy runs, in LuaJIT: each function against its twin in Python."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.credentials import basic_fields, jwt_fields
from envoy.encodings import checksum, from_base36, from_base64, from_base64url
from envoy.flat_json import json_fields
from envoy.lua_program import lua_data, regex_data
from envoy.paths import normalise
from envoy.regex import ASCII, BadRegex, Regex
from envoy.regex_compiler import compile_regex
from envoy.regex_parser import parse_regex
from envoy.regex_program import Program, run
from envoy.request import Request, query_values
from envoy.tokens import RoutableToken, parse_payload, parse_token
from tests.envoy import match_table
from tests.envoy.corpus import generated
from tests.envoy.json_samples import ROWS as JSON_ROWS
from tests.envoy.lua_engine import LuaEngine
from tests.envoy.lua_twin import LuaTwin
from tests.envoy.owned import OWNED
from tests.envoy.regex_samples import REGEXES, TEXTS
from tests.envoy.regex_samples import ROWS as REGEX_ROWS
from tests.envoy.token_samples import basic, jwt, payload, sealed, token

LUA = LuaEngine()
BYTES = st.text(st.characters(max_codepoint=255), max_size=60)
CODED = st.text(st.sampled_from("ABab01+/-_=."), max_size=40)


def fields_of_token(text: str) -> dict[str, str] | None:
    found = parse_token(text)
    return dict(found.fields) if isinstance(found, RoutableToken) else None


def fields_of_payload(text: str, length: str) -> dict[str, str] | None:
    found = parse_payload(text, length)
    return dict(found) if not isinstance(found, str) else None


@given(st.one_of(BYTES, CODED))
def test_encodings(text: str) -> None:
    assert LUA.call("from_base64", text) == from_base64(text)
    assert LUA.call("from_base64url", text) == from_base64url(text)
    assert LUA.call("checksum", text, len(text) + 1, 0) == from_base36(checksum(text))


@given(st.text(st.sampled_from("0123456789abcxyzA-"), max_size=13))
def test_base36(text: str) -> None:
    assert LUA.call("from_base36", text) == from_base36(text)


@pytest.mark.parametrize("text", ["2gosa7pa2gv", "2gosa7pa2gw", "2gosa7pa2gx", "zzzzzzzzzzz", "00000000000"])
def test_base36_at_its_ends(text: str) -> None:
    assert LUA.call("from_base36", text) == from_base36(text)


@pytest.mark.parametrize(
    "text",
    [
        "EL25d_AKXDUtqLnIQHEpkG86MQM.01.0r1ajj2i3",
        "EL25d_AKXDUtqLnIQHEpkG86MQM.01.0r1ajj2i4",
        token("c:10\no:1"),
        token("c:2gosa7pa2gv"),
        sealed(payload("c:2gosa7pa2gw")),
        sealed(payload("o:1\nc:3")),
        sealed(payload("c:3\nc:4")),
        sealed(payload("c:3\n", b"r" * 16)),
        sealed(payload("\n".join(f"{key}:1" for key in "abcdefghij"))),
        sealed(payload("\n".join(f"{key}:1" for key in "abcdefghijk"))),
        sealed(payload("c:3"), version="02"),
        token("c:3", "x" * 20, b"\xff" * 65),
        token("c:3", "x" * 21),
        "é" * 50,
        "\0" * 50,
        "",
    ],
)
def test_tokens(text: str) -> None:
    assert LUA.call("parse_token", text) == fields_of_token(text)


@given(st.binary(min_size=17, max_size=60), st.integers(0, 40))
def test_any_sealed_payload(data: bytes, routing: int) -> None:
    inside = base64.urlsafe_b64encode(data + bytes([routing])).rstrip(b"=").decode()
    for text in (sealed(inside), sealed("glpat-" + inside, length=len(inside))):
        assert LUA.call("parse_token", text) == fields_of_token(text)


@given(
    st.lists(st.sampled_from(["c:3", "o:1", "p:zz", "u:", "x", "", "t:A", "g:10"]), max_size=5),
    st.binary(min_size=15, max_size=17),
)
def test_any_routing_part(lines: list[str], random: bytes) -> None:
    inside = payload("\n".join(lines), random)
    length = sealed(inside).split(".")[2][:2]
    assert LUA.call("parse_payload", inside, length) == fields_of_payload(inside, length)
    assert LUA.call("parse_token", sealed(inside)) == fields_of_token(sealed(inside))


@pytest.mark.parametrize(("text", "expected"), JSON_ROWS)
def test_json(text: str, expected: dict[str, str] | None) -> None:
    assert LUA.call("json_fields", text) == expected


@given(st.text(st.sampled_from('{}[]",:\\ue0123456789-+.truefalsnlcD8 \n\x00\xff'), max_size=30))
def test_any_json(text: str) -> None:
    assert LUA.call("json_fields", text) == json_fields(text)
    assert LUA.call("json_fields", '{"a":' + text + "}") == json_fields('{"a":' + text + "}")


@pytest.mark.parametrize(
    "value",
    [
        basic("u", "p"),
        basic("", ""),
        basic("é\0", ":"),
        "Basic dTo",
        "basic  dTpw",
        "Basic dTpw=",
        "Basic",
        "",
    ],
)
def test_basic(value: str) -> None:
    assert LUA.call("basic_fields", value) == basic_fields(value)


@given(BYTES)
def test_any_credentials(text: str) -> None:
    assert LUA.call("basic_fields", basic(text, text)) == basic_fields(basic(text, text))
    assert LUA.call("basic_fields", text) == basic_fields(text)
    assert LUA.call("jwt_fields", text) == jwt_fields(text)
    assert LUA.call("jwt_fields", jwt('{"c":"3"}')) == {"c": "3"}


def same_match(text: str, subject: str) -> None:
    regex = parse_regex(text)
    if isinstance(regex, BadRegex):
        return
    made = compile_regex(regex)
    assert isinstance(made, Program)
    expected = run(made, subject)
    assert LUA.call("match_text", compiled(regex), subject) == (None if expected is None else dict(expected))


def compiled(regex: Regex) -> object:
    sets = LUA.source.partition("local reserved")[0]
    return LUA.lua.execute(f"{sets}\nreturn {lua_data(regex_data(regex))}")


@pytest.mark.parametrize(("text", "subject", "_expected"), REGEX_ROWS)
def test_regexes(text: str, subject: str, _expected: object) -> None:
    same_match(text, subject)


@given(REGEXES, TEXTS)
def test_any_regex(text: str, subject: str) -> None:
    same_match(text, subject)


@pytest.mark.parametrize(
    "chars", [r"[\D]", r"[\W]", r"[\S]", r"[^%\]^-]", r"[%\]^-]", r"[!-~]", ".", r"[a-z.*]"]
)
def test_every_byte_of_a_class(chars: str) -> None:
    for code in range(256):
        same_match(f"^{chars}*$", chr(code))
        same_match(f"^{chars}{{1,2}}x?$", chr(code) * 2)
        same_match(f"a{chars}", f"a{chr(code)}")
    assert len(ASCII) == 128


@given(st.text(st.sampled_from("ab=;, \t&?/xé"), max_size=20))
def test_cookies_and_query(text: str) -> None:
    request = Request(headers=(("cookie", text),))
    header = request.header("cookie") or ""
    assert list(LUA.call("cookie_values", header, "ab").values()) == list(request.cookies("ab"))
    assert list(LUA.call("query_values", text, "ab").values()) == list(query_values(text, "ab"))


TWIN = LuaTwin(match_table.ruleset())
ASKING_TWIN = LuaTwin(match_table.ruleset(), OWNED.get)


@pytest.mark.parametrize(
    "row",
    [row for row in (*match_table.rows(), *match_table.claims()) if row.expected != "rejected"],
    ids=str,
)
def test_a_request_is_read_alike(row: match_table.Asked) -> None:
    request = Request(method=row.method, path=row.path, authority=row.authority, headers=row.headers)
    for twin in (TWIN, ASKING_TWIN):
        assert twin.said(request) == twin.expected(request)


def test_what_nobody_thought_of_is_read_alike() -> None:
    for row in generated(500, seed=9):
        if normalise(row.path) is not None:
            request = Request(method=row.method, path=row.path, authority=row.authority, headers=row.headers)
            for twin in (TWIN, ASKING_TWIN):
                assert twin.said(request) == twin.expected(request), str(row)
    assert ASKING_TWIN.asked > 10
