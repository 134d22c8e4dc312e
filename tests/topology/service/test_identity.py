"""Who calls, and whether they may."""

from __future__ import annotations

import pytest

from topology.service.identity import Caller, Names, Role, Rule, caller_of, may

CELL, OTHER = Caller(Role.CELL, "CELL-4", 4), Caller(Role.CELL, "CELL-5", 5)
ROUTER, ADMIN = Caller(Role.ROUTER, "ROUTER"), Caller(Role.ADMIN, "ADMIN")
UNKNOWN, UNVERIFIED = Caller(Role.UNKNOWN, "eve"), Caller(Role.UNVERIFIED, "ada")


@pytest.mark.parametrize(
    ("name", "role", "cell_id"),
    [
        ("CELL-4", Role.CELL, 4),
        ("cell-4", Role.CELL, 4),
        ("CELL-2147483647", Role.CELL, 2**31 - 1),
        ("CELL-2147483648", Role.UNKNOWN, 0),
        ("CELL-04", Role.UNKNOWN, 0),
        ("CELL-0", Role.UNKNOWN, 0),
        ("XCELL-4", Role.UNKNOWN, 0),
        ("CELL-4\n", Role.UNKNOWN, 0),
        ("CELL-4 ", Role.UNKNOWN, 0),
        ("ROUTER", Role.ROUTER, 0),
        ("router-eu.west_1", Role.ROUTER, 0),
        ("routers", Role.UNKNOWN, 0),
        ("ADMIN", Role.ADMIN, 0),
        ("admin-ada", Role.ADMIN, 0),
        ("administrator", Role.UNKNOWN, 0),
        ("", Role.UNKNOWN, 0),
    ],
)
def test_a_role_is_read_from_a_common_name(name: str, role: Role, cell_id: int) -> None:
    assert caller_of(name) == Caller(role, name, cell_id)


def test_further_names_are_taken_as_they_are() -> None:
    names = Names(routers=frozenset({"edge.example.com"}), admins=frozenset({"ops.example.com"}))
    assert caller_of("edge.example.com", names).role is Role.ROUTER
    assert caller_of("ops.example.com", names).role is Role.ADMIN
    assert caller_of("Ops.example.com", names).role is Role.UNKNOWN


@pytest.mark.parametrize(
    ("rule", "let_in"),
    [
        (Rule.ANY_AUTHENTICATED, {CELL, OTHER, ROUTER, ADMIN, UNKNOWN}),
        (Rule.ANY_CELL, {CELL, OTHER}),
        (Rule.MATCHING_CELL_ONLY, {CELL}),
        (Rule.ANY_ROUTER, {ROUTER}),
        (Rule.ANY_ADMIN, {ADMIN}),
    ],
)
def test_each_rule_lets_in_whom_it_names(rule: Rule, let_in: set[Caller]) -> None:
    callers = {CELL, OTHER, ROUTER, ADMIN, UNKNOWN}
    assert {caller for caller in callers if may(caller, [rule], 4)} == let_in


def test_one_rule_of_several_is_enough() -> None:
    rules = [Rule.MATCHING_CELL_ONLY, Rule.ANY_ADMIN]
    assert [may(caller, rules, 4) for caller in (CELL, OTHER, ROUTER, ADMIN)] == [True, False, False, True]


@pytest.mark.parametrize("rules", [[], [0], [99]])
def test_no_rule_and_unknown_rules_let_nobody_in(rules: list[int]) -> None:
    assert not any(may(caller, rules, 4) for caller in (CELL, ROUTER, ADMIN, UNKNOWN))


def test_a_request_without_a_cell_matches_no_cell() -> None:
    assert not may(CELL, [Rule.MATCHING_CELL_ONLY], None)


def test_where_nobody_is_verified_rules_cannot_be_applied() -> None:
    assert may(UNVERIFIED, [Rule.ANY_ADMIN], None)
