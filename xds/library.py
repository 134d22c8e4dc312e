"""All that a control plane of one's own needs of this package, in one place: import it from here.

Hand a `Cache` a `Snapshot` for each group, let an `AdsServer` serve it, and read the `Fleet` or be its
`Witness` (`View -> Snapshot -> Response`). What is listed here stays; everything else in the package is free
to change. A guide is in `docs/xds-library.md`.
"""

from xds.cache import Cache, Published, Refused
from xds.errors import CertificateError, DuplicateResourceError, ListenError, ResourceError, XdsError
from xds.node_status import Nack, NodeStatus, TypeStatus
from xds.nodes import Classify, Identity, Node, Refusal
from xds.options import ServerOptions
from xds.resource import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    RUNTIME,
    SCOPED_ROUTE,
    SECRET,
    TYPES,
    VIRTUAL_HOST,
    Reference,
    Resource,
    ResourceType,
)
from xds.server import AdsServer
from xds.snapshot import Dangling, Snapshot
from xds.status import Fleet, Witness
from xds.tls import ServerTls

__all__ = [
    "CLUSTER",
    "ENDPOINT",
    "EXTENSION_CONFIG",
    "LISTENER",
    "ROUTE",
    "RUNTIME",
    "SCOPED_ROUTE",
    "SECRET",
    "TYPES",
    "VIRTUAL_HOST",
    "AdsServer",
    "Cache",
    "CertificateError",
    "Classify",
    "Dangling",
    "DuplicateResourceError",
    "Fleet",
    "Identity",
    "ListenError",
    "Nack",
    "Node",
    "NodeStatus",
    "Published",
    "Reference",
    "Refusal",
    "Refused",
    "Resource",
    "ResourceError",
    "ResourceType",
    "ServerOptions",
    "ServerTls",
    "Snapshot",
    "TypeStatus",
    "Witness",
    "XdsError",
]
