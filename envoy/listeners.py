"""The edge's listener: TLS, limits, and the HTTP connection manager that asks for its routes over RDS.

Made from settings alone. Neither cells nor rules are in it, so that neither ever changes a listener, which
would drain connections all over the fleet. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf import wrappers_pb2

from envoy.asking import LEARN_FILTER, OWNERS_FILTER, ext_proc_filter
from envoy.durations import seconds
from envoy.edge import (
    IDENTITY_HEADER,
    INTERNAL_HEADERS,
    KEEPALIVE_IDLE_SECONDS,
    KEEPALIVE_INTERVAL_SECONDS,
    KEEPALIVE_PROBES,
    LISTENER_NAME,
    PEER_STATE,
    ROUTES_NAME,
    EdgeSettings,
    EdgeTls,
)
from envoy.ext_proc_cluster import CLUSTER_NAME
from envoy.matchers import packed
from envoy.pending import LUA_FILTER, learn_filter, lua_filter
from pb.envoy.config.accesslog.v3 import accesslog_pb2
from pb.envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from pb.envoy.config.core.v3 import (
    address_pb2,
    base_pb2,
    config_source_pb2,
    extension_pb2,
    protocol_pb2,
    socket_option_pb2,
    substitution_format_string_pb2,
)
from pb.envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from pb.envoy.extensions.access_loggers.stream.v3 import stream_pb2
from pb.envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from pb.envoy.extensions.filters.http.router.v3 import router_pb2
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from pb.envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from pb.envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from pb.envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from xds.resource import CLUSTER, LISTENER, ROUTE, Resource

Hcm = http_connection_manager_pb2.HttpConnectionManager
HttpFilter = http_connection_manager_pb2.HttpFilter
Header = base_pb2.HeaderValueOption

BUFFER_BYTES: Final = 65_536
STREAM_WINDOW_BYTES: Final = 1 << 20
CONNECTION_WINDOW_BYTES: Final = 1 << 22
MAX_STREAMS_PER_CONNECTION: Final = 100
_PEER: Final = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
_ACCESS_LOG: Final = (
    '%START_TIME% "%REQ(:METHOD)% %PATH(NQ:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    "%RESPONSE_CODE_DETAILS% class=%VIRTUAL_CLUSTER_NAME% rule=%ROUTE_NAME% cell=%UPSTREAM_CLUSTER% "
    "host=%UPSTREAM_HOST% "
    "received=%BYTES_RECEIVED% sent=%BYTES_SENT% ms=%DURATION% id=%REQ(X-REQUEST-ID)%\n"
)


def listener(settings: EdgeSettings) -> Resource:
    """Make the listener."""
    chain = listener_components_pb2.FilterChain(
        filters=[
            _filter("envoy.filters.network.set_filter_state", _peer_state()),
            _filter("envoy.filters.network.http_connection_manager", _connection_manager(settings)),
        ]
    )
    if settings.tls:
        chain.transport_socket.name = "envoy.transport_sockets.tls"
        chain.transport_socket.typed_config.CopyFrom(packed(_tls(settings.tls)))
    message = _message(LISTENER_NAME, settings.listen_port, settings, chain)
    references = [(ROUTE, ROUTES_NAME)]
    if settings.lookups:
        references.append((CLUSTER, CLUSTER_NAME))
    return Resource.of(LISTENER, LISTENER_NAME, message, references)


def raw_listener(
    name: str,
    port: int,
    settings: EdgeSettings,
    *,
    listener_filters: Iterable[listener_components_pb2.ListenerFilter],
    filters: Iterable[listener_components_pb2.Filter],
) -> Resource:
    """Make a listener for connections that are handed on as they come; it stands beside the edge's own."""
    message = _message(name, port, settings, listener_components_pb2.FilterChain(filters=filters))
    message.listener_filters.extend(listener_filters)
    return Resource.of(LISTENER, name, message)


def _message(
    name: str, port: int, settings: EdgeSettings, chain: listener_components_pb2.FilterChain
) -> listener_pb2.Listener:
    return listener_pb2.Listener(
        name=name,
        address=address_pb2.Address(
            socket_address=address_pb2.SocketAddress(
                address=settings.listen_address,
                port_value=port,
                ipv4_compat=settings.listen_address == "::",
            )
        ),
        filter_chains=[chain],
        per_connection_buffer_limit_bytes=wrappers_pb2.UInt32Value(value=BUFFER_BYTES),
        socket_options=_keepalive(),
    )


def _keepalive() -> Iterable[socket_option_pb2.SocketOption]:
    """Keep asking whether clients are there; accepted connections take it from the listening socket."""
    tcp, values = 6, ((4, KEEPALIVE_IDLE_SECONDS), (5, KEEPALIVE_INTERVAL_SECONDS), (6, KEEPALIVE_PROBES))
    yield socket_option_pb2.SocketOption(description="SO_KEEPALIVE", level=1, name=9, int_value=1)
    for name, value in values:
        yield socket_option_pb2.SocketOption(description="TCP_KEEP*", level=tcp, name=name, int_value=value)


def _filter(name: str, message: Hcm | set_filter_state_pb2.Config) -> listener_components_pb2.Filter:
    return listener_components_pb2.Filter(name=name, typed_config=packed(message))


def _peer_state() -> set_filter_state_pb2.Config:
    """Note who is at the other end of the connection, once: X-Forwarded-For has no say in it."""
    return set_filter_state_pb2.Config(
        on_new_connection=[
            value_pb2.FilterStateValue(
                object_key=PEER_STATE,
                factory_key="envoy.string",
                format_string=substitution_format_string_pb2.SubstitutionFormatString(
                    text_format_source=base_pb2.DataSource(inline_string=_PEER)
                ),
            )
        ]
    )


def _connection_manager(settings: EdgeSettings) -> Hcm:
    router = packed(router_pb2.Router())
    message = Hcm(
        stat_prefix=LISTENER_NAME,
        rds=http_connection_manager_pb2.Rds(route_config_name=ROUTES_NAME, config_source=_ads()),
        http_filters=[
            # Off but on the route of a request that Lua has to read: see `pending`.
            HttpFilter(name=LUA_FILTER, typed_config=packed(lua_filter()), disabled=True),
            *_asking(settings),
            HttpFilter(name="envoy.filters.http.router", typed_config=router),
        ],
        early_header_mutation_extensions=[_sanitiser(settings)],
        server_name=settings.server_name,
        # Rules and cells see one spelling of a path. Escaped slashes stay: they are part of a segment.
        normalize_path=wrappers_pb2.BoolValue(value=True),
        merge_slashes=settings.merge_slashes,
        path_with_escaped_slashes_action=Hcm.KEEP_UNCHANGED,
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
    if settings.access_log:
        message.access_log.append(_access_log())
    return message


def _asking(settings: EdgeSettings) -> Iterable[HttpFilter]:
    if settings.lookups:
        asks, learns = ext_proc_filter(settings.lookups), learn_filter()
        yield HttpFilter(name=OWNERS_FILTER, typed_config=packed(asks), disabled=True)
        yield HttpFilter(name=LEARN_FILTER, typed_config=packed(learns), disabled=True)


def _ads() -> config_source_pb2.ConfigSource:
    """Wait for the routes, however long: a listener without them would answer 404 to everything."""
    source = config_source_pb2.ConfigSource(
        resource_api_version=config_source_pb2.V3, initial_fetch_timeout=seconds(0)
    )
    source.ads.SetInParent()
    return source


def _sanitiser(settings: EdgeSettings) -> extension_pb2.TypedExtensionConfig:
    """Remove a client's copies of our headers before the first route is looked up; note who the client is.

    Only a client CA makes Envoy ask for a certificate, and then it lets no other in.
    """
    mutations = [mutation_rules_pb2.HeaderMutation(remove=name) for name in INTERNAL_HEADERS]
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


def _access_log() -> accesslog_pb2.AccessLog:
    text = base_pb2.DataSource(inline_string=_ACCESS_LOG)
    message = stream_pb2.StdoutAccessLog(
        log_format=substitution_format_string_pb2.SubstitutionFormatString(text_format_source=text)
    )
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.stdout", typed_config=packed(message))


def _tls(tls: EdgeTls) -> tls_pb2.DownstreamTlsContext:
    def file(path: str) -> base_pb2.DataSource:
        return base_pb2.DataSource(filename=path)

    context = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2),
        tls_certificates=[
            common_pb2.TlsCertificate(certificate_chain=file(tls.certificate), private_key=file(tls.key))
        ],
        alpn_protocols=["h2", "http/1.1"],
    )
    if tls.client_ca:
        context.validation_context.trusted_ca.CopyFrom(file(tls.client_ca))
    return tls_pb2.DownstreamTlsContext(
        common_tls_context=context, require_client_certificate=wrappers_pb2.BoolValue(value=False)
    )
