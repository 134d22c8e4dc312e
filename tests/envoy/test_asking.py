"""The filters and the route that ask for owners; that Envoy does so, `tests/integration` proves."""

from __future__ import annotations

from envoy.asking import LEARN_FILTER, OWNERS_FILTER, asking, enable, ext_proc_filter
from envoy.edge import Lookups
from pb.envoy.config.route.v3.route_components_pb2 import Route
from pb.envoy.extensions.filters.http.ext_proc.v3.ext_proc_pb2 import ExtProcPerRoute
from pb.envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from pb.envoy.extensions.filters.http.lua.v3.lua_pb2 import LuaPerRoute
from topology.model import Endpoint

LOOKUPS = Lookups(endpoints=(Endpoint(host="10.0.0.5", port=18010),))
NOTHING = ProcessingMode(
    request_header_mode=ProcessingMode.SKIP,
    response_header_mode=ProcessingMode.SKIP,
    request_body_mode=ProcessingMode.NONE,
    response_body_mode=ProcessingMode.NONE,
    request_trailer_mode=ProcessingMode.SKIP,
    response_trailer_mode=ProcessingMode.SKIP,
)


def per_route(route: Route) -> tuple[ExtProcPerRoute, LuaPerRoute]:
    owners, learn = ExtProcPerRoute(), LuaPerRoute()
    assert route.typed_per_filter_config[OWNERS_FILTER].Unpack(owners)
    assert route.typed_per_filter_config[LEARN_FILTER].Unpack(learn)
    return owners, learn


def test_the_filter_sends_nothing_by_itself_and_may_change_nothing() -> None:
    made = ext_proc_filter(LOOKUPS)
    assert made.processing_mode == NOTHING
    assert made.message_timeout.nanos < 50_000_000
    assert made.failure_mode_allow
    assert made.mutation_rules.disallow_all.value
    assert made.disable_immediate_response
    assert [each.exact for each in made.forward_rules.allowed_headers.patterns] == ["x-request-id"]


def test_only_the_route_that_asks_sends_and_learns() -> None:
    route = Route()
    assert asking("path").action.typed_config.Unpack(route)
    owners, learn = per_route(route)
    sends = ProcessingMode()
    sends.CopyFrom(NOTHING)
    sends.request_header_mode = ProcessingMode.SEND
    assert owners.overrides.processing_mode == sends
    assert learn.name == "read"
    assert learn.filter_context["rule"] == "path"
    assert route.direct_response.status == 503, "what stands if all fails"


def test_a_route_that_enables_the_filters_runs_neither() -> None:
    route = Route()
    enable(route)
    owners, learn = per_route(route)
    assert not owners.overrides.HasField("processing_mode")
    assert learn.disabled
