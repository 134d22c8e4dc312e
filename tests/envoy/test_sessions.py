"""The shape of the tree; that it finds the right cell, `tests/integration/test_edge.py` asks a real Envoy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from envoy import sessions
from envoy.leaves import at_cell
from envoy.matchers import OnMatch, Predicate
from envoy.standing import Access


def regex(predicate: Predicate) -> re.Pattern[str]:
    """Take the expression out, and write RE2's "any byte" as Python has it."""
    text = predicate.single_predicate.value_match.safe_regex.regex
    return re.compile(text.replace(r"\C", "."), re.DOTALL)


def leaves(*prefixes: str) -> dict[str, OnMatch]:
    return {f"{prefix}-": at_cell("session", at, Access.OPEN, 30) for at, prefix in enumerate(prefixes, 1)}


def lists(end: OnMatch) -> Iterator[int]:
    """Give the length of every list on the way, depth first."""
    if end.HasField("matcher"):
        entries = end.matcher.matcher_list.matchers
        yield len(entries)
        for each in entries:
            yield from lists(each.on_match)


def depth(end: OnMatch) -> int:
    if not end.HasField("matcher"):
        return 0
    return 1 + max(depth(each.on_match) for each in end.matcher.matcher_list.matchers)


@pytest.mark.parametrize(
    ("cookies", "times"),
    [
        ("a=b", 0),
        ("s=1", 1),
        ("a=b; s=1", 1),
        ("a=b,s=1", 1),
        ("a=b;\ts=", 1),
        ("xs=1", 0),
        ("a=s=1", 0),
        ("s=1; s=2", 2),
        ("s=1,a=b;s=2", 2),
        ("s=1; xs=2", 1),
    ],
)
def test_a_cookie_is_counted_by_its_name(cookies: str, times: int) -> None:
    assert bool(regex(sessions.once("s")).fullmatch(cookies)) is (times >= 1)
    assert bool(regex(sessions.twice("s")).fullmatch(cookies)) is (times >= 2)


def test_one_cell_needs_no_branching() -> None:
    tree = sessions.session_tree("s", leaves("cell-1"))
    (only,) = tree.matcher.matcher_list.matchers
    found, certain = only.predicate.and_matcher.predicate
    assert found.single_predicate.value_match.contains == "s=cell-1-"
    assert regex(certain).fullmatch("a=b; s=cell-1-x")
    assert not regex(certain).fullmatch("a=b; xs=cell-1-x")
    assert only.on_match == leaves("cell-1")["cell-1-"]


def test_a_thousand_cells_take_few_steps() -> None:
    tree = sessions.session_tree("s", leaves(*(f"cell-{each}" for each in range(1, 1001))))
    assert max(lists(tree)) <= 11
    assert depth(tree) <= 5


def test_prefixes_that_nest_deeply_stay_within_what_envoy_reads() -> None:
    tree = sessions.session_tree("s", leaves(*("a" * length for length in range(1, 65))))
    assert depth(tree) <= sessions.MAX_DEPTH
    assert sum(1 for _ in ends(tree)) == 64


def ends(end: OnMatch) -> Iterator[OnMatch]:
    if end.HasField("matcher"):
        for each in end.matcher.matcher_list.matchers:
            yield from ends(each.on_match)
    else:
        yield end


def test_a_prefix_that_starts_another_is_no_tree() -> None:
    with pytest.raises(AssertionError, match="is the start of"):
        sessions.session_tree("s", {"cell-": OnMatch(), "cell-1-": OnMatch()})
