from __future__ import annotations

from envoy.steered import enable, mark, steered_filter
from pb.envoy.config.route.v3.route_components_pb2 import FilterConfig, Route, RouteAction


def test_each_cell_has_a_bucket_and_the_rest_none() -> None:
    found = steered_filter(50)
    (each_cell,) = found.descriptors
    assert [(entry.key, entry.value) for entry in each_cell.entries] == [("destination_cluster", "")]
    assert (each_cell.token_bucket.max_tokens, each_cell.token_bucket.tokens_per_fill.value) == (50, 50)
    assert found.token_bucket.max_tokens == 2**32 - 1
    assert not found.always_consume_default_token_bucket.value


def test_a_mark_names_the_cell() -> None:
    route = Route(route=RouteAction(cluster="cell-7"))
    mark(route)
    assert route.stat_prefix == "steered-cell-7"
    (limit,) = route.route.rate_limits
    assert limit.actions[0].HasField("destination_cluster")


def test_a_route_that_is_met_first_turns_the_limit_on() -> None:
    route, found = Route(), FilterConfig()
    enable(route)
    (config,) = route.typed_per_filter_config.values()
    assert config.Unpack(found)
    assert not found.disabled
