"""Following owners that a cell refuses: from cells that were left alone, at a size that grows with cells."""

from __future__ import annotations

from dataclasses import replace

from envoy.edge import EdgeSettings, Lookups
from envoy.moved import MOVED_FILTER, follow, plugin_name, plugins, retries
from envoy.routes import RouteTable, route_table
from envoy.standing import Standing, standing
from pb.envoy.config.route.v3.route_components_pb2 import Route
from pb.envoy.config.route.v3.route_pb2 import RouteConfiguration
from tests.envoy.edge_rig import NOW, cell
from tests.envoy.owners_rig import owner_rules
from topology.model import CellState, Endpoint

ASKING = EdgeSettings(lookups=Lookups(endpoints=(Endpoint(host="127.0.0.1", port=1),)))
RULES = owner_rules()
REFRESH = bytes((14 << 3, 1))


def standings(count: int) -> dict[int, Standing]:
    found = {each: standing(cell(each), NOW) for each in range(1, count + 1)}
    return found | {99: standing(cell(99, CellState.PROVISIONING), NOW)}


def table(left: frozenset[int], previous: RouteTable | None = None, count: int = 3) -> RouteTable:
    stand = previous.standings if previous else standings(count)
    return route_table(RULES, stand, ASKING, previous, left=left)


def test_a_route_that_may_be_repeated_is_once_more_with_another_cluster() -> None:
    route = Route()
    follow(route, "path", 1, replay=True)
    assert route.route.cluster_specifier_plugin == plugin_name("path", 1) == "owner.path.1"
    policy = route.route.retry_policy
    assert policy.retry_on == retries().retry_on + ",retriable-headers"
    assert [each.name for each in policy.retriable_headers] == ["x-cellplane-owner"]
    assert REFRESH in policy.SerializeToString()
    assert list(route.typed_per_filter_config) == [MOVED_FILTER]


def test_a_stream_is_never_repeated() -> None:
    route = Route()
    follow(route, "path", 1, replay=False)
    assert not route.route.HasField("retry_policy")
    assert not route.typed_per_filter_config


def test_only_cells_that_were_left_are_followed_from() -> None:
    none = table(frozenset())
    assert b"owner.path.1" not in none.resource.body
    some = table(frozenset({1}), none)
    assert some.resource.version != none.resource.version
    message = RouteConfiguration.FromString(some.resource.body)
    assert {each.extension.name for each in message.cluster_specifier_plugins} == {
        "owner.path.1",
        "owner.path.2",
    }
    assert table(frozenset({1}), some) is some
    risen = route_table(RULES, some.standings, ASKING, some, {3: 9}, frozenset({1}))
    assert RouteConfiguration.FromString(risen.resource.body).cluster_specifier_plugins
    without = route_table(RULES, some.standings, replace(ASKING, lookups=None), None, left=frozenset({1}))
    assert not RouteConfiguration.FromString(without.resource.body).cluster_specifier_plugins


def test_choices_grow_with_cells_and_lead_to_none_that_does_not_serve() -> None:
    few, many = plugins(RULES, standings(10)), plugins(RULES, standings(20))
    assert len(many) < 2.2 * len(few)
    assert b"cell-10" in few
    assert b"cell-99" not in few
