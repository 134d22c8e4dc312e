"""Our machine against Python's own engine: the same match, the same groups; and never slow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from envoy.regex import BadRegex, Regex
from envoy.regex_compiler import compile_regex
from envoy.regex_parser import parse_regex
from envoy.regex_program import Program, run
from tests.envoy.regex_samples import REGEXES, ROWS, TEXTS


def program(text: str) -> Program:
    regex = parse_regex(text)
    assert isinstance(regex, Regex), regex
    made = compile_regex(regex)
    assert isinstance(made, Program), made
    return made


@pytest.mark.parametrize(("text", "subject", "expected"), ROWS)
def test_groups_are_found(text: str, subject: str, expected: dict[str, str] | None) -> None:
    assert run(program(text), subject) == expected


@given(REGEXES, TEXTS)
def test_pythons_engine_agrees(text: str, subject: str) -> None:
    regex = parse_regex(text)
    if isinstance(regex, BadRegex):
        return
    made = compile_regex(regex)
    assert isinstance(made, Program)
    # In Python a dot and a negated class take any character: ours stop at ASCII.
    ours = re.compile(text.replace("[^a]", r"[\x00-`b-\x7f]").replace("$", r"\Z"), re.ASCII)
    if "." in text.replace(r"\.", "") and not subject.isascii():
        return
    found = ours.search(subject)
    expected = None
    if found is not None:
        expected = {name: value for name, value in found.groupdict().items() if value is not None}
    assert run(made, subject) == expected


@pytest.mark.parametrize("text", ["^(?:a|a)*$", "^(?:a+){1,9}$", "(?:x+x+)+y", "^(?:[a-z]+-?)+$"])
def test_no_text_makes_it_slow(text: str) -> None:
    """Python's engine would take longer than anybody waits."""
    made = program(text)
    assert len(made.steps) < 60
    assert run(made, "a" * 2000 + "!!") is None
