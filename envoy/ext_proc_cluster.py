"""The cluster of ext_proc servers, as Envoy asks them: by gRPC health, never one that does not answer.

`translate` makes it from the edge's settings; the listener names it. `View -> Snapshot`, a part that no View
decides.
"""

from __future__ import annotations

from typing import Final

from google.protobuf import wrappers_pb2

from envoy.cluster_parts import HTTP_OPTIONS, place
from envoy.durations import seconds
from envoy.edge import Lookups
from envoy.matchers import packed
from envoy.tls_contexts import transport_socket, upstream
from pb.envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from pb.envoy.config.core.v3 import health_check_pb2, protocol_pb2
from pb.envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from xds.resource import CLUSTER, Resource

CLUSTER_NAME: Final = "ext-proc"
"""No cell's can be like it, nor a ruleset's own."""
SHADOW_CLUSTER: Final = "ext-proc-shadow"
"""The same servers, for what they are only shown: never at the cost of a question."""
MAX_QUESTIONS: Final = 4096
MAX_SHOWN: Final = 64


def ext_proc_clusters(lookups: Lookups) -> tuple[Resource, Resource]:
    """Make the cluster that is asked, and the one that requests are shown to."""
    return (
        _cluster(CLUSTER_NAME, lookups, MAX_QUESTIONS),
        _cluster(SHADOW_CLUSTER, lookups, MAX_SHOWN),
    )


def _cluster(name: str, lookups: Lookups, most: int) -> Resource:
    message = cluster_pb2.Cluster(
        name=name,
        connect_timeout=seconds(lookups.timeout_seconds),
        lb_policy=cluster_pb2.Cluster.LEAST_REQUEST,
        health_checks=[_health_check()],
        circuit_breakers=_limits(most),
        outlier_detection=_ejection(),
        ignore_health_on_host_removal=True,
    )
    # With no healthy server there is nobody to wait for: memory answers, or the rule's policy does.
    message.common_lb_config.healthy_panic_threshold.value = 0
    http = http_protocol_options_pb2.HttpProtocolOptions()
    http.explicit_http_config.http2_protocol_options.connection_keepalive.CopyFrom(
        protocol_pb2.KeepaliveSettings(interval=seconds(5), timeout=seconds(1))
    )
    message.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(http))
    if lookups.tls:
        hosts = (endpoint.host for endpoint in lookups.endpoints)
        message.transport_socket.CopyFrom(transport_socket(upstream(hosts, lookups.tls)))
    place(message, lookups.endpoints)
    return Resource.of(CLUSTER, name, message)


def _health_check() -> health_check_pb2.HealthCheck:
    """Notice a frozen server within a second: until then each question to it costs the time to wait."""
    return health_check_pb2.HealthCheck(
        timeout=seconds(0.25),
        interval=seconds(0.5),
        no_traffic_interval=seconds(0.5),
        unhealthy_threshold=wrappers_pb2.UInt32Value(value=2),
        healthy_threshold=wrappers_pb2.UInt32Value(value=1),
        grpc_health_check=health_check_pb2.HealthCheck.GrpcHealthCheck(),
    )


def _ejection() -> outlier_detection_pb2.OutlierDetection:
    """Leave a server that can't be reached alone for a second: health checks find out only later."""
    count = wrappers_pb2.UInt32Value
    return outlier_detection_pb2.OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=count(value=2),
        enforcing_consecutive_local_origin_failure=count(value=100),
        enforcing_consecutive_5xx=count(value=0),
        enforcing_consecutive_gateway_failure=count(value=0),
        enforcing_success_rate=count(value=0),
        enforcing_local_origin_success_rate=count(value=0),
        interval=seconds(1),
        base_ejection_time=seconds(1),
        max_ejection_time=seconds(5),
        max_ejection_percent=count(value=100),
    )


def _limits(most: int) -> circuit_breaker_pb2.CircuitBreakers:
    count = wrappers_pb2.UInt32Value
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            circuit_breaker_pb2.CircuitBreakers.Thresholds(
                max_requests=count(value=most),
                max_pending_requests=count(value=most),
                max_retries=count(value=most),
            )
        ]
    )
