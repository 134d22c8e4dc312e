"""The edge's listeners for requests: over TCP and, where that is wanted, HTTP/3 over UDP.

Made from settings alone. Neither cells, rules nor certificates are in them, so that none of these ever
changes a listener, which would drain connections all over the fleet. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf import wrappers_pb2

from envoy.connection_manager import Hcm, connection_manager
from envoy.edge import (
    KEEPALIVE_IDLE_SECONDS,
    KEEPALIVE_INTERVAL_SECONDS,
    KEEPALIVE_PROBES,
    LISTENER_NAME,
    PEER_STATE,
    ROUTES_NAME,
    EdgeSettings,
    EdgeTls,
)
from envoy.ext_proc_cluster import CLUSTER_NAME, SHADOW_CLUSTER
from envoy.matchers import packed
from envoy.secrets import downstream_context, secret_references
from envoy.tracing import COLLECTOR
from pb.envoy.config.core.v3 import address_pb2, base_pb2, socket_option_pb2, substitution_format_string_pb2
from pb.envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from pb.envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from pb.envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from pb.envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2
from xds.resource import CLUSTER, LISTENER, ROUTE, Reference, Resource

BUFFER_BYTES: Final = 65_536
HTTP3_LISTENER: Final = "edge-http3"
_PEER: Final = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
_UDP: Final = address_pb2.SocketAddress.UDP


def listeners(settings: EdgeSettings) -> tuple[Resource, ...]:
    """Make the listeners that take requests."""
    made = [_over_tcp(settings)]
    if settings.tls and settings.tls.http3:
        made.append(_over_quic(settings, settings.tls))
    return tuple(made)


def raw_listener(
    name: str,
    port: int,
    settings: EdgeSettings,
    *,
    listener_filters: Iterable[listener_components_pb2.ListenerFilter] = (),
    filters: Iterable[listener_components_pb2.Filter],
) -> Resource:
    """Make a listener that stands beside the edge's own, and serves none of its routes."""
    message = _message(name, port, settings, listener_components_pb2.FilterChain(filters=filters))
    message.listener_filters.extend(listener_filters)
    return Resource.of(LISTENER, name, message)


def http_filter_chain(manager: Hcm) -> Iterable[listener_components_pb2.Filter]:
    """List the filters of a connection that carries requests."""
    yield _filter("envoy.filters.network.set_filter_state", _peer_state())
    yield _filter("envoy.filters.network.http_connection_manager", manager)


def _over_tcp(settings: EdgeSettings) -> Resource:
    chain = listener_components_pb2.FilterChain(filters=http_filter_chain(connection_manager(settings)))
    if settings.tls:
        chain.transport_socket.name = "envoy.transport_sockets.tls"
        context = downstream_context(settings.tls, ("h2", "http/1.1"))
        chain.transport_socket.typed_config.CopyFrom(packed(context))
    message = _message(LISTENER_NAME, settings.listen_port, settings, chain)
    return Resource.of(LISTENER, LISTENER_NAME, message, _references(settings))


def _over_quic(settings: EdgeSettings, tls: EdgeTls) -> Resource:
    """Make the twin of the TCP listener at the same port over UDP: the same routes, filters and files."""
    manager = connection_manager(settings)
    manager.codec_type = Hcm.HTTP3
    manager.http3_protocol_options.SetInParent()  # no WebSockets: Envoy calls them unfinished there
    chain = listener_components_pb2.FilterChain(filters=http_filter_chain(manager))
    chain.transport_socket.name = "envoy.transport_sockets.quic"
    quic = quic_transport_pb2.QuicDownstreamTransport(downstream_tls_context=downstream_context(tls, ("h3",)))
    chain.transport_socket.typed_config.CopyFrom(packed(quic))
    message = _message(HTTP3_LISTENER, settings.listen_port, settings, chain)
    message.address.socket_address.protocol = _UDP
    message.udp_listener_config.quic_options.SetInParent()
    message.ClearField("socket_options")  # TCP's; QUIC looks after its peers itself
    return Resource.of(LISTENER, HTTP3_LISTENER, message, _references(settings))


def _references(settings: EdgeSettings) -> Iterable[Reference]:
    yield ROUTE, ROUTES_NAME
    yield from secret_references(settings.tls)
    if settings.lookups:
        yield CLUSTER, CLUSTER_NAME
        yield CLUSTER, SHADOW_CLUSTER
    if settings.tracing:
        yield CLUSTER, COLLECTOR


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
