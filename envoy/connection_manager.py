"""The HTTP connection manager of an edge: limits, sanitised requests, filters, and routes that come over RDS.

`listeners` puts it behind every port that takes requests. Made from settings alone: neither cells nor rules
are in it. `View -> Snapshot`, a part that no View decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf import wrappers_pb2

from envoy.access_log import access_log
from envoy.asking import LEARN_FILTER, OWNERS_FILTER, place_of_ext_proc
from envoy.durations import seconds
from envoy.edge import IDENTITY_HEADER, INTERNAL_HEADERS, LISTENER_NAME, ROUTES_NAME, EdgeSettings
from envoy.matchers import packed
from envoy.pending import LUA_FILTER, lua_filter
from envoy.rule_counts import rule_counts
from envoy.secrets import ads
from envoy.shadow import SHADOW_FILTER, shadow_filter
from envoy.steered import STEERED_FILTER, steered_filter
from envoy.tracing import TRACE_HEADERS, tracing
from envoy.upstream_filters import HttpFilter, upstream_filters
from pb.envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from pb.envoy.config.core.v3 import base_pb2, extension_pb2, protocol_pb2
from pb.envoy.extensions.filters.http.router.v3 import router_pb2
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from pb.envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2

Hcm = http_connection_manager_pb2.HttpConnectionManager
Header = base_pb2.HeaderValueOption

FORWARDED_PREFIX: Final = "x-forwarded-"
FORWARDED_HEADERS: Final = ("forwarded", "x-real-ip", "x-original-url", "x-rewrite-url")
"""In which applications look for how the client came, from where, and for which host and path."""
STREAM_WINDOW_BYTES: Final = 1 << 20
CONNECTION_WINDOW_BYTES: Final = 1 << 22
MAX_STREAMS_PER_CONNECTION: Final = 100


def connection_manager(settings: EdgeSettings, stat_prefix: str = LISTENER_NAME) -> Hcm:
    """Make it."""
    router = router_pb2.Router(upstream_http_filters=upstream_filters(settings))
    # By status, as they come: 8,000 of some 190,000 instructions, and 12,000 where a request is steered.
    router.dynamic_stats.value = settings.counts_answers
    message = Hcm(
        stat_prefix=stat_prefix,
        rds=http_connection_manager_pb2.Rds(route_config_name=ROUTES_NAME, config_source=ads()),
        http_filters=[
            *_showing(settings),
            # Off but on the route of a request that Lua has to read: see `pending`.
            HttpFilter(name=LUA_FILTER, typed_config=packed(lua_filter()), disabled=True),
            *_asking(settings),
            *_limiting(settings),
            HttpFilter(name="envoy.filters.http.router", typed_config=packed(router)),
        ],
        early_header_mutation_extensions=[_sanitiser(settings)],
        server_name=settings.server_name,
        # Rules and cells see one spelling of path and host. Escaped slashes stay: they are part of a segment.
        normalize_path=wrappers_pb2.BoolValue(value=True),
        merge_slashes=settings.merge_slashes,
        path_with_escaped_slashes_action=Hcm.KEEP_UNCHANGED,
        strip_trailing_host_dot=True,
        use_remote_address=wrappers_pb2.BoolValue(value=True),
        xff_num_trusted_hops=settings.trusted_hops,
        upgrade_configs=[Hcm.UpgradeConfig(upgrade_type="websocket")],
        stream_idle_timeout=seconds(settings.stream_idle_seconds),
        request_headers_timeout=seconds(settings.request_headers_seconds),
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(
            idle_timeout=seconds(settings.client_idle_seconds),
            # Rack and CGI read x_cellplane_cell as X-Cellplane-Cell: no such header reaches a cell.
            headers_with_underscores_action=protocol_pb2.HttpProtocolOptions.DROP_HEADER,
        ),
        http2_protocol_options=protocol_pb2.Http2ProtocolOptions(
            max_concurrent_streams=wrappers_pb2.UInt32Value(value=MAX_STREAMS_PER_CONNECTION),
            initial_stream_window_size=wrappers_pb2.UInt32Value(value=STREAM_WINDOW_BYTES),
            initial_connection_window_size=wrappers_pb2.UInt32Value(value=CONNECTION_WINDOW_BYTES),
            allow_connect=True,  # WebSockets over HTTP/2
        ),
    )
    if settings.tls or not settings.trusted_hops:
        # The cell is told how the client came, not what it says of it: HTTP/2 and HTTP/3 carry a scheme.
        message.scheme_header_transformation.scheme_to_overwrite = "https" if settings.tls else "http"
    if settings.tracing:
        message.tracing.CopyFrom(tracing(settings.tracing))
    message.access_log.append(access_log(everything=settings.access_log))
    if settings.count_decisions:
        message.access_log.append(rule_counts())
    return message


def _limiting(settings: EdgeSettings) -> Iterable[HttpFilter]:
    """Limit by the route that is taken in the end, so behind all that looks it up again; off but where a
    route that may lead to such an end is met first.
    """
    if settings.steered_per_second:
        limit = steered_filter(settings.steered_per_second)
        yield HttpFilter(name=STEERED_FILTER, typed_config=packed(limit), disabled=True)


def _showing(settings: EdgeSettings) -> Iterable[HttpFilter]:
    """Show requests as they came, before anything is done about them; off but for a candidate ruleset."""
    if settings.lookups:
        shows = packed(shadow_filter(settings.lookups))
        yield HttpFilter(name=SHADOW_FILTER, typed_config=shows, disabled=True)


def _asking(settings: EdgeSettings) -> Iterable[HttpFilter]:
    if settings.lookups:
        yield HttpFilter(name=OWNERS_FILTER, typed_config=packed(place_of_ext_proc()), disabled=True)
        yield HttpFilter(name=LEARN_FILTER, typed_config=packed(lua_filter()), disabled=True)


def _sanitiser(settings: EdgeSettings) -> extension_pb2.TypedExtensionConfig:
    """Remove a client's copies of our headers before the first route is looked up; note who the client is.

    Only a client CA makes Envoy ask for a certificate, and then it lets no other in.
    """
    names: tuple[str, ...] = INTERNAL_HEADERS
    if settings.tracing and not settings.trusted_hops:
        names += TRACE_HEADERS  # or clients would say what is traced
    mutations = []
    if not settings.trusted_hops:
        # Then Envoy writes its own: who the peer is, and how it came.
        forwarded = mutation_rules_pb2.HeaderMutation()
        forwarded.remove_on_match.key_matcher.prefix = FORWARDED_PREFIX
        mutations.append(forwarded)
        names += FORWARDED_HEADERS
    mutations += [mutation_rules_pb2.HeaderMutation(remove=name) for name in names]
    if settings.tls and settings.tls.client_ca:
        mutations += _identity("%DOWNSTREAM_PEER_URI_SAN%", "%DOWNSTREAM_PEER_DNS_SAN%")
    message = header_mutation_pb2.HeaderMutation(mutations=mutations)
    return extension_pb2.TypedExtensionConfig(name="cellplane.sanitiser", typed_config=packed(message))


def _identity(*values: str) -> Iterable[mutation_rules_pb2.HeaderMutation]:
    for value in values:
        option = Header(
            header=base_pb2.HeaderValue(key=IDENTITY_HEADER, value=value),
            append_action=Header.APPEND_IF_EXISTS_OR_ADD,
        )
        yield mutation_rules_pb2.HeaderMutation(append=option)
