"""How Envoy asks for owners: a place for ext_proc, the Lua behind it, and the route that fills the place.

Of a request that Lua has read, `match_branches` leads here what names a claim whose owner is not remembered.
Only on this route is there an ext_proc filter: idle in the chain of each request that is read, it would cost
a third of a plain request. It sends only our own metadata: no header but the request's id, never a body. What
Python says reaches the request through Lua alone; should all fail, this route's answer stands: 503, and no
cell. `View -> Snapshot`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from google.protobuf import any_pb2

from envoy.durations import seconds
from envoy.edge import Lookups
from envoy.ext_proc_cluster import CLUSTER_NAME
from envoy.matchers import PATH, Input, Matcher, OnMatch, entry, leaf, packed, starts
from envoy.moved import SCRIPT, SELECTIONS
from envoy.questions import ASKED, TOLD
from pb.envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from pb.envoy.config.core.v3 import base_pb2, extension_pb2
from pb.envoy.config.route.v3 import route_components_pb2 as route_pb2
from pb.envoy.extensions.common.matching.v3 import extension_matcher_pb2
from pb.envoy.extensions.filters.http.composite.v3 import composite_pb2
from pb.envoy.extensions.filters.http.ext_proc.v3 import ext_proc_pb2, processing_mode_pb2
from pb.envoy.extensions.filters.http.lua.v3 import lua_pb2
from pb.envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from pb.envoy.type.matcher.v3 import string_pb2

OWNERS_FILTER: Final = "cellplane.owners"
LEARN_FILTER: Final = "cellplane.learn"
ROUTE_NAME: Final = "unasked"
RETRIES: Final = 2
STAT_PREFIX: Final = "owners"
"""Counted is `http..ext_proc.owners.<name>`: what a route brings knows no listener to be counted under."""
_Mode: Final = processing_mode_pb2.ProcessingMode


def place_of_ext_proc() -> extension_matcher_pb2.ExtensionWithMatcher:
    """Make the listener's filter: a place that stays empty but on `asking`'s route."""
    message = extension_matcher_pb2.ExtensionWithMatcher()
    message.xds_matcher.SetInParent()
    message.extension_config.name = OWNERS_FILTER
    message.extension_config.typed_config.CopyFrom(packed(composite_pb2.Composite()))
    return message


def ext_proc_filter(lookups: Lookups) -> ext_proc_pb2.ExternalProcessor:
    """Make the filter that asks."""
    message = ext_proc_pb2.ExternalProcessor(
        failure_mode_allow=True,
        stat_prefix=STAT_PREFIX,
        processing_mode=_Mode(
            request_header_mode=_Mode.SEND,
            response_header_mode=_Mode.SKIP,
            request_body_mode=_Mode.NONE,
            response_body_mode=_Mode.NONE,
            request_trailer_mode=_Mode.SKIP,
            response_trailer_mode=_Mode.SKIP,
        ),
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
    retries.host_selection_retry_max_attempts = SELECTIONS
    retries.retry_host_predicate.add(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=packed(previous_hosts_pb2.PreviousHostsPredicate()),
    )
    retries.retry_back_off.base_interval.CopyFrom(seconds(0.001))
    retries.retry_back_off.max_interval.CopyFrom(seconds(0.002))
    return message


def asking(rule: str, lookups: Lookups) -> OnMatch:
    """End at the route that has Python asked, and Lua decide again. It tells Lua which rule led here."""
    body = "The owner of this request could not be looked up. Try again later.\n"
    route = route_pb2.Route(
        name=ROUTE_NAME,
        match=route_pb2.RouteMatch(prefix="/"),
        direct_response=route_pb2.DirectResponseAction(
            status=503, body=base_pb2.DataSource(inline_string=body)
        ),
    )
    route.typed_per_filter_config[OWNERS_FILTER].CopyFrom(_filled(lookups))
    route.typed_per_filter_config[LEARN_FILTER].CopyFrom(packed(_learning(rule)))
    return leaf(route)


@lru_cache(maxsize=4)
def _filled(lookups: Lookups) -> any_pb2.Any:
    filter_ = extension_pb2.TypedExtensionConfig(
        name=OWNERS_FILTER, typed_config=packed(ext_proc_filter(lookups))
    )
    action = Input(name="ask", typed_config=packed(composite_pb2.ExecuteFilterAction(typed_config=filter_)))
    always = Matcher()
    always.matcher_list.matchers.append(entry(starts(PATH, "/"), OnMatch(action=action)))
    return packed(extension_matcher_pb2.ExtensionWithMatcherPerRoute(xds_matcher=always))


def _learning(rule: str) -> lua_pb2.LuaPerRoute:
    found = lua_pb2.LuaPerRoute(name=SCRIPT)
    found.filter_context["rule"] = rule
    return found


def enable(route: route_pb2.Route) -> None:
    """Have Envoy put both into the chain of requests that meet this route first. They do nothing yet: a
    chain is made once, by the first route.
    """
    empty = extension_matcher_pb2.ExtensionWithMatcherPerRoute()
    empty.xds_matcher.SetInParent()
    route.typed_per_filter_config[OWNERS_FILTER].CopyFrom(packed(empty))
    off = lua_pb2.LuaPerRoute(disabled=True)
    route.typed_per_filter_config[LEARN_FILTER].CopyFrom(packed(off))
