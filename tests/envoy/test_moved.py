"""Following owners that a cell refuses: nothing before somebody left, and a bounded size after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from envoy.edge import EdgeSettings, Lookups
from envoy.leaves import at_cell, divided
from envoy.moved import MOST_CHOICES, MOVED_FILTER, follow, followed, plugin_name, retries
from envoy.routes import RouteTable, route_table
from envoy.standing import Access, Standing, standing
from envoy.traffic import ORDINARY, Manners
from pb.envoy.config.route.v3.route_components_pb2 import Route
from pb.envoy.config.route.v3.route_pb2 import RouteConfiguration
from tests.envoy.edge_rig import NOW, cell
from tests.envoy.owners_rig import owner_rules
from topology.model import CellState, Endpoint

ASKING = EdgeSettings(lookups=Lookups(endpoints=(Endpoint(host="127.0.0.1", port=1),)))
RULES = owner_rules()
NOBODY: Mapping[int, frozenset[int]] = {}
REFRESH = bytes((14 << 3, 1))


def standings(count: int) -> dict[int, Standing]:
    found = {each: standing(cell(each), NOW) for each in range(1, count + 1)}
    return found | {99: standing(cell(99, CellState.PROVISIONING), NOW)}


def table(
    left: Mapping[int, frozenset[int]], previous: RouteTable | None = None, count: int = 3
) -> RouteTable:
    stand = previous.standings if previous else standings(count)
    return route_table(RULES, stand, ASKING, previous, left=left)


def choices(made: RouteTable) -> set[str]:
    message = RouteConfiguration.FromString(made.resource.body)
    return {each.extension.name for each in message.cluster_specifier_plugins}


def test_a_route_is_once_more_with_another_cluster() -> None:
    route = Route()
    route.route.cluster = "cell-3"
    follow(route)
    assert route.route.cluster_specifier_plugin == plugin_name("cell-3") == "owner.cell-3"
    assert list(route.typed_per_filter_config) == [MOVED_FILTER]
    assert not route.route.HasField("retry_policy"), "the virtual host says it for all"
    policy = retries(follow=True)
    assert policy.retry_on == retries().retry_on + ",retriable-headers"
    assert [each.name for each in policy.retriable_headers] == ["x-cellplane-owner"]
    assert REFRESH in policy.SerializeToString()
    assert route.ByteSize() < 190


def test_who_left_a_cell_is_refused_by_all_but_the_one_where_they_are() -> None:
    assert followed({1: frozenset({2})}, standings(3)) == {1: {2}, 3: {2}}
    assert followed({1: frozenset({2}), 2: frozenset({3})}, standings(3)) == {1: {2, 3}, 2: {3}, 3: {2}}
    assert followed({}, standings(3)) == {}
    assert followed({1: frozenset({99, 100})}, standings(3)) == {}, "to no cell that does not serve"


def test_where_that_is_too_much_a_cells_own_are_followed() -> None:
    stand = standings(400)
    left = {1: frozenset(range(2, 60)), 7: frozenset({1})}
    assert len(stand) * 59 > MOST_CHOICES
    assert followed(left, stand) == left


def test_it_comes_with_the_first_who_leaves_and_costs_cells_nothing_before() -> None:
    none = table(NOBODY)
    assert not choices(none)
    assert b"retriable-headers" not in none.resource.body
    some = table({1: frozenset({2})}, none)
    assert choices(some) == {"owner.cell-1", "owner.cell-3"}
    assert table(some.left, some) is some
    same = table({1: frozenset({2})}, some)
    assert same.resource is some.resource
    more = table({1: frozenset({2}), 2: frozenset({3})}, some)
    assert choices(more) == {"owner.cell-1", "owner.cell-2", "owner.cell-3"}
    assert table({}, more).resource.version == none.resource.version


def test_another_target_is_told_with_the_rest_of_the_table_as_it_was() -> None:
    first, second = {1: frozenset({2}), 2: frozenset({3})}, {1: frozenset({2, 4}), 2: frozenset({3})}
    some = table(first, count=5)
    more = table(second, some)
    assert more.host is some.host
    assert some.follows[1] == {2, 3}
    assert more.follows[1] == {2, 3, 4}
    assert more.resource.version != some.resource.version
    assert more.resource.version == table(second, count=5).resource.version


def test_a_cell_that_is_left_too_makes_anew_only_rules_that_ask() -> None:
    some = table({1: frozenset({2})}, count=4)
    more = table({1: frozenset({2}), 3: frozenset({2})}, some)
    assert more.resource.version == table(more.left, count=4).resource.version != some.resource.version
    anew = {
        rule.name
        for rule in RULES.rules
        if more.branches[ORDINARY, True][rule] is not some.branches[ORDINARY, True][rule]
    }
    assert anew == {"path"}


def test_choices_stay_with_new_generations_and_are_none_without_lookups() -> None:
    some = table({1: frozenset({2})})
    risen = route_table(RULES, some.standings, ASKING, some, {3: 9}, some.left)
    assert choices(risen) == choices(some)
    without = route_table(RULES, some.standings, replace(ASKING, lookups=None), None, left=some.left)
    assert not choices(without)


def test_traffic_that_is_never_repeated_follows_nobody() -> None:
    streams = Manners(timeout_seconds=0, idle_seconds=0, retries=False)
    assert at_cell("path", 1, Access.OPEN, 30, streams, follows=True) == at_cell(
        "path", 1, Access.OPEN, 30, streams
    )


def test_unowned_traffic_is_divided_one_by_one_where_somebody_is_followed() -> None:
    end = divided("default", [(1, 1), (2, 1)], 30, follows={1})
    (entry,) = end.matcher.matcher_list.matchers
    ends = [
        Route.FromString(each.action.typed_config.value) for each in (end.matcher.on_no_match, entry.on_match)
    ]
    assert {each.route.cluster_specifier_plugin or each.route.cluster for each in ends} == {
        "owner.cell-1",
        "cell-2",
    }
