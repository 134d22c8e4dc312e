"""A cell as Envoy's upstream cluster: protocol, health, limits.

`translate` hands in one cell at a time. A cell's weight and state are not in here, and its endpoints only
where they are DNS names: changing them must not change the cluster, for that drains its connections.
`View -> Snapshot`.
"""

from __future__ import annotations

from typing import Final

from google.protobuf import any_pb2, wrappers_pb2

from envoy.cluster_parts import HTTP_OPTIONS, place, resolve
from envoy.durations import seconds
from envoy.edge import (
    KEEPALIVE_IDLE_SECONDS,
    KEEPALIVE_INTERVAL_SECONDS,
    KEEPALIVE_PROBES,
    EdgeSettings,
    LookupTls,
)
from envoy.endpoints import assignment
from envoy.matchers import packed
from envoy.ruleset import FixedCluster
from envoy.standing import cluster_name, fixed_cluster_name
from envoy.tls_contexts import transport_socket, upstream
from envoy.upstream_filters import upstream_filters
from pb.envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from pb.envoy.config.core.v3 import address_pb2, config_source_pb2, health_check_pb2, protocol_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from pb.envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from pb.envoy.type.v3 import http_pb2, percent_pb2
from topology.model import Cell
from xds.resource import CLUSTER, ENDPOINT, Resource

Cluster = cluster_pb2.Cluster
HttpOptions = http_protocol_options_pb2.HttpProtocolOptions

BUFFER_BYTES: Final = 65_536
STREAM_WINDOW_BYTES: Final = 1 << 20
CONNECTION_WINDOW_BYTES: Final = 1 << 22


def is_resolved_by_envoy(cell: Cell) -> bool:
    """Tell whether the cell's endpoints are DNS names, which EDS can't carry."""
    return any(not endpoint.is_ip for endpoint in cell.endpoints)


def cluster(cell: Cell, settings: EdgeSettings) -> Resource:
    """Make the cluster of a cell."""
    name = cluster_name(cell.id)
    message = _upstream(name, settings)
    message.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(_protocol(settings, http2=cell.http2))
    if tls := settings.cell_tls:
        # By the cell's name, wherever its endpoints are: neither address nor port ever come from a request.
        own = tls.name.replace("{id}", str(cell.id))
        files = LookupTls(ca=tls.ca, certificate=tls.certificate, key=tls.key)
        alpn = "h2" if cell.http2 else "http/1.1"
        message.transport_socket.CopyFrom(transport_socket(upstream([own], files, sni=own, alpn=alpn)))
    if settings.health_check_path:
        check = _health_check(settings)
        check.http_health_check.path = settings.health_check_path
        if cell.http2:
            check.http_health_check.codec_client_type = http_pb2.HTTP2
        message.health_checks.append(check)
    resolved = assignment(name, cell.endpoints, cell.region) if is_resolved_by_envoy(cell) else None
    return _found(message, resolved)


def tcp_cluster(
    name: str, settings: EdgeSettings, resolved: endpoint_pb2.ClusterLoadAssignment | None
) -> Resource:
    """Make a cluster that connections are handed to unread. Its endpoints come by EDS, or are resolved."""
    message = _upstream(name, settings)
    if settings.health_check_path:
        check = _health_check(settings)
        check.tcp_health_check.SetInParent()  # it answers: there is no path to ask for
        message.health_checks.append(check)
    return _found(message, resolved)


def _found(message: Cluster, resolved: endpoint_pb2.ClusterLoadAssignment | None) -> Resource:
    if resolved is not None:
        resolve(message, resolved)
        return Resource.of(CLUSTER, message.name, message)
    message.type = Cluster.EDS
    source = message.eds_cluster_config.eds_config
    source.ads.SetInParent()
    source.resource_api_version = config_source_pb2.V3
    return Resource.of(CLUSTER, message.name, message, [(ENDPOINT, message.name)])


def fixed_cluster(fixed: FixedCluster, settings: EdgeSettings) -> Resource:
    """Make a cluster of the ruleset's own. Its endpoints are in it; nobody checks their health."""
    name = fixed_cluster_name(fixed.name)
    message = _upstream(name, settings)
    message.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(_protocol(settings, http2=fixed.http2))
    place(message, fixed.endpoints)
    return Resource.of(CLUSTER, name, message)


def _upstream(name: str, settings: EdgeSettings) -> Cluster:
    return Cluster(
        name=name,
        connect_timeout=seconds(settings.connect_timeout_seconds),
        per_connection_buffer_limit_bytes=wrappers_pb2.UInt32Value(value=BUFFER_BYTES),
        lb_policy=Cluster.LEAST_REQUEST,
        common_lb_config=_balancing(),
        circuit_breakers=_limits(settings),
        outlier_detection=_ejection(),
        # What EDS takes away goes at once, healthy or not: who removed it knows why.
        ignore_health_on_host_removal=True,
        upstream_connection_options=_keepalive(),
    )


def _keepalive() -> cluster_pb2.UpstreamConnectionOptions:
    count = wrappers_pb2.UInt32Value
    return cluster_pb2.UpstreamConnectionOptions(
        tcp_keepalive=address_pb2.TcpKeepalive(
            keepalive_time=count(value=KEEPALIVE_IDLE_SECONDS),
            keepalive_interval=count(value=KEEPALIVE_INTERVAL_SECONDS),
            keepalive_probes=count(value=KEEPALIVE_PROBES),
        )
    )


def _balancing() -> cluster_pb2.Cluster.CommonLbConfig:
    """Divide among all endpoints by weight, whatever their zone: a cell's zones are near each other, and the
    weights are how an operator empties one.

    With no healthy endpoint, all are tried: no other cell could answer for this one.
    """
    return Cluster.CommonLbConfig(
        healthy_panic_threshold=percent_pb2.Percent(value=1),
        ignore_new_hosts_until_first_hc=True,
    )


def _protocol(settings: EdgeSettings, *, http2: bool) -> any_pb2.Any:
    explicit = HttpOptions.ExplicitHttpConfig()
    if http2:
        explicit.http2_protocol_options.CopyFrom(
            protocol_pb2.Http2ProtocolOptions(
                initial_stream_window_size=wrappers_pb2.UInt32Value(value=STREAM_WINDOW_BYTES),
                initial_connection_window_size=wrappers_pb2.UInt32Value(value=CONNECTION_WINDOW_BYTES),
                allow_connect=True,
                connection_keepalive=protocol_pb2.KeepaliveSettings(
                    interval=seconds(30), timeout=seconds(5), connection_idle_interval=seconds(10)
                ),
            )
        )
    else:
        explicit.http_protocol_options.SetInParent()
    idle = protocol_pb2.HttpProtocolOptions(idle_timeout=seconds(settings.upstream_idle_seconds))
    options = HttpOptions(explicit_http_config=explicit, common_http_protocol_options=idle)
    options.http_filters.extend(upstream_filters(settings, trailers=True) if http2 else ())
    return packed(options)


def _health_check(settings: EdgeSettings) -> health_check_pb2.HealthCheck:
    interval = seconds(settings.health_check_interval_seconds)
    return health_check_pb2.HealthCheck(
        timeout=seconds(settings.health_check_timeout_seconds),
        interval=interval,
        interval_jitter=seconds(settings.health_check_interval_seconds / 10),
        # A cell without traffic is checked as often: it may be needed next, and Envoy's 60 s are long.
        no_traffic_interval=interval,
        unhealthy_interval=seconds(min(1.0, settings.health_check_interval_seconds)),
        unhealthy_edge_interval=seconds(min(1.0, settings.health_check_interval_seconds)),
        unhealthy_threshold=wrappers_pb2.UInt32Value(value=3),
        healthy_threshold=wrappers_pb2.UInt32Value(value=1),
    )


def _ejection() -> outlier_detection_pb2.OutlierDetection:
    """Take endpoints out for what the network or a gateway says, never for the application's own errors: one
    broken page would take them all out.
    """
    count = wrappers_pb2.UInt32Value
    return outlier_detection_pb2.OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=count(value=5),
        enforcing_consecutive_local_origin_failure=count(value=100),
        consecutive_gateway_failure=count(value=10),
        enforcing_consecutive_gateway_failure=count(value=100),
        enforcing_consecutive_5xx=count(value=0),
        enforcing_success_rate=count(value=0),
        enforcing_local_origin_success_rate=count(value=0),
        interval=seconds(5),
        base_ejection_time=seconds(10),
        max_ejection_time=seconds(60),
        max_ejection_percent=count(value=50),
    )


def _limits(settings: EdgeSettings) -> circuit_breaker_pb2.CircuitBreakers:
    """Keep one cell's trouble from using up what the edge has for all."""
    count = wrappers_pb2.UInt32Value
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            thresholds(
                max_connections=count(value=settings.max_connections_per_cell),
                max_pending_requests=count(value=settings.max_pending_requests_per_cell),
                max_requests=count(value=settings.max_requests_per_cell),
                retry_budget=thresholds.RetryBudget(
                    budget_percent=percent_pb2.Percent(value=20), min_retry_concurrency=count(value=10)
                ),
            )
        ]
    )
