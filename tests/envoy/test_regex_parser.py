"""What is taken, what is refused, and that Python's own engine takes it in the same way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.regex import BadRegex, Regex
from envoy.regex_parser import parse_regex
from tests.envoy.regex_samples import ROWS


@pytest.mark.parametrize(("text", "_subject", "_expected"), ROWS)
def test_it_is_taken(text: str, _subject: str, _expected: dict[str, str] | None) -> None:
    assert isinstance(parse_regex(text), Regex)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "1 to 1000 characters"),
        ("a" * 1001, "1 to 1000 characters"),
        ("é", "printable ASCII"),
        ("a\n", "printable ASCII"),
        ("(?=a)", "looking ahead"),
        ("(?!a)", "looking ahead"),
        ("(?<=a)", "looking behind"),
        ("(?<!a)", "looking behind"),
        ("(?>a)", "an atomic group"),
        ("(?#a)", "a comment"),
        ("(?P<a>b)(?P=a)", "going back"),
        ("(?(1)a)", "a conditional"),
        (r"(a)\1", r"has \1"),
        (r"\bx", r"has \b"),
        (r"\Ax", r"has \A"),
        (r"\p{L}", r"has \p"),
        ("a\\", "has \\"),
        ("(?i)a", "flags"),
        ("(?i:a)", "flags"),
        ("(?P<1>a)", "name is none"),
        ("(?P<>a)", "name is none"),
        ("(?P<a", "name is none"),
        ("(?P<a>b)(?P<a>c)", "two groups called a"),
        ("(a", "not closed"),
        ("a)", "too much at character 2"),
        ("[a", "not closed"),
        ("[]a]", "begins with ]"),
        ("[[:alpha:]]", "class of its name"),
        ("[b-a]", "range"),
        (r"[\d-z]", "range"),
        (r"[^\d\D]", "no character is in"),
        ("*a", "repeats nothing"),
        ("a|*", "repeats nothing"),
        ("{2}", "repeats nothing"),
        ("a**", "repeats a repetition"),
        ("a*+", "repeats a repetition"),
        ("a{2}{2}", "repeats a repetition"),
        ("(a*)*", "can be empty"),
        ("(?:a|)+", "can be empty"),
        ("()*", "can be empty"),
        ("a{", "begins no count"),
        ("a{,2}", "begins no count"),
        ("a{x}", "begins no count"),
        ("a{3,2}", "that RE2 does not take"),
        ("a{0}", "that RE2 does not take"),
        ("a{1001}", "that RE2 does not take"),
        ("a^b", "at the ends only"),
        ("a$b", "at the ends only"),
        ("(^a)", "at the ends only"),
        ("(a$)", "at the ends only"),
        ("^a|b", "only one branch"),
        ("a|b$", "only one branch"),
        ("(" * 21 + "a" + ")" * 21, "20 deep"),
    ],
)
def test_it_is_refused_with_the_reason(text: str, words: str) -> None:
    found = parse_regex(text)
    assert isinstance(found, BadRegex), found
    assert words in found.reason


@given(st.text(st.sampled_from("ab^$()[]{}?P<>:|*+\\d-,1=!"), max_size=20))
def test_any_text_is_judged(text: str) -> None:
    assert isinstance(parse_regex(text), Regex | BadRegex)
