from __future__ import annotations

from dataclasses import replace

from envoy.edge import EdgeSettings, Lookups
from envoy.routes import RouteTable, route_table
from envoy.rules import DEFAULT_RULESET
from envoy.standing import Standing, standing
from envoy.traffic import ORDINARY
from pb.envoy.config.route.v3.route_pb2 import RouteConfiguration
from tests.envoy import match_table, request_table
from tests.envoy.edge_rig import NOW, cell
from topology.model import Cell, CellState, Endpoint
from xds.resource import CLUSTER

SETTINGS = EdgeSettings()


def standings(*cells: Cell) -> dict[int, Standing]:
    return {each.id: standing(each, NOW) for each in cells}


def table(*cells: Cell, previous: RouteTable | None = None) -> RouteTable:
    return route_table(DEFAULT_RULESET, standings(*cells), SETTINGS, previous)


def read(made: RouteTable) -> RouteConfiguration:
    return RouteConfiguration.FromString(made.resource.body)


def test_the_list_is_as_long_as_the_rules_and_not_as_the_cells() -> None:
    few = read(table(cell(1), cell(2)))
    many = read(table(*(cell(each) for each in range(1, 301))))
    for made in (few, many):
        (host,) = made.virtual_hosts
        assert not host.routes
        ways = host.matcher.matcher_list.matchers
        # streams and polls have the same rules once more; override and session: the built-in paths are none
        assert len(ways) == 2 + 2
        assert [len(each.on_match.matcher.matcher_list.matchers) for each in ways[:2]] == [2, 2]


def test_headers_are_said_once_and_overwritten() -> None:
    (host,) = read(table(cell(1))).virtual_hosts
    asked = {each.header.key: each.header.value for each in host.request_headers_to_add}
    assert asked == {"x-cellplane-cell": "%UPSTREAM_CLUSTER%", "x-cellplane-rule": "%ROUTE_NAME%"}
    assert {each.append_action for each in (*host.request_headers_to_add, *host.response_headers_to_add)} == {
        2
    }
    assert list(host.request_headers_to_remove) == [
        "x-cellplane-override",
        "x-cellplane-identity",
    ]


def test_only_what_no_cell_can_have_seen_is_retried() -> None:
    (host,) = read(table(cell(1))).virtual_hosts
    assert host.retry_policy.retry_on == "connect-failure,refused-stream,reset-before-request"


def test_references_are_the_clusters_that_it_names() -> None:
    made = table(
        cell(1), cell(2, CellState.QUARANTINED), cell(3, CellState.PROVISIONING), cell(4, CellState.DRAINED)
    )
    assert made.resource.references == {(CLUSTER, "cell-1"), (CLUSTER, "cell-3")}


def test_the_same_input_gives_the_same_object() -> None:
    first = table(cell(1), cell(2))
    assert table(cell(1), cell(2), previous=first).resource is first.resource
    assert table(cell(1), cell(2)).resource.version == first.resource.version


def test_a_weight_makes_a_new_default_and_no_new_branches() -> None:
    first = table(cell(1), cell(2))
    after = table(cell(1, weight=7), cell(2), previous=first)
    assert after.resource.version != first.resource.version
    assert all(
        after.branches[ORDINARY, False][rule] is first.branches[ORDINARY, False][rule]
        for rule in DEFAULT_RULESET.rules
    )
    assert table(cell(1), cell(2), previous=after).resource.version == first.resource.version


def test_a_state_or_a_prefix_makes_new_branches() -> None:
    first = table(cell(1), cell(2))
    for changed in (cell(2, CellState.QUARANTINED), cell(2, session_prefix="eu")):
        assert table(cell(1), changed, previous=first).resource.version != first.resource.version


def test_rules_and_settings_make_a_new_table() -> None:
    first = table(cell(1), cell(2, CellState.QUARANTINED))
    stands = first.standings
    assert (
        route_table(request_table.ruleset(), stands, SETTINGS, first).resource.version
        != first.resource.version
    )
    patient = replace(SETTINGS, retry_after_seconds=60)
    assert route_table(DEFAULT_RULESET, stands, patient, first).resource.version != first.resource.version
    assert route_table(DEFAULT_RULESET, stands, SETTINGS, first) is first


def test_a_policy_that_leads_to_the_default_follows_its_weights() -> None:
    ruleset = match_table.ruleset()
    rules = {rule.name: rule for rule in ruleset.rules}
    first = route_table(ruleset, standings(cell(1), cell(2)), SETTINGS, None)
    after = route_table(ruleset, standings(cell(1, weight=7), cell(2)), SETTINGS, first)
    for manners in first.branches:
        assert after.branches[manners][rules["private"]] is first.branches[manners][rules["private"]]
        assert after.branches[manners][rules["runner"]] != first.branches[manners][rules["runner"]]
    assert after.pending is first.pending


def test_reserved_words_make_new_branches() -> None:
    ruleset = match_table.ruleset()
    first = route_table(ruleset, standings(cell(1)), SETTINGS, None)
    more = replace(ruleset, reserved=ruleset.reserved | {"more"})
    assert route_table(more, standings(cell(1)), SETTINGS, first).resource.version != first.resource.version


ASKING = replace(SETTINGS, lookups=Lookups(endpoints=(Endpoint(host="10.0.0.5", port=1),)))


def test_generations_are_said_by_the_virtual_host_and_change_nothing_else() -> None:
    stand = standings(cell(1), cell(2))
    before = route_table(DEFAULT_RULESET, stand, ASKING, None)
    after = route_table(DEFAULT_RULESET, stand, ASKING, before, {17: 12_345_678_901, 3: 9})
    (host,) = read(after).virtual_hosts
    assert host.metadata.filter_metadata["cellplane.keys"]["moved"] == "17 12345678901 3 9"
    assert after.branches is before.branches
    assert after.resource.references == before.resource.references
    host.ClearField("metadata")
    assert [host] == list(read(before).virtual_hosts)
    again = route_table(DEFAULT_RULESET, stand, ASKING, after, {3: 9, 17: 12_345_678_901})
    assert again is after
    fresh = route_table(DEFAULT_RULESET, stand, ASKING, None, {3: 9, 17: 12_345_678_901})
    assert fresh.resource.version == after.resource.version, "the same on every replica"


def test_where_nobody_asks_for_owners_generations_say_nothing() -> None:
    stand = standings(cell(1))
    before = route_table(DEFAULT_RULESET, stand, SETTINGS, None)
    assert route_table(DEFAULT_RULESET, stand, SETTINGS, before, {17: 9}) is before
