"""Which predicates conditions become; what they match, `test_edge_rules` asks a real Envoy."""

from __future__ import annotations

from typing import Any

from envoy.conditions import holds, may_match
from envoy.matchers import Predicate
from tests.envoy.rule_documents import match_rule


def asked(**condition: Any) -> Predicate:
    (each,) = match_rule(match=[condition]).conditions
    return holds(each, frozenset({"users"}))


def test_one_whole_text_is_compared() -> None:
    assert asked(type="method", values=["POST"]).single_predicate.value_match.exact == "POST"
    assert asked(type="method", values=["POST", "PUT"]).single_predicate.value_match.HasField("safe_regex")


def test_first_characters_come_before_a_regular_expression() -> None:
    first, whole = asked(type="path", template="/api/:version").and_matcher.predicate
    assert first.single_predicate.value_match.prefix == "/api/"
    assert whole.single_predicate.value_match.HasField("safe_regex")


def test_reserved_words_are_left_to_the_application() -> None:
    word, path = asked(type="path", template="/:namespace/*").and_matcher.predicate
    assert path.single_predicate.value_match.HasField("safe_regex")
    assert "users" in word.not_matcher.single_predicate.value_match.safe_regex.regex


def test_cookies_are_looked_for_and_not_read() -> None:
    rule = match_rule(match=[{"type": "cookie", "name": "_session", "as": "value"}])
    assert may_match(rule, frozenset()).single_predicate.value_match.contains == "_session="
