"""Small resources for tests: clusters with endpoints, listeners with routes, and what refers to what."""

from __future__ import annotations

from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.config.route.v3 import route_pb2
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Reference, Resource
from xds.snapshot import Snapshot


def cluster(name: str, seconds: int = 1) -> Resource:
    """Make an EDS cluster; `seconds` is a detail to change."""
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.connect_timeout.seconds = seconds
    return Resource.of(CLUSTER, name, message, [(ENDPOINT, name)])


def endpoints(name: str, port: int = 80) -> Resource:
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    address = message.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = "127.0.0.1", port
    return Resource.of(ENDPOINT, name, message)


def both(*names: str, seconds: int = 1, port: int = 80) -> list[Resource]:
    """Clusters of these names, each with its endpoints."""
    return [one for name in names for one in (cluster(name, seconds), endpoints(name, port))]


def listener(name: str, route: str = "", detail: str = "") -> Resource:
    """Make a listener that names a route configuration."""
    message = listener_pb2.Listener(name=name, stat_prefix=detail)
    if route:
        chain = message.filter_chains.add(name=route)
        manager = http_connection_manager_pb2.HttpConnectionManager(stat_prefix=name)
        manager.rds.route_config_name = route
        manager.rds.config_source.ads.SetInParent()
        chain.filters.add(name="http").typed_config.Pack(manager)
    return Resource.of(LISTENER, name, message, [(ROUTE, route)] if route else [])


def routes(name: str, *clusters: str) -> Resource:
    """Make a route configuration that names clusters."""
    message = route_pb2.RouteConfiguration(name=name)
    for each in clusters:
        message.virtual_hosts.add(name=each, domains=[each])
    references: list[Reference] = [(CLUSTER, each) for each in clusters]
    return Resource.of(ROUTE, name, message, references)


def snapshot(revision: int, *resources: Resource | list[Resource]) -> Snapshot:
    """Make a snapshot of resources, some of them in lists."""
    flat = [one for each in resources for one in (each if isinstance(each, list) else [each])]
    return Snapshot.of(revision, flat)
