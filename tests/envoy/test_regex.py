"""Trees: what can be empty."""

from __future__ import annotations

import pytest

from envoy.regex import Choice, Group, Node, One, Repeat, Sequence, can_be_empty, literal, sure_names

A = One(frozenset("a"))


@pytest.mark.parametrize(
    ("node", "empty"),
    [
        (A, False),
        (literal(""), True),
        (literal("ab"), False),
        (Sequence((Repeat(A, 0, 1, True), Repeat(A, 0, None, True))), True),
        (Sequence((Repeat(A, 0, 1, True), A)), False),
        (Choice((A, literal(""))), True),
        (Choice((A, A)), False),
        (Repeat(A, 1, None, True), False),
        (Group("x", Repeat(A, 0, 3, False)), True),
    ],
)
def test_what_can_be_empty(node: Node, empty: bool) -> None:
    assert can_be_empty(node) is empty


@pytest.mark.parametrize(
    ("node", "names"),
    [
        (A, ()),
        (Group("x", Sequence((Group("y", A), A))), ("x", "y")),
        (Repeat(Group("x", A), 0, 1, True), ()),
        (Repeat(Group("x", A), 1, None, True), ("x",)),
        (Choice((Group("x", A), Group("y", A))), ()),
    ],
)
def test_which_groups_always_take_part(node: Node, names: tuple[str, ...]) -> None:
    assert sure_names(node) == names
