"""The shrink guard: does a Snapshot lose so much against the last good one that somebody should look first?

The control plane asks before it publishes. A bug or a slip that empties the topology or the rules looks like
this; so does a large but wanted removal, which is why a hold can be released. It changes nothing itself.
`View -> Snapshot`: the last look before the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from envoy.ext_proc_cluster import CLUSTER_NAME as EXT_PROC
from envoy.ext_proc_cluster import SHADOW_CLUSTER
from envoy.translate import Translation
from xds.resource import CLUSTER

FEW: Final = 4
"""Below so many only the loss of all is suspicious."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a Snapshot has: the clusters that topology and rules ask for, and the routes: each rule is one."""

    clusters: int = 0
    routes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What is lost too much of, in words. `kind` is clusters or routes."""

    kind: str
    reason: str


def extent(translation: Translation) -> Extent:
    """Count what a Snapshot has. Rules that the clock has ended count: their end was meant."""
    clusters = translation.snapshot.of_type(CLUSTER)
    return Extent(clusters=len(clusters.keys() - {EXT_PROC, SHADOW_CLUSTER}), routes=len(translation.rules))


def losses(good: Extent, now: Extent, most_percent: float) -> Iterator[Loss]:
    """Yield what is lost beyond so many per cent (of 4 or more), or all of any."""
    for kind, before, after in (
        ("clusters", good.clusters, now.clusters),
        ("routes", good.routes, now.routes),
    ):
        if before > 0 and after == 0:
            yield Loss(kind=kind, reason=f"all {kind} are gone; the last good snapshot had {before}")
        elif before >= FEW and (before - after) * 100 > most_percent * before:
            share = "half" if most_percent == 50 else f"{most_percent:g} %"
            reason = f"more than {share} of the {kind} are gone: {after} are left of {before}"
            yield Loss(kind=kind, reason=reason)
