"""What is written for RE2 is taken by RE2, and matches what our machine matches."""

from __future__ import annotations

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import given

from envoy.re2_text import header_text, path_text
from envoy.regex import BadRegex, Regex
from envoy.regex_compiler import compile_regex
from envoy.regex_parser import parse_regex
from envoy.regex_program import Program, run
from tests.envoy.regex_samples import REGEXES, ROWS, TEXTS


def matches(text: str, subject: str) -> bool:
    return re2.compile(text.encode()).fullmatch(subject.encode("latin-1")) is not None


@pytest.mark.parametrize(("text", "subject", "expected"), ROWS)
def test_re2_matches_a_header(text: str, subject: str, expected: dict[str, str] | None) -> None:
    regex = parse_regex(text)
    assert isinstance(regex, Regex)
    assert matches(header_text(regex), subject) == (expected is not None)


@given(REGEXES, TEXTS)
def test_re2_and_the_machine_agree(text: str, subject: str) -> None:
    regex = parse_regex(text)
    if isinstance(regex, BadRegex):
        return
    made = compile_regex(regex)
    assert isinstance(made, Program)
    assert matches(header_text(regex), subject) == (run(made, subject) is not None)
    path, _, _ = subject.partition("?")
    if path.isascii():
        assert matches(path_text(regex), subject) == (run(made, path) is not None)


def test_a_class_of_nothing_but_the_query_mark_matches_no_path() -> None:
    regex = parse_regex(r"^a\?b$")
    assert isinstance(regex, Regex)
    assert matches(header_text(regex), "a?b")
    assert not matches(path_text(regex), "a?b")
