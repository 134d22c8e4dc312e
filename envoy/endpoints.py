"""A cell's endpoints as Envoy's ClusterLoadAssignment: zones as localities, weights as they are.

`translate` hands in one cell at a time; `clusters` puts the same message inside a cluster that Envoy resolves
by DNS. `View -> Snapshot`.
"""

from __future__ import annotations

from google.protobuf import wrappers_pb2

from envoy.standing import cluster_name
from pb.envoy.config.core.v3 import base_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from topology.model import Cell, Endpoint
from xds.resource import ENDPOINT, Resource


def endpoints(cell: Cell) -> Resource:
    """Make the endpoint assignment of a cell, for EDS."""
    return Resource.of(
        ENDPOINT, cluster_name(cell.id), assignment(cluster_name(cell.id), cell.endpoints, cell.region)
    )


def assignment(
    cluster: str, places: tuple[Endpoint, ...], region: str = ""
) -> endpoint_pb2.ClusterLoadAssignment:
    """List a cluster's endpoints by zone; one of weight 0 is out of service, and left out."""
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster)
    for zone in sorted({endpoint.zone for endpoint in places if endpoint.weight}):
        locality = message.endpoints.add()
        if region or zone:
            locality.locality.CopyFrom(base_pb2.Locality(region=region, zone=zone))
        for endpoint in places:
            if endpoint.zone == zone and endpoint.weight:
                place = locality.lb_endpoints.add(
                    load_balancing_weight=wrappers_pb2.UInt32Value(value=endpoint.weight)
                )
                place.endpoint.address.socket_address.address = endpoint.host
                place.endpoint.address.socket_address.port_value = endpoint.port
    return message
