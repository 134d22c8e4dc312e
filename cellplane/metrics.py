"""Prometheus metrics, read from the state of the watcher, the publisher and the fleet when somebody scrapes.

Labels are bounded: group, type, state, kind, cell. Never a node, a stream or a customer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cellplane.publisher_state import PublisherState
from cellplane.pushes import EDGE
from topology.lifecycle import unowned_weight
from topology.view import View
from topology.watcher import WatcherState
from xds.cache import Cache
from xds.hold_book import HoldBook
from xds.resource import TYPES
from xds.status import Fleet


class ControlPlaneCollector(Collector):
    """Everything that a control plane exports."""

    def __init__(
        self,
        fleet: Fleet,
        publisher: PublisherState,
        watcher: WatcherState,
        holds: HoldBook,
        cache: Cache,
    ) -> None:
        self._fleet = fleet
        self._cache = cache
        self._holds = holds
        self._publisher = publisher
        self._watcher = watcher

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        yield from self._view()
        yield from self._pushes()
        yield from self._streams()
        yield self._held()

    def _view(self) -> Iterator[Metric]:
        watcher, view = self._watcher, self._publisher.view
        yield _gauge("cellplane_etcd_connected", "1 while the watch on etcd stands.", watcher.connected)
        yield _counter(
            "cellplane_etcd_relists", "Times that the topology had to be listed again.", watcher.relists
        )
        if view is None:
            return
        stale = self._publisher.is_stale(watcher.connected)
        yield _gauge("cellplane_view_revision", "etcd revision of the newest View.", view.revision)
        yield _gauge(
            "cellplane_view_stale", "1 while the View may be out of date: etcd is not followed.", stale
        )
        cells = GaugeMetricFamily("cellplane_cells", "Cells by state.", labels=["state"])
        for state, count in Counter(cell.state.value for cell in view.cells.values()).items():
            cells.add_metric([state], count)
        yield cells
        yield _weights(view)
        kept_out = GaugeMetricFamily(
            "cellplane_records_quarantined", "Records kept out of the View.", labels=["kind"]
        )
        for kind, count in Counter(record.kind.value for record in view.quarantined.values()).items():
            kept_out.add_metric([kind], count)
        yield kept_out

    def _pushes(self) -> Iterator[Metric]:
        state = self._publisher
        yield _counter("cellplane_publishes", "Snapshots published.", state.publishes)
        yield _counter(
            "cellplane_publishes_held",
            "Snapshots held because they lost too much, or an Envoy refused them.",
            state.holds,
        )
        yield _counter(
            "cellplane_publishes_refused", "Snapshots refused by the reference check.", state.refusals
        )
        yield _counter(
            "cellplane_publish_failures", "Views that could not be translated: a bug.", state.failures
        )
        held = GaugeMetricFamily(
            "cellplane_push_held", "1 while a push of the group is held.", labels=["group"]
        )
        held.add_metric([EDGE], state.held is not None)
        yield held
        yield _gauge(
            "cellplane_rules_refused",
            "1 while the ruleset in the store cannot be read.",
            bool(state.rules_problem),
        )
        if state.published is not None:
            revision = GaugeMetricFamily(
                "cellplane_published_revision", "Revision last published.", labels=["group"]
            )
            revision.add_metric([EDGE], state.published.revision)
            yield revision
            age = GaugeMetricFamily(
                "cellplane_published_age_seconds", "Time since the last publish.", labels=["group"]
            )
            age.add_metric([EDGE], time.time() - state.published_at)
            yield age

    def _held(self) -> Metric:
        held = GaugeMetricFamily(
            "cellplane_xds_held",
            "Rejected versions that are not sent: to nobody of the group, or not to the node that rejected.",
            labels=["group", "type", "scope"],
        )
        for (group, kind, for_group), count in self._holds.counts().items():
            held.add_metric([group, kind, "group" if for_group else "node"], count)
        return held

    def _streams(self) -> Iterator[Metric]:
        counters = self._fleet.counters()
        streams = GaugeMetricFamily("cellplane_xds_streams", "Open streams.", labels=["group"])
        # A series that is there before it counts: who asks for a rise would not see it come.
        for group, count in ({EDGE: 0} | dict(counters.streams)).items():
            streams.add_metric([group], count)
        yield streams
        yield _counter(
            "cellplane_xds_streams_turned_away",
            "Streams told to come back later: too many began at once, or their group has no configuration.",
            counters.turned_away,
        )
        yield _counter(
            "cellplane_xds_offer_failures",
            "Streams ended because they could not take over a Snapshot: a bug.",
            self._cache.failures,
        )
        for name, text, found in (
            ("cellplane_xds_resources_sent", "Resources sent.", counters.resources_sent),
            ("cellplane_xds_responses_sent", "Responses sent.", counters.responses_sent),
            ("cellplane_xds_acks", "Responses ACKed.", counters.acks),
            ("cellplane_xds_nacks", "Responses rejected.", counters.nacks),
        ):
            family = CounterMetricFamily(name, text, labels=["type"])
            for kind in sorted({one.name for one in TYPES} | found.keys()):
                family.add_metric([kind], found.get(kind, 0))
            yield family


def _weights(view: View) -> Metric:
    weights = GaugeMetricFamily(
        "cellplane_cell_weight", "Weight for traffic that nobody owns, of this moment.", labels=["cell"]
    )
    now = datetime.now(UTC)
    for cell in view.cells.values():
        weights.add_metric([str(cell.id)], unowned_weight(cell, now))
    return weights


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
