"""The shape of branches; what they decide, `tests/integration/test_edge_rules.py` asks a real Envoy."""

from __future__ import annotations

from typing import Any

from envoy.leaves import divided
from envoy.match_branches import Ground, match_branch, together
from envoy.matchers import Entry
from envoy.standing import standing
from tests.envoy.edge_rig import NOW, cell
from tests.envoy.rule_documents import match_rule
from topology.model import CellState


def ground(*states: CellState) -> Ground:
    standings = {at: standing(cell(at, state), NOW) for at, state in enumerate(states, 1)}
    return Ground(standings, 30, frozenset({"users"}), divided("default", [(1, 1)], 30))


def branch(on: Ground, **fields: Any) -> list[Entry]:
    (entry,) = match_branch(match_rule(**fields), on)
    return list(entry.on_match.matcher.matcher_list.matchers)


def said(on: Ground) -> set[str]:
    action = {"classify": [{"type": "cell_id", "value": "${value}"}]}
    passed, ends = together([match_branch(match_rule(action=action), on)] * 2)
    assert len(passed) == 2
    trees = [passed[0].on_match, *([] if ends is None else [ends])]
    maps = [each.matcher.matcher_tree.exact_match_map.map for each in trees]
    return {key for each in maps for key in each}


def test_a_native_rule_leads_to_its_end() -> None:
    (end,) = branch(ground(*[CellState.ACTIVE] * 3))
    assert end.on_match.action.name == "a"


def test_a_cell_that_does_not_serve_is_counted_and_its_policy_followed() -> None:
    closed = ground(CellState.DRAINED)
    assert len(branch(closed)) == 1
    counted, policy = branch(closed, otherwise={"unknown": 503})
    assert counted.predicate.and_matcher.predicate[-1].single_predicate.custom_match.name == "ip"
    assert policy.on_match.action.name == "a"
    _, default = branch(closed, otherwise={"unknown": "default"})
    assert default.on_match.action.name == "default"


def test_keys_that_lua_reads_are_looked_up_in_a_map() -> None:
    many = ground(*[CellState.ACTIVE] * 500, CellState.DRAINED)
    outcomes = {"unknown", "undecided", "malformed", "ambiguous", "not_found"}
    assert said(many) == {f"a/1:{at}" for at in range(1, 501)} | outcomes


def test_without_a_cell_there_is_nothing_to_look_up() -> None:
    action = {"classify": [{"type": "cell_id", "value": "${value}"}]}
    _, ends = together([match_branch(match_rule(action=action), ground())])
    assert ends is None, "Envoy takes no empty map"
    assert "unknown" in said(ground())
    assert not any(":" in each for each in said(ground()))
