from __future__ import annotations

from ipaddress import ip_network

from envoy.decision import Decision, Outcome
from envoy.match_rules import Skip
from envoy.plain_rules import at_cell, by_default, by_path, by_session, overridden
from envoy.request import Request
from envoy.ruleset import OverrideRule, PathPrefixRule, SessionCookieRule
from envoy.standing import Access, standing
from tests.envoy.edge_rig import NOW, cell
from topology.model import CellState

STATES = {1: CellState.ACTIVE, 2: CellState.PROVISIONING, 3: CellState.QUARANTINED}
STANDINGS = {at: standing(cell(at, state), NOW) for at, state in STATES.items()}
ONE = Decision(outcome=Outcome.ROUTED, cell=1, cluster="cell-1")


def test_an_override_is_heard_from_its_networks() -> None:
    rule = OverrideRule(name="o", header="x-to", networks=(ip_network("10.0.0.0/8"),), identities=("alice",))

    def asked(to: str, **fields: object) -> Decision | Skip | None:
        return overridden(rule, STANDINGS, Request(headers=(("x-to", to),), **fields))  # type: ignore[arg-type]

    assert overridden(rule, STANDINGS, Request()) is None
    assert asked("cell-1", peer="::ffff:10.1.1.1") == asked("cell-1", identities=("alice",)) == ONE
    assert asked("cell-1", peer="11.1.1.1") is asked("cell-1") is Skip.REFUSED
    assert asked("cell-9", peer="10.1.1.1") is Skip.UNKNOWN
    provisioning = asked("cell-2", peer="10.1.1.1")
    assert isinstance(provisioning, Decision)
    assert provisioning.outcome is Outcome.ROUTED


def test_the_longest_prefix_and_the_only_session_decide() -> None:
    rule = PathPrefixRule(name="p", prefixes={"/a": 2, "/a/b": 1, "/c": 9})
    assert by_path(rule, STANDINGS, "/a/b/c") == ONE
    assert by_path(rule, STANDINGS, "/a/x") is by_path(rule, STANDINGS, "/c") is Skip.UNKNOWN
    assert by_path(rule, STANDINGS, "/ab") is None
    session = SessionCookieRule(name="s", cookie="c")

    def held(*values: str) -> Decision | Skip | None:
        return by_session(
            session, STANDINGS, Request(headers=tuple(("cookie", f"c={each}") for each in values))
        )

    assert held("cell-1-x") == ONE
    assert held("cell-1x") is held("cell-2-x") is Skip.UNKNOWN
    assert held("cell-1-x", "cell-1-y") is Skip.AMBIGUOUS
    assert held() is None


def test_what_nobody_owns_is_divided() -> None:
    assert by_default(STANDINGS) == Decision(
        outcome=Outcome.ROUTED, cell=1, candidates=((1, 100),), cluster="cell-1"
    )
    assert by_default({}) == Decision(outcome=Outcome.NO_CELL)
    assert at_cell(3, Access.QUARANTINED) == Decision(outcome=Outcome.QUARANTINED, cell=3)
    assert at_cell(3, Access.CLOSED) is Skip.UNKNOWN
