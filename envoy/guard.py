"""The shrink guard: does a Snapshot lose so much against the last good one that somebody should look first?

The control plane asks before it publishes. A bug or a slip that empties the topology looks like this; so does
a large but wanted removal, which is why a hold can be released. It changes nothing itself.
`View -> Snapshot`: the last look before the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoy.ext_proc_cluster import CLUSTER_NAME as EXT_PROC
from xds.resource import CLUSTER
from xds.snapshot import Snapshot

FEW: Final = 4
"""Below this many clusters only the loss of all is suspicious."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why a snapshot is held, and the counts that say so."""

    reason: str
    clusters_before: int
    clusters_after: int


def count(snapshot: Snapshot) -> int:
    """Count the clusters that the topology and the rules ask for."""
    clusters = snapshot.of_type(CLUSTER)
    return len(clusters) - (EXT_PROC in clusters)


def shrink(previous_good_clusters: int, snapshot: Snapshot) -> Hold | None:
    """Hold a snapshot that lost more than half of the clusters (of 4 or more), or all of any."""
    after = count(snapshot)
    before = previous_good_clusters
    if before > 0 and after == 0:
        reason = f"all clusters are gone; the last good snapshot had {before}"
    elif before >= FEW and after * 2 < before:
        reason = f"more than half of the clusters are gone: {after} are left of {before}"
    else:
        return None
    return Hold(reason=reason, clusters_before=before, clusters_after=after)
