"""The cluster of ext_proc servers, as Envoy asks them: by gRPC health, never one that does not answer.

`translate` makes it from the edge's settings; the listener names it. `View -> Snapshot`, a part that no View
decides.
"""

from __future__ import annotations

from typing import Final

from google.protobuf import wrappers_pb2

from envoy.clusters import HTTP_OPTIONS, resolve
from envoy.durations import seconds
from envoy.edge import Lookups, LookupTls
from envoy.endpoints import assignment
from envoy.matchers import packed
from pb.envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from pb.envoy.config.core.v3 import base_pb2, health_check_pb2, protocol_pb2
from pb.envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from pb.envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from pb.envoy.type.matcher.v3 import string_pb2
from xds.resource import CLUSTER, Resource

CLUSTER_NAME: Final = "ext-proc"
"""No cell's can be like it, nor a ruleset's own."""
MAX_QUESTIONS: Final = 4096


def ext_proc_cluster(lookups: Lookups) -> Resource:
    """Make the cluster."""
    places = assignment(CLUSTER_NAME, lookups.endpoints)
    message = cluster_pb2.Cluster(
        name=CLUSTER_NAME,
        connect_timeout=seconds(lookups.timeout_seconds),
        lb_policy=cluster_pb2.Cluster.LEAST_REQUEST,
        health_checks=[_health_check()],
        circuit_breakers=_limits(),
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
        message.transport_socket.name = "envoy.transport_sockets.tls"
        message.transport_socket.typed_config.CopyFrom(packed(_tls(lookups, lookups.tls)))
    if all(endpoint.is_ip for endpoint in lookups.endpoints):
        message.type = cluster_pb2.Cluster.STATIC
        message.load_assignment.CopyFrom(places)
    else:
        resolve(message, places)
    return Resource.of(CLUSTER, CLUSTER_NAME, message)


def _tls(lookups: Lookups, files: LookupTls) -> tls_pb2.UpstreamTlsContext:
    """Trust a certificate of the CA that is one of the servers' by name or address."""
    name = common_pb2.SubjectAltNameMatcher
    validation = common_pb2.CertificateValidationContext(
        trusted_ca=base_pb2.DataSource(filename=files.ca),
        match_typed_subject_alt_names=(
            name(
                san_type=name.IP_ADDRESS if endpoint.is_ip else name.DNS,
                matcher=string_pb2.StringMatcher(exact=endpoint.host),
            )
            for endpoint in lookups.endpoints
        ),
    )
    context = tls_pb2.CommonTlsContext(validation_context=validation, alpn_protocols=["h2"])
    if files.certificate:
        context.tls_certificates.add(
            certificate_chain=base_pb2.DataSource(filename=files.certificate),
            private_key=base_pb2.DataSource(filename=files.key),
        )
    return tls_pb2.UpstreamTlsContext(common_tls_context=context)


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


def _limits() -> circuit_breaker_pb2.CircuitBreakers:
    count = wrappers_pb2.UInt32Value
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            circuit_breaker_pb2.CircuitBreakers.Thresholds(
                max_requests=count(value=MAX_QUESTIONS),
                max_pending_requests=count(value=MAX_QUESTIONS),
                max_retries=count(value=MAX_QUESTIONS),
            )
        ]
    )
