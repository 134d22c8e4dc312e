"""What clusters of every kind have in common: where HTTP options go, and endpoints as they are or by name.

Cells, the ruleset's own clusters, ext_proc servers, sidecars and collectors are made with it.
`View -> Snapshot`.
"""

from __future__ import annotations

from typing import Final

from google.protobuf import wrappers_pb2

from envoy.endpoints import assignment
from envoy.matchers import packed
from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.core.v3 import extension_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from pb.envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2
from topology.model import Endpoint

Cluster = cluster_pb2.Cluster

HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def place(message: Cluster, endpoints: tuple[Endpoint, ...]) -> None:
    """Write endpoints into a cluster: as they are where all are addresses, else for Envoy to resolve."""
    places = assignment(message.name, endpoints)
    if all(endpoint.is_ip for endpoint in endpoints):
        message.type = Cluster.STATIC
        message.load_assignment.CopyFrom(places)
    else:
        resolve(message, places)


def resolve(message: Cluster, places: endpoint_pb2.ClusterLoadAssignment) -> None:
    """Have Envoy resolve the endpoints' names."""
    message.type = Cluster.STRICT_DNS
    message.dns_lookup_family = Cluster.V4_PREFERRED
    message.respect_dns_ttl = True
    message.typed_dns_resolver_config.CopyFrom(_resolver())
    message.load_assignment.CopyFrom(places)


def _resolver() -> extension_pb2.TypedExtensionConfig:
    """Give up on a silent name server in 4 seconds, not 20: a new cluster holds up those after it so long."""
    count = wrappers_pb2.UInt64Value
    message = cares_dns_resolver_pb2.CaresDnsResolverConfig(
        query_timeout_seconds=count(value=2), query_tries=wrappers_pb2.UInt32Value(value=2)
    )
    return extension_pb2.TypedExtensionConfig(
        name="envoy.network.dns_resolver.cares", typed_config=packed(message)
    )
