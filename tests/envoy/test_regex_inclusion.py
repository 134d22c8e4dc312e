"""One regular expression in another: written out, and against what the machine says of texts by chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.regex import Regex
from envoy.regex_compiler import compile_regex
from envoy.regex_inclusion import includes
from envoy.regex_parser import parse_regex
from envoy.regex_program import Program, run

REGEXES = (
    "a*", "^$", "a", "^a", "a$", "^a$", "^a*$", "^a+$", "^a{2,4}$", "^(?:ab)*$", "^a?b$", "^[ab]+$", "^[^a]$",
    "^.*$", "^/a(?:/.*)?$", "^/a/b(?:/.*)?$", "^/[^/]+/b$", "b|a+", "^(?:a|b){1,3}", "^(?P<x>a+)b?$",
)  # fmt: skip


def regex(text: str) -> Regex:
    found = parse_regex(text)
    assert isinstance(found, Regex), found
    return found


def program(text: str) -> Program:
    found = compile_regex(regex(text))
    assert isinstance(found, Program), found
    return found


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("a", "^a$"),
        ("^a", "^ab"),
        ("^a*$", "^a{2,4}$"),
        ("^[ab]+$", "^(?:ab)+$"),
        ("^/a(?:/.*)?$", "^/a/b(?:/.*)?$"),
        ("a*", "x"),
    ],
)
def test_one_in_the_other_and_not_the_other_way_round(wide: str, narrow: str) -> None:
    assert includes(regex(wide), regex(narrow))
    assert not includes(regex(narrow), regex(wide))


def test_a_byte_that_is_no_ascii_is_a_byte() -> None:
    assert not includes(regex("^[^a]*$"), regex("a*"))
    assert includes(regex("b"), regex("b$"))


def test_what_would_take_too_long_is_not_said() -> None:
    assert not includes(regex("[ab]*a[ab]{12}$"), regex("^[ab]*a[ab]{13}$"))


@given(st.sampled_from(REGEXES), st.sampled_from(REGEXES), st.text("ab/\x80", max_size=6))
def test_it_agrees_with_the_machine(wide: str, narrow: str, text: str) -> None:
    if includes(regex(wide), regex(narrow)) and run(program(narrow), text) is not None:
        assert run(program(wide), text) is not None
