"""Where a request meets each rule; what comes of it, real Envoys say in tests/integration."""

from __future__ import annotations

from envoy.matchers import NOWHERE, PATH, Entry, Matcher, OnMatch, entry, present
from envoy.pending import PASSED, READ, UNREAD, needs_lua
from envoy.ruleset import Rule
from envoy.ways import Branches, Way
from tests.envoy.owners_rig import owner_rules
from tests.envoy.rule_documents import match_rule

ENTRY = entry(present(PATH), NOWHERE)
ENDS = Entry()
ENDS.on_match.matcher.matcher_tree.exact_match_map.map["owner/1:1"].CopyFrom(NOWHERE)
RULES = owner_rules()


def filled(*, apart: bool) -> list[tuple[str, int]]:
    """Give who looks at each part of the table, and how many entries it has."""
    parts: Branches = {rule: (ENTRY, ENDS) if needs_lua(rule) else (ENTRY,) for rule in RULES.rules}
    matcher = Matcher()
    Way(parts, OnMatch(), dict(parts) if apart else parts, OnMatch()).fill(matcher, (ENTRY,))
    names = {
        READ.SerializeToString(): "read",
        UNREAD.SerializeToString(): "unread",
    }
    return [
        (
            names.get(each.predicate.SerializeToString(), "all"),
            len(each.on_match.matcher.matcher_list.matchers),
        )
        for each in matcher.matcher_list.matchers
    ]


def test_rules_before_the_first_that_needs_lua_are_for_the_unread_and_others_for_all() -> None:
    assert filled(apart=False) == [("unread", 2), ("read", 1), ("all", 0), ("all", 0)]


def test_behind_the_look_at_lua_come_what_was_passed_over_and_the_ends_of_all() -> None:
    parts: Branches = {rule: (ENTRY, ENDS) if needs_lua(rule) else (ENTRY,) for rule in RULES.rules}
    matcher = Matcher()
    Way(parts, OnMatch(), parts, OnMatch()).fill(matcher, (ENTRY,))
    read = matcher.matcher_list.matchers[1].on_match.matcher
    (passed,) = read.matcher_list.matchers
    assert (passed.predicate, list(passed.on_match.matcher.matcher_list.matchers)) == (PASSED, [ENTRY])
    assert list(read.on_no_match.matcher.matcher_tree.exact_match_map.map) == ["owner/1:1"]


def test_where_somebody_is_followed_the_read_have_parts_of_their_own() -> None:
    assert filled(apart=True) == [
        ("unread", 2),
        ("read", 1),
        ("unread", 2),
        ("read", 2),
        ("read", 1),
    ]


def test_without_lua_there_is_one_list() -> None:
    rule: Rule = match_rule()
    matcher = Matcher()
    parts: Branches = {rule: (ENTRY, ENTRY)}
    Way(parts, OnMatch(), parts, OnMatch()).fill(matcher, ())
    assert list(matcher.matcher_list.matchers) == [ENTRY, ENTRY]
