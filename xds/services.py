"""The gRPC services that carry xDS, as data: the aggregated one, and one for each type.

The server makes its handlers of this table (`Snapshot -> Response`). It holds names only.
"""

from dataclasses import dataclass
from typing import Final

from xds.resource import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    RUNTIME,
    SCOPED_ROUTE,
    SECRET,
    VIRTUAL_HOST,
    ResourceType,
)


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `only` is the type that its methods imply; None for the aggregated one."""

    name: str
    delta: str
    sotw: str
    """Empty where the type exists in Delta only."""
    only: ResourceType | None = None


SERVICES: Final = (
    Service(
        "envoy.service.discovery.v3.AggregatedDiscoveryService",
        "DeltaAggregatedResources",
        "StreamAggregatedResources",
    ),
    Service(
        "envoy.service.cluster.v3.ClusterDiscoveryService",
        "DeltaClusters",
        "StreamClusters",
        CLUSTER,
    ),
    Service(
        "envoy.service.endpoint.v3.EndpointDiscoveryService",
        "DeltaEndpoints",
        "StreamEndpoints",
        ENDPOINT,
    ),
    Service(
        "envoy.service.listener.v3.ListenerDiscoveryService",
        "DeltaListeners",
        "StreamListeners",
        LISTENER,
    ),
    Service(
        "envoy.service.route.v3.RouteDiscoveryService",
        "DeltaRoutes",
        "StreamRoutes",
        ROUTE,
    ),
    Service(
        "envoy.service.route.v3.ScopedRoutesDiscoveryService",
        "DeltaScopedRoutes",
        "StreamScopedRoutes",
        SCOPED_ROUTE,
    ),
    Service(
        "envoy.service.route.v3.VirtualHostDiscoveryService",
        "DeltaVirtualHosts",
        "",
        VIRTUAL_HOST,
    ),
    Service(
        "envoy.service.secret.v3.SecretDiscoveryService",
        "DeltaSecrets",
        "StreamSecrets",
        SECRET,
    ),
    Service(
        "envoy.service.runtime.v3.RuntimeDiscoveryService",
        "DeltaRuntime",
        "StreamRuntime",
        RUNTIME,
    ),
    Service(
        "envoy.service.extension.v3.ExtensionConfigDiscoveryService",
        "DeltaExtensionConfigs",
        "StreamExtensionConfigs",
        EXTENSION_CONFIG,
    ),
)
