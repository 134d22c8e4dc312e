"""The shape of branches; what they decide, `tests/integration/test_edge.py` asks a real Envoy."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

from envoy.branches import branch, counted_once
from envoy.match_rules import Skip
from envoy.matchers import Entry, OnMatch
from envoy.ruleset import DefaultRule, OverrideRule, PathPrefixRule, SessionCookieRule
from envoy.standing import Standing, standing
from pb.envoy.extensions.matching.input_matchers.ip.v3.ip_pb2 import Ip
from tests.envoy.edge_rig import NOW, cell
from topology.model import CellState

OVERRIDE = OverrideRule(name="override", header="x-to", networks=(ip_network("10.0.0.0/8"),))
SESSION = SessionCookieRule(name="session", cookie="s")


def standings(*states: CellState) -> dict[int, Standing]:
    return {at: standing(cell(at, state), NOW) for at, state in enumerate(states, 1)}


def inside(entry: Entry) -> list[Entry]:
    return list(entry.on_match.matcher.matcher_list.matchers)


def exact_keys(entry: Entry) -> set[str]:
    return set(entry.on_match.matcher.matcher_tree.exact_match_map.map)


def prefixes(entry: Entry) -> Mapping[str, OnMatch]:
    return entry.on_match.matcher.on_no_match.matcher.matcher_tree.prefix_match_map.map


def test_an_override_reaches_every_cell_with_a_cluster() -> None:
    (entry,) = branch(OVERRIDE, standings(*CellState), 30)
    named, unknown, refused = inside(entry)
    closed = {at for at, state in enumerate(CellState, 1) if state in ("DRAINED", "DECOMMISSIONED")}
    assert exact_keys(named) == {f"cell-{at}" for at in range(1, 9) if at not in closed}
    assert unknown.on_match.matcher.ByteSize() == refused.on_match.matcher.ByteSize() == 0


def test_an_override_without_cells_only_counts() -> None:
    (entry,) = branch(OVERRIDE, {}, 30)
    assert len(inside(entry)) == 2


def test_paths_are_looked_up_in_maps_whatever_their_number() -> None:
    rule = PathPrefixRule(name="path", prefixes={f"/group-{each}": 1 for each in range(500)})
    (found,) = branch(rule, standings(CellState.ACTIVE), 30)
    assert len(exact_keys(found)) == 500
    keys = set(prefixes(found))
    assert keys == {f"/group-{each}{mark}" for each in range(500) for mark in "/?"}


def test_paths_of_closed_cells_are_counted_by_their_outermost_prefix() -> None:
    rule = PathPrefixRule(name="path", prefixes={"/a": 1, "/a/x": 9, "/b": 9, "/b/y": 9})
    live, dead = branch(rule, standings(CellState.ACTIVE), 30)
    assert exact_keys(live) == {"/a"}
    assert exact_keys(dead) == {"/a/x", "/b"}
    assert set(prefixes(dead)) == {"/a/x/", "/a/x?", "/b/", "/b?"}
    (guarded,) = prefixes(live)["/a/"].matcher.matcher_list.matchers
    excluded = guarded.predicate.not_matcher.single_predicate.value_match.safe_regex.regex
    assert excluded == r"(?:/a/x)(?:[/?]\C*)?"


def test_no_paths_make_no_entries() -> None:
    assert branch(PathPrefixRule(name="path", prefixes={}), standings(CellState.ACTIVE), 30) == ()


def test_sessions_are_looked_at_only_where_the_cookie_may_be() -> None:
    (entry,) = branch(SESSION, standings(CellState.ACTIVE, CellState.PROVISIONING), 30)
    assert entry.predicate.single_predicate.value_match.contains == "s="
    assert len(inside(entry)) == 3
    (alone,) = branch(SESSION, standings(CellState.PROVISIONING), 30)
    assert len(inside(alone)) == 2


def test_the_default_is_what_is_left() -> None:
    assert branch(DefaultRule(name="default"), standings(CellState.ACTIVE), 30) == ()


def test_what_is_passed_over_is_counted_by_rule_and_reason_but_not_again_when_owners_were_asked() -> None:
    first, counter = counted_once("override", Skip.REFUSED).and_matcher.predicate
    state = first.not_matcher.single_predicate
    assert state.input.name == "cellplane.passed.override"
    message = Ip()
    assert counter.single_predicate.custom_match.typed_config.Unpack(message)
    assert message.stat_prefix == "cellplane.rule.override.refused"
