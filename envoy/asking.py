"""How Envoy asks for owners: the ext_proc filter, the Lua behind it, and the route that turns both on.

Of a request that Lua has read, `match_branches` leads here what names a claim whose owner is not remembered.
Only on this route ext_proc sends anything, and only our own metadata: no header but the request's id, never a
body. What Python says reaches the request through Lua alone; should all fail, this route's answer stands:
503, and no cell. `View -> Snapshot`.
"""

from __future__ import annotations

from typing import Final

from envoy.durations import seconds
from envoy.edge import Lookups
from envoy.ext_proc_cluster import CLUSTER_NAME
from envoy.matchers import OnMatch, leaf, packed
from envoy.moved import SCRIPT
from envoy.questions import ASKED, TOLD
from pb.envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from pb.envoy.config.core.v3 import base_pb2
from pb.envoy.config.route.v3 import route_components_pb2 as route_pb2
from pb.envoy.extensions.filters.http.ext_proc.v3 import ext_proc_pb2, processing_mode_pb2
from pb.envoy.extensions.filters.http.lua.v3 import lua_pb2
from pb.envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from pb.envoy.type.matcher.v3 import string_pb2

OWNERS_FILTER: Final = "cellplane.owners"
LEARN_FILTER: Final = "cellplane.learn"
ROUTE_NAME: Final = "unasked"
RETRIES: Final = 2
_Mode: Final = processing_mode_pb2.ProcessingMode


def ext_proc_filter(lookups: Lookups) -> ext_proc_pb2.ExternalProcessor:
    """Make the listener's filter. It sends nothing but on `asking`'s route."""
    message = ext_proc_pb2.ExternalProcessor(
        failure_mode_allow=True,
        processing_mode=_mode(sends=False),
        message_timeout=seconds(lookups.timeout_seconds),
        # Python says who owns what. It changes no header and answers no client.
        mutation_rules=mutation_rules_pb2.HeaderMutationRules(),
        disable_immediate_response=True,
        forward_rules=ext_proc_pb2.HeaderForwardingRules(
            allowed_headers=string_pb2.ListStringMatcher(
                patterns=(string_pb2.StringMatcher(exact="x-request-id"),)
            )
        ),
    )
    message.mutation_rules.disallow_all.value = True
    message.metadata_options.forwarding_namespaces.untyped.append(ASKED)
    message.metadata_options.receiving_namespaces.untyped.append(TOLD)
    service = message.grpc_service
    service.envoy_grpc.cluster_name = CLUSTER_NAME
    # A question changes nothing, so another replica may be asked whatever became of the first.
    retries = service.retry_policy
    retries.retry_on = "connect-failure,refused-stream,reset,unavailable"
    retries.num_retries.value = RETRIES
    retries.host_selection_retry_max_attempts = 3
    retries.retry_host_predicate.add(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=packed(previous_hosts_pb2.PreviousHostsPredicate()),
    )
    retries.retry_back_off.base_interval.CopyFrom(seconds(0.001))
    retries.retry_back_off.max_interval.CopyFrom(seconds(0.002))
    return message


def asking(rule: str) -> OnMatch:
    """End at the route that has Python asked, and Lua decide again. It tells Lua which rule led here."""
    body = "The owner of this request could not be looked up. Try again later.\n"
    route = route_pb2.Route(
        name=ROUTE_NAME,
        match=route_pb2.RouteMatch(prefix="/"),
        direct_response=route_pb2.DirectResponseAction(
            status=503, body=base_pb2.DataSource(inline_string=body)
        ),
    )
    send = ext_proc_pb2.ExtProcPerRoute(
        overrides=ext_proc_pb2.ExtProcOverrides(processing_mode=_mode(sends=True))
    )
    route.typed_per_filter_config[OWNERS_FILTER].CopyFrom(packed(send))
    route.typed_per_filter_config[LEARN_FILTER].CopyFrom(packed(_learning(rule)))
    return leaf(route)


def _learning(rule: str) -> lua_pb2.LuaPerRoute:
    found = lua_pb2.LuaPerRoute(name=SCRIPT)
    found.filter_context["rule"] = rule
    return found


def enable(route: route_pb2.Route) -> None:
    """Have Envoy put both filters into the chain of requests that meet this route first. They do nothing yet:
    a chain is made once, by the first route.
    """
    idle = ext_proc_pb2.ExtProcPerRoute(overrides=ext_proc_pb2.ExtProcOverrides())
    route.typed_per_filter_config[OWNERS_FILTER].CopyFrom(packed(idle))
    off = lua_pb2.LuaPerRoute(disabled=True)
    route.typed_per_filter_config[LEARN_FILTER].CopyFrom(packed(off))


def _mode(*, sends: bool) -> processing_mode_pb2.ProcessingMode:
    return _Mode(
        request_header_mode=_Mode.SEND if sends else _Mode.SKIP,
        response_header_mode=_Mode.SKIP,
        request_body_mode=_Mode.NONE,
        response_body_mode=_Mode.NONE,
        request_trailer_mode=_Mode.SKIP,
        response_trailer_mode=_Mode.SKIP,
    )
