"""A Snapshot as one static bootstrap, everything inline: for `envoy --mode validate` and for a look by eye.

Tests and push checks hand it to a real Envoy. Routes go into their listener and endpoints into their cluster,
so that nothing is left to be fetched. It starts no Envoy. `View -> Snapshot`, read back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format

from envoy.matchers import packed
from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.config.route.v3 import route_pb2
from pb.envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from pb.envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Resource, ResourceType
from xds.snapshot import Snapshot

if TYPE_CHECKING:
    from google.protobuf.message import Message

Hcm = http_connection_manager_pb2.HttpConnectionManager

_MESSAGES: Final[dict[ResourceType, type[Message]]] = {
    CLUSTER: cluster_pb2.Cluster,
    ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
    LISTENER: listener_pb2.Listener,
    ROUTE: route_pb2.RouteConfiguration,
    SECRET: secret_pb2.Secret,
}


def static_bootstrap(snapshot: Snapshot, admin_port: int | None = None) -> dict[str, Any]:
    """Make a bootstrap that holds the whole snapshot, which must be free of dangling references."""
    clusters = [_cluster(each, snapshot) for each in snapshot.of_type(CLUSTER).values()]
    listeners = [_listener(each, snapshot) for each in snapshot.of_type(LISTENER).values()]
    bootstrap: dict[str, Any] = {
        "static_resources": {
            "clusters": [_at_hand(printable(message)) for message in clusters],
            "listeners": [_at_hand(printable(message)) for message in listeners],
            "secrets": described(snapshot, SECRET),
        }
    }
    if admin_port is not None:
        address = {"address": "127.0.0.1", "port_value": admin_port}
        bootstrap["admin"] = {"address": {"socket_address": address}}
    return bootstrap


def described(snapshot: Snapshot, kind: ResourceType) -> list[dict[str, Any]]:
    """Give all resources of a type in a form for people, by name."""
    return [printable(_message(each)) for _, each in sorted(snapshot.of_type(kind).items())]


def printable(message: Message) -> dict[str, Any]:
    """Give a message as Envoy's YAML and JSON spell it, in plain dictionaries."""
    found: dict[str, Any] = json.loads(
        json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)
    )
    return found


def _at_hand(value: Any) -> Any:
    """Have secrets taken by name from what is static too, and not asked for."""
    if isinstance(value, dict):
        return {name: _at_hand(each) for name, each in value.items() if name != "sds_config"}
    return [_at_hand(each) for each in value] if isinstance(value, list) else value


def _message(resource: Resource) -> Message:
    return _MESSAGES[resource.type].FromString(resource.body)


def _cluster(resource: Resource, snapshot: Snapshot) -> cluster_pb2.Cluster:
    message = cluster_pb2.Cluster.FromString(resource.body)
    if message.type == cluster_pb2.Cluster.EDS:
        assignment = snapshot.of_type(ENDPOINT)[resource.name]
        message.type = cluster_pb2.Cluster.STATIC
        message.ClearField("eds_cluster_config")
        message.load_assignment.ParseFromString(assignment.body)
    return message


def _listener(resource: Resource, snapshot: Snapshot) -> listener_pb2.Listener:
    message = listener_pb2.Listener.FromString(resource.body)
    for chain in message.filter_chains:
        for each in chain.filters:
            manager = Hcm()
            if each.typed_config.Unpack(manager) and manager.HasField("rds"):
                routes = snapshot.of_type(ROUTE)[manager.rds.route_config_name]
                manager.route_config.ParseFromString(routes.body)  # of a oneof: takes the place of rds
                each.typed_config.CopyFrom(packed(manager))
    return message
