"""What a real Envoy serves with: clusters of local endpoints, listeners, routes, and a bootstrap."""

from __future__ import annotations

from typing import Any

from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.core.v3 import config_source_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.config.route.v3 import route_pb2
from pb.envoy.extensions.filters.http.router.v3 import router_pb2
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from tests.conversation import Variant
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource

NODE = "real-envoy"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(variant: Variant, xds_port: int) -> dict[str, Any]:
    """Make an Envoy that gets all it has over ADS."""
    ads = {"ads": {}, "resource_api_version": "V3"}
    return {
        "node": {"id": NODE, "cluster": "tests"},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if variant == "delta" else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds",
                    "connect_timeout": "1s",
                    "type": "STATIC",
                    "typed_extension_protocol_options": {
                        HTTP_OPTIONS: {
                            "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "xds",
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": _address("127.0.0.1", xds_port)}}]}
                        ],
                    },
                }
            ]
        },
    }


def cluster(name: str, milliseconds: int = 1000) -> Resource:
    """Make an EDS cluster; its connect timeout is a detail to change."""
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.connect_timeout.FromMilliseconds(milliseconds)
    message.eds_cluster_config.eds_config.ads.SetInParent()
    message.eds_cluster_config.eds_config.resource_api_version = config_source_pb2.V3
    return Resource.of(CLUSTER, name, message, [(ENDPOINT, name)])


def bad_cluster(name: str) -> Resource:
    """Make a cluster that Envoy rejects: a balancer without its policy."""
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.connect_timeout.FromMilliseconds(1000)
    message.eds_cluster_config.eds_config.ads.SetInParent()
    message.eds_cluster_config.eds_config.resource_api_version = config_source_pb2.V3
    message.lb_policy = cluster_pb2.Cluster.LOAD_BALANCING_POLICY_CONFIG
    return Resource.of(CLUSTER, name, message, [(ENDPOINT, name)])


def endpoints(name: str, *ports: int) -> Resource:
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = message.endpoints.add()
    for port in ports:
        address = locality.lb_endpoints.add().endpoint.address.socket_address
        address.address, address.port_value = "127.0.0.1", port
    return Resource.of(ENDPOINT, name, message)


def listener(name: str, port: int, route: str, prefix: str = "tests") -> Resource:
    """Make an HTTP listener whose routes come over RDS."""
    manager = http_connection_manager_pb2.HttpConnectionManager(stat_prefix=prefix)
    manager.rds.route_config_name = route
    manager.rds.config_source.ads.SetInParent()
    manager.rds.config_source.resource_api_version = config_source_pb2.V3
    manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    message = listener_pb2.Listener(name=name)
    message.address.socket_address.address = "127.0.0.1"
    message.address.socket_address.port_value = port
    message.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
    return Resource.of(LISTENER, name, message, [(ROUTE, route)])


def routes(name: str, cluster_name: str) -> Resource:
    """All requests go to one cluster."""
    message = route_pb2.RouteConfiguration(name=name)
    host = message.virtual_hosts.add(name="all", domains=["*"])
    host.routes.add(match={"prefix": "/"}, route={"cluster": cluster_name})
    return Resource.of(ROUTE, name, message, [(CLUSTER, cluster_name)])


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
