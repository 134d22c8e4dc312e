"""What a sidecar runs: inbound, where names that left its cell are refused, and outbound to the Topology
Service.

The publisher of sidecars asks for a cell's Snapshot. Listeners and clusters follow from settings alone; the
route table has the rules, and in its metadata the names, so that a departure touches neither listener nor
connection. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from google.protobuf import wrappers_pb2

from envoy.cluster_parts import HTTP_OPTIONS, place
from envoy.connection_manager import MAX_STREAMS_PER_CONNECTION
from envoy.durations import seconds
from envoy.edge import OWNER_HEADER
from envoy.matchers import leaf, packed
from envoy.pending import LUA_FILTER, guarded, lua_filter
from envoy.ruleset import Ruleset
from envoy.secrets import ads
from envoy.sidecar import Outbound, SidecarSettings
from envoy.standing import cluster_name
from envoy.tls_contexts import downstream, transport_socket, upstream
from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.core.v3 import address_pb2, protocol_pb2
from pb.envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from pb.envoy.config.route.v3 import route_components_pb2, route_pb2
from pb.envoy.extensions.filters.http.router.v3 import router_pb2
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from pb.envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from topology.departing import Barred
from topology.model import Endpoint
from xds.resource import CLUSTER, LISTENER, ROUTE, Resource
from xds.snapshot import Snapshot

Hcm = http_connection_manager_pb2.HttpConnectionManager
HttpFilter = http_connection_manager_pb2.HttpFilter

INBOUND: Final = "inbound"
OUTBOUND: Final = "outbound"
APPLICATION: Final = "application"
TOPOLOGY: Final = "topology"
BUFFER_BYTES: Final = 65_536


def sidecar_snapshot(
    revision: int, ruleset: Ruleset, fence: Mapping[str, Barred], settings: SidecarSettings
) -> Snapshot:
    """Make the Snapshot of the sidecars of a cell that refuses these names."""
    clusters = [_cluster(APPLICATION, (settings.application,), settings, http2=settings.http2)]
    listeners = [_inbound(settings)]
    if settings.outbound:
        topology = _cluster(TOPOLOGY, settings.outbound.endpoints, settings, http2=True)
        if tls := settings.outbound.tls:
            hosts = (endpoint.host for endpoint in settings.outbound.endpoints)
            topology.transport_socket.CopyFrom(transport_socket(upstream(hosts, tls)))
        clusters.append(topology)
        listeners.append(_outbound(settings.outbound))
    return Snapshot(
        revision,
        {
            CLUSTER: {each.name: Resource.of(CLUSTER, each.name, each) for each in clusters},
            LISTENER: {each.name: _referring(each) for each in listeners},
            ROUTE: {INBOUND: _routes(ruleset, fence)},
        },
    )


def spelled(bar: Barred) -> str:
    """Spell where an owner is, as the edge reads it; Lua says so in the internal header."""
    where = f"{cluster_name(bar.cell_id)}; owner={bar.owner}; epoch={bar.epoch}"
    return f"moving {where}" if bar.moving else where


def _routes(ruleset: Ruleset, fence: Mapping[str, Barred]) -> Resource:
    host = route_components_pb2.VirtualHost(
        name=INBOUND,
        domains=["*"],
        # The application has no say in where the edge sends what was refused.
        response_headers_to_remove=[OWNER_HEADER],
    )
    on = route_components_pb2.RouteAction(cluster=APPLICATION, timeout=seconds(0))
    route = route_components_pb2.Route(
        name=APPLICATION, match=route_components_pb2.RouteMatch(prefix="/"), route=on
    )
    names = {name: spelled(bar) for name, bar in fence.items()}
    first = guarded(ruleset, OWNER_HEADER, names) if names else ()
    if first:
        host.matcher.matcher_list.matchers.extend(first)
        host.matcher.on_no_match.CopyFrom(leaf(route))
        host.metadata.filter_metadata[LUA_FILTER].update(names)
    else:
        host.routes.append(route)
    message = route_pb2.RouteConfiguration(name=INBOUND, virtual_hosts=[host])
    return Resource.of(ROUTE, INBOUND, message, [(CLUSTER, APPLICATION)])


def _referring(message: listener_pb2.Listener) -> Resource:
    target = (ROUTE, INBOUND) if message.name == INBOUND else (CLUSTER, TOPOLOGY)
    return Resource.of(LISTENER, message.name, message, [target])


def _inbound(settings: SidecarSettings) -> listener_pb2.Listener:
    manager = _manager(INBOUND)
    manager.rds.route_config_name = INBOUND
    manager.rds.config_source.CopyFrom(ads())
    manager.http_filters.insert(
        0, HttpFilter(name=LUA_FILTER, typed_config=packed(lua_filter()), disabled=True)
    )
    # As at the edge, so that both take the same names out of a request.
    manager.normalize_path.value = True
    manager.merge_slashes = settings.merge_slashes
    manager.strip_trailing_host_dot = True
    manager.path_with_escaped_slashes_action = Hcm.KEEP_UNCHANGED
    manager.upgrade_configs.add(upgrade_type="websocket")
    chain = _chain(manager)
    if settings.tls:
        chain.transport_socket.CopyFrom(transport_socket(downstream(settings.tls)))
    return _listener(INBOUND, settings.listen_address, settings.listen_port, chain)


def _outbound(outbound: Outbound) -> listener_pb2.Listener:
    manager = _manager(OUTBOUND)
    host = manager.route_config.virtual_hosts.add(name=OUTBOUND, domains=["*"])
    route = host.routes.add(match=route_components_pb2.RouteMatch(prefix="/"))
    route.route.cluster = TOPOLOGY
    route.route.timeout.CopyFrom(seconds(0))  # the caller's own deadline holds, and watches have none
    # What no server can have seen is sent to another one.
    route.route.retry_policy.retry_on = "connect-failure,refused-stream,reset-before-request"
    route.route.retry_policy.num_retries.value = 2
    return _listener(OUTBOUND, outbound.listen_address, outbound.listen_port, _chain(manager))


def _manager(name: str) -> Hcm:
    message = Hcm(
        stat_prefix=name,
        http_filters=[HttpFilter(name="envoy.filters.http.router", typed_config=packed(router_pb2.Router()))],
        # The edge says who the client is, and when a stream has been silent for too long.
        use_remote_address=wrappers_pb2.BoolValue(value=False),
        skip_xff_append=True,
        generate_request_id=wrappers_pb2.BoolValue(value=False),
        server_header_transformation=Hcm.PASS_THROUGH,
        stream_idle_timeout=seconds(0),
        http2_protocol_options=protocol_pb2.Http2ProtocolOptions(
            max_concurrent_streams=wrappers_pb2.UInt32Value(value=10 * MAX_STREAMS_PER_CONNECTION),
            allow_connect=True,
        ),
    )
    message.common_http_protocol_options.idle_timeout.CopyFrom(seconds(0))
    return message


def _chain(manager: Hcm) -> listener_components_pb2.FilterChain:
    name = "envoy.filters.network.http_connection_manager"
    made = listener_components_pb2.Filter(name=name, typed_config=packed(manager))
    return listener_components_pb2.FilterChain(filters=[made])


def _listener(
    name: str, address: str, port: int, chain: listener_components_pb2.FilterChain
) -> listener_pb2.Listener:
    place = address_pb2.SocketAddress(address=address, port_value=port, ipv4_compat=address == "::")
    return listener_pb2.Listener(
        name=name,
        address=address_pb2.Address(socket_address=place),
        filter_chains=[chain],
        per_connection_buffer_limit_bytes=wrappers_pb2.UInt32Value(value=BUFFER_BYTES),
    )


def _cluster(
    name: str, endpoints: tuple[Endpoint, ...], settings: SidecarSettings, *, http2: bool
) -> cluster_pb2.Cluster:
    message = cluster_pb2.Cluster(
        name=name,
        connect_timeout=seconds(settings.connect_timeout_seconds),
        per_connection_buffer_limit_bytes=wrappers_pb2.UInt32Value(value=BUFFER_BYTES),
    )
    options = http_protocol_options_pb2.HttpProtocolOptions()
    if http2:
        options.explicit_http_config.http2_protocol_options.allow_connect = True
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    message.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    place(message, endpoints)
    return message
