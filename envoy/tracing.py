"""Traces of requests by OpenTelemetry: what an edge tells a collector, over OTLP.

The edge begins a trace, or goes on with one that a trusted proxy began; the cell and the servers that are
asked for owners get it handed on (`traceparent`). Paths are told without their queries, which hold tokens.
`View -> Snapshot`, a part that no View decides.
"""

from __future__ import annotations

from typing import Final

from google.protobuf import wrappers_pb2

from envoy.cluster_parts import HTTP_OPTIONS, place
from envoy.durations import seconds
from envoy.edge import Tracing
from envoy.matchers import packed
from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from pb.envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from pb.envoy.type.tracing.v3 import custom_tag_pb2
from pb.envoy.type.v3 import percent_pb2
from xds.resource import CLUSTER, Resource

COLLECTOR: Final = "otel-collector"
"""The cluster's name. No cell's can be like it, nor a ruleset's own."""
TRACE_HEADERS: Final = ("traceparent", "tracestate")
_TAGS: Final = {
    "url.path": "%PATH(NQ:PATH)%",
    "cellplane.cell": "%UPSTREAM_CLUSTER%",
    "cellplane.rule": "%ROUTE_NAME%",
}
_SEND_SECONDS: Final = 1.0


def tracing(found: Tracing) -> http_connection_manager_pb2.HttpConnectionManager.Tracing:
    """Make what the connection manager does about traces."""
    config = opentelemetry_pb2.OpenTelemetryConfig(service_name=found.service_name)
    config.grpc_service.envoy_grpc.cluster_name = COLLECTOR
    config.grpc_service.timeout.CopyFrom(seconds(_SEND_SECONDS))
    return http_connection_manager_pb2.HttpConnectionManager.Tracing(
        provider=http_tracer_pb2.Tracing.Http(
            name="envoy.tracers.opentelemetry", typed_config=packed(config)
        ),
        random_sampling=percent_pb2.Percent(value=found.percent),
        client_sampling=percent_pb2.Percent(value=0),
        spawn_upstream_span=wrappers_pb2.BoolValue(value=True),
        # Envoy's own tag for the address has the query in it.
        max_path_tag_length=wrappers_pb2.UInt32Value(value=0),
        custom_tags=(custom_tag_pb2.CustomTag(tag=tag, value=value) for tag, value in _TAGS.items()),
    )


def collector_cluster(found: Tracing) -> Resource:
    """Make the cluster of the collectors. Whether they answer is nothing to any request."""
    message = cluster_pb2.Cluster(name=COLLECTOR, connect_timeout=seconds(_SEND_SECONDS))
    http = http_protocol_options_pb2.HttpProtocolOptions()
    http.explicit_http_config.http2_protocol_options.SetInParent()
    message.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(http))
    place(message, found.endpoints)
    return Resource.of(CLUSTER, COLLECTOR, message)
