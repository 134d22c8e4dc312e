"""What a rule's conditions ask of a request, as predicates of Envoy's matchers.

Cheap questions come first: a whole text is compared, and what begins otherwise never meets a regular
expression. `match_branches`, `pending` and `traffic_routes` ask for them. `View -> Snapshot`.
"""

from __future__ import annotations

from envoy import matchers
from envoy.match_rules import Condition, MatchRule, Part
from envoy.matchers import PATH, Predicate, all_of, negated, quoted
from envoy.re2_text import header_text, path_text
from envoy.regex import Regex
from envoy.regex_compiler import literal_start, whole_text

_PSEUDO = {Part.METHOD: ":method", Part.HOST: ":authority"}


def may_match(rule: MatchRule, reserved: frozenset[str]) -> Predicate:
    """Match at least the requests that the rule matches: those that are worth reading."""
    return all_of(*(_may_hold(each, reserved) for each in rule.conditions))


def holds(condition: Condition, reserved: frozenset[str]) -> Predicate:
    """Match if the condition holds; it is of no cookie and no query."""
    regex = condition.regex
    if condition.part is Part.PATH:
        if regex is None:
            raise AssertionError("a path is always there, so a condition asks something of it")
        found = _matches(PATH, regex, path_text(regex))
        # Pages of the application's own are many requests, and they are told apart first.
        return all_of(negated(_reserved(reserved)), found) if condition.unreserved else found
    value = matchers.header(_PSEUDO.get(condition.part, condition.name))
    if regex is None:
        found = matchers.present(value)
    elif (text := whole_text(regex)) is not None:
        found = matchers.equals(value, text)
    else:
        found = _matches(value, regex, header_text(regex))
    return negated(found) if condition.inverse else found


def _matches(value: matchers.Input, regex: Regex, text: str) -> Predicate:
    """Match, but leave what begins otherwise at its first characters: most requests do."""
    found = matchers.matches(value, text)
    start = literal_start(regex)
    return all_of(matchers.starts(value, start), found) if len(start) > 1 else found


def _may_hold(condition: Condition, reserved: frozenset[str]) -> Predicate:
    match condition.part:
        case Part.COOKIE:
            return matchers.contains(matchers.header("cookie"), f"{condition.name}=")
        case Part.QUERY:
            return matchers.contains(PATH, condition.name)
        case _:
            return holds(condition, reserved)


def _reserved(words: frozenset[str]) -> Predicate:
    """Match paths whose first segment is a page of the application's own, with a format or without."""
    names = "|".join(quoted(word) for word in sorted(words))
    below, format_, query = r"/[\x00-\x3e\x40-\x7f]*", r"\.[^./?]*/?", r"(?:\?\C*)?"
    return matchers.matches(PATH, rf"/(?:{names})(?:{below}|{format_})?{query}")
