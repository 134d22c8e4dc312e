"""What programs are made, and which would be too large."""

from __future__ import annotations

import pytest

from envoy.regex import BadRegex, Regex
from envoy.regex_compiler import compile_regex
from envoy.regex_parser import parse_regex
from envoy.regex_program import Program, Run
from tests.envoy.regex_samples import GITLAB


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(?:ab){300}", "too large"),
        ("(?:[a-z]x){100}(?:[a-z]x){200}", "too large"),
        ("(?:[a-z]{300}-){4}", "more than 1000 times"),
        ("(?:[a-z]{11}-{0,100}){99}", "more than 1000 times"),
    ],
)
def test_a_program_is_small(text: str, words: str) -> None:
    regex = parse_regex(text)
    assert isinstance(regex, Regex)
    made = compile_regex(regex)
    assert isinstance(made, BadRegex)
    assert words in made.reason


def runs(text: str) -> list[tuple[int, int | None]]:
    regex = parse_regex(text)
    assert isinstance(regex, Regex)
    made = compile_regex(regex)
    assert isinstance(made, Program)
    return [(step.least, step.most) for step in made.steps if isinstance(step, Run)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("^a*b$", [(0, None)]),
        ("^a*ab$", []),
        ("^a*a?$", [(0, 1)]),
        ("^a*a?", [(0, None), (0, 1)]),
        ("a*b", []),
        ("^(?:a*b)*c$", [(0, None)]),
        ("^(?:a+b?)+$", [(0, 1), (0, 1)]),
        ("^a*?b$", []),
        (GITLAB, [(0, 1), (27, 300), (2, 2), (7, 7)]),
    ],
)
def test_what_never_gives_back_is_taken_at_once(text: str, expected: list[tuple[int, int | None]]) -> None:
    assert runs(text) == expected
