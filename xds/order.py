"""The order of a push, as data: make before break.

Envoy warms clusters and listeners but not routes, so what is named must be there before whoever names it,
and may go only when nobody names it any more. Streams walk this table (`Snapshot -> Response`); nothing
here holds state.
https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#eventual-consistency-considerations
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How one type takes its turn. Only types that the stream has subscribed to are ever waited for."""

    type: ResourceType
    after: tuple[ResourceType, ...] = ()
    """Additions and changes wait until what was sent of these types is acknowledged."""
    removed_after: tuple[ResourceType, ...] = ()
    """Removals wait until no resource of these types, as the client has it, names what shall go."""
    removal_grace: bool = False
    """Removals wait a little longer still: for requests in flight, and workers that have yet to see the
    change."""
    updates_block: bool = True
    """Types that come `after` wait for changes of this type too, not only for additions."""
    followed_by: tuple[ResourceType, ...] = ()
    """Children to send again after a changed parent, which starts to wait for them anew."""


NAMING_CLUSTERS: Final = (LISTENER, EXTENSION_CONFIG, SCOPED_ROUTE, ROUTE, VIRTUAL_HOST)

# The order of these steps matters: it is the order in which responses leave.
ORDER: Final = (
    # Envoy asks for its runtime layer first, and for nothing else until it has it.
    Step(type=RUNTIME),
    # 1. Clusters, then their endpoints at once: Envoy acknowledges a cluster only when its endpoints have
    # come.
    Step(type=CLUSTER, removed_after=NAMING_CLUSTERS, removal_grace=True, followed_by=(ENDPOINT,)),
    Step(type=ENDPOINT, removed_after=(CLUSTER,), updates_block=False),
    # Clusters and listeners that use a secret wait for it, so secrets wait for nobody.
    Step(type=SECRET, removed_after=(CLUSTER, LISTENER), updates_block=False),
    # 2. What names clusters, once these have been acknowledged.
    Step(type=LISTENER, after=(CLUSTER, ENDPOINT), followed_by=(ROUTE,)),
    Step(type=EXTENSION_CONFIG, after=(CLUSTER, ENDPOINT), removed_after=(LISTENER,)),
    Step(type=SCOPED_ROUTE, after=(CLUSTER, ENDPOINT)),
    Step(type=ROUTE, after=(CLUSTER, ENDPOINT), removed_after=(LISTENER, SCOPED_ROUTE)),
    Step(type=VIRTUAL_HOST, after=(CLUSTER, ENDPOINT)),
    # 3. Removals take their turn after all of these: see `removed_after`.
)
