"""The filters and the route that ask for owners; that Envoy does so, `tests/integration` proves."""

from __future__ import annotations

from envoy.asking import LEARN_FILTER, OWNERS_FILTER, asking, enable, ext_proc_filter, place_of_ext_proc
from envoy.edge import Lookups
from pb.envoy.config.route.v3.route_components_pb2 import Route
from pb.envoy.extensions.common.matching.v3.extension_matcher_pb2 import ExtensionWithMatcherPerRoute
from pb.envoy.extensions.filters.http.composite.v3.composite_pb2 import Composite, ExecuteFilterAction
from pb.envoy.extensions.filters.http.ext_proc.v3.ext_proc_pb2 import ExternalProcessor
from pb.envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from pb.envoy.extensions.filters.http.lua.v3.lua_pb2 import LuaPerRoute
from pb.xds.type.matcher.v3.matcher_pb2 import Matcher
from topology.model import Endpoint

LOOKUPS = Lookups(endpoints=(Endpoint(host="10.0.0.5", port=18010),))
HEADERS_ALONE = ProcessingMode(
    request_header_mode=ProcessingMode.SEND,
    response_header_mode=ProcessingMode.SKIP,
    request_body_mode=ProcessingMode.NONE,
    response_body_mode=ProcessingMode.NONE,
    request_trailer_mode=ProcessingMode.SKIP,
    response_trailer_mode=ProcessingMode.SKIP,
)


def per_route(route: Route) -> tuple[Matcher, LuaPerRoute]:
    place, learn = ExtensionWithMatcherPerRoute(), LuaPerRoute()
    assert route.typed_per_filter_config[OWNERS_FILTER].Unpack(place)
    assert route.typed_per_filter_config[LEARN_FILTER].Unpack(learn)
    return place.xds_matcher, learn


def test_the_filter_sends_headers_alone_and_may_change_nothing() -> None:
    made = ext_proc_filter(LOOKUPS)
    assert made.processing_mode == HEADERS_ALONE
    assert made.message_timeout.nanos < 50_000_000
    assert made.failure_mode_allow
    assert made.mutation_rules.disallow_all.value
    assert made.disable_immediate_response
    assert [each.exact for each in made.forward_rules.allowed_headers.patterns] == ["x-request-id"]


def test_the_listener_has_a_place_for_it_that_is_empty() -> None:
    made = place_of_ext_proc()
    assert made.xds_matcher == Matcher()
    assert made.extension_config.typed_config.Unpack(Composite())


def test_only_the_route_that_asks_sends_and_learns() -> None:
    route = Route()
    assert asking("path", LOOKUPS).action.typed_config.Unpack(route)
    place, learn = per_route(route)
    (always,) = place.matcher_list.matchers
    assert always.predicate.single_predicate.value_match.prefix == "/"
    action, asks = ExecuteFilterAction(), ExternalProcessor()
    assert always.on_match.action.typed_config.Unpack(action)
    assert action.typed_config.typed_config.Unpack(asks)
    assert asks == ext_proc_filter(LOOKUPS)
    assert learn.name == "read"
    assert learn.filter_context["rule"] == "path"
    assert route.direct_response.status == 503, "what stands if all fails"


def test_a_route_that_enables_the_filters_runs_neither() -> None:
    route = Route()
    enable(route)
    place, learn = per_route(route)
    assert place == Matcher()
    assert learn.disabled
