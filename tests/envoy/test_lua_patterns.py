"""Which expressions Lua's own patterns say; that they say the same, `test_lua_program` asks LuaJIT."""

from __future__ import annotations

import pytest

from envoy.lua_patterns import char_class, lua_patterns, ranges
from envoy.regex import Regex
from envoy.regex_parser import parse_regex


def patterns(text: str) -> tuple[str, ...] | None:
    regex = parse_regex(text)
    assert isinstance(regex, Regex), regex
    found = lua_patterns(regex)
    return found.texts if found else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("^/jwt/auth$", ("^/jwt/auth$",)),
        ("^a[^b]b", ("^a[%z\1-ac-\x7f]b",)),
        ("^/(?P<a>[a-c]+)(?:/[a-z]*)?$", ("^/([a-c]+)/[a-z]*$", "^/([a-c]+)$")),
        ("^(?P<a>[ab]+)-(?P<b>[0-9]*)$", ("^([a-b]+)%-([0-9]*)$",)),
        ("a", None),
        ("^(?:a|b)$", None),
        ("^[a-z]*[a-b]$", None),
        ("^[a-z]{3}$", None),
        ("^[a-z]{2,3}$", None),
        ("^(?:ab)+$", None),
        ("^(?P<a>x?)$", None),
        ("^a(?P<b>/c)?$", None),
    ],
)
def test_what_lua_can_say(text: str, expected: tuple[str, ...] | None) -> None:
    assert patterns(text) == expected


def test_sets_are_written_in_few_ranges() -> None:
    assert ranges(frozenset("abcx")) == [(97, 99), (120, 120)]
    assert char_class(frozenset("a\0]")) == "[%z%]a]"
