"""The route table as a resource: a virtual host that has been serialised, and what it says of generations.

`routes` makes the host, which may be a megabyte, and need not make it anew for a number. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from envoy.edge import ROUTES_NAME
from envoy.forgetting import forgetting
from envoy.pending import LUA_FILTER
from envoy.shadow import shadow_on
from pb.envoy.config.core.v3 import base_pb2
from pb.envoy.config.route.v3 import route_components_pb2, route_pb2
from xds.encoding import field
from xds.resource import ROUTE, Reference, Resource

NO_GENERATIONS: Final[Mapping[int, int]] = {}
_METADATA: Final = route_components_pb2.VirtualHost.DESCRIPTOR.fields_by_name["metadata"].number
_VIRTUAL_HOSTS: Final = route_pb2.RouteConfiguration.DESCRIPTOR.fields_by_name["virtual_hosts"].number


def route_resource(
    host: bytes,
    generations: Mapping[int, int],
    references: Iterable[Reference],
    choices: bytes = b"",
    shown: int = 0,
) -> Resource:
    """Put the table together; `choices` are of clusters, serialised already.

    In protobuf a message's fields may be written one after the other.
    """
    if generations:
        host += field(_METADATA, _metadata(generations).SerializeToString(deterministic=True))
    if shown:
        host += shadow_on(shown)
    top = route_pb2.RouteConfiguration(
        name=ROUTES_NAME,
        # A quarantined cell's own answer names the cell, where the virtual host knows no upstream.
        most_specific_header_mutations_wins=True,
    )
    body = top.SerializeToString(deterministic=True) + field(_VIRTUAL_HOSTS, host) + choices
    return Resource.of(ROUTE, ROUTES_NAME, body, references)


def _metadata(generations: Mapping[int, int]) -> base_pb2.Metadata:
    """Say to Lua which claims were dropped or moved of late."""
    found = base_pb2.Metadata()
    found.filter_metadata[LUA_FILTER].update(forgetting(generations))
    return found
