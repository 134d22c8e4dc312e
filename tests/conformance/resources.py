"""What the conformance target serves under a name: small valid configuration that changes with a number.

The adapter asks for it by type and name. Nothing names anything else, for a state may hold one type alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.config.route.v3 import route_pb2
from pb.envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource, ResourceType

LOCAL: Final = "127.0.0.1"
FIRST_PORT: Final = 10_000


def resource(kind: ResourceType, name: str, edition: int) -> Resource:
    """Make a resource; each edition of it differs from the others."""
    return Resource.of(kind, name, _MAKERS[kind](name, edition))


def skeleton(kind: ResourceType, name: str) -> bytes:
    """Return a resource that has a name and nothing else."""
    named = {"cluster_name" if kind is ENDPOINT else "name": name}
    return bytes(_MESSAGES[kind](**named).SerializeToString())


def name_of(kind: ResourceType, body: bytes) -> str:
    """Read the name out of a resource. Raises DecodeError where it is none of this type."""
    message = _MESSAGES[kind].FromString(body)
    return str(message.cluster_name if kind is ENDPOINT else message.name)


def _cluster(name: str, edition: int) -> Any:
    cluster = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.STATIC)
    cluster.connect_timeout.seconds = 1 + edition
    cluster.load_assignment.CopyFrom(_endpoints(name, 0))
    return cluster


def _endpoints(name: str, edition: int) -> Any:
    endpoints = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    address = endpoints.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = LOCAL, FIRST_PORT + edition
    return endpoints


def _listener(name: str, edition: int) -> Any:
    listener = listener_pb2.Listener(name=name)
    listener.address.socket_address.address = LOCAL
    listener.address.socket_address.port_value = FIRST_PORT + edition
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix=name, cluster=name)
    listener.filter_chains.add().filters.add(name="tcp").typed_config.Pack(proxy)
    return listener


def _routes(name: str, edition: int) -> Any:
    routes = route_pb2.RouteConfiguration(name=name)
    route = routes.virtual_hosts.add(name=name, domains=["*"]).routes.add()
    route.match.prefix = "/"
    route.direct_response.status = 200
    route.direct_response.body.inline_string = str(edition)
    return routes


_MAKERS: Final[Mapping[ResourceType, Callable[[str, int], Any]]] = {
    CLUSTER: _cluster,
    ENDPOINT: _endpoints,
    LISTENER: _listener,
    ROUTE: _routes,
}
_MESSAGES: Final[Mapping[ResourceType, Any]] = {
    CLUSTER: cluster_pb2.Cluster,
    ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
    LISTENER: listener_pb2.Listener,
    ROUTE: route_pb2.RouteConfiguration,
}
SERVED: Final = tuple(_MAKERS)
