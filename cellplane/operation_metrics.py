"""Prometheus metrics of pushes and of the fleet: how fast changes arrive, why they are made, who lags.

Read from the tracker, the history and the fleet when somebody scrapes. Labels are bounded: group, cause, age;
never a node, a push or an author.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cellplane.histograms import histogram
from cellplane.operations import Operations
from cellplane.publisher_state import PublisherState
from cellplane.push_tracker import PushTracker
from cellplane.pushes import EDGE
from topology.watcher import WatcherState
from xds.cache import Cache
from xds.status import Fleet


class OperationsCollector(Collector):
    """What `Operations` and the publisher's pushes export."""

    def __init__(
        self,
        fleet: Fleet,
        cache: Cache,
        publisher: PublisherState,
        watcher: WatcherState,
        tracker: PushTracker,
        operations: Operations,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fleet = fleet
        self._cache = cache
        self._publisher = publisher
        self._watcher = watcher
        self._tracker = tracker
        self._operations = operations
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        yield from self._pushes()
        yield from self._nodes()
        yield from self._history()
        yield histogram(
            "cellplane_snapshot_build_seconds",
            "Time to translate a View into a Snapshot.",
            {(): self._publisher.builds},
        )
        resources = GaugeMetricFamily(
            "cellplane_snapshot_resources", "Resources of the current Snapshot.", labels=["group", "type"]
        )
        for group, snapshot in self._cache.snapshots():
            for kind in snapshot.resources:
                resources.add_metric([group, kind.name], len(snapshot.of_type(kind)))
        yield resources
        if self._watcher.heard_at is not None:
            age = max(0.0, self._clock() - self._watcher.heard_at)
            yield _gauge("cellplane_view_age_seconds", "Time since etcd was heard of last.", age)

    def _pushes(self) -> Iterator[Metric]:
        yield histogram(
            "cellplane_convergence_seconds",
            "From a change's arrival from etcd to a node's acknowledgement of all of it.",
            {(group,): times for group, times in self._tracker.convergence.items()},
            ("group",),
        )
        pushes = CounterMetricFamily(
            "cellplane_pushes", "Pushes that changed something, by why.", labels=["group", "cause"]
        )
        for key, count in self._operations.history.causes.items():
            pushes.add_metric(key, count)
        yield pushes
        frozen = self._publisher.frozen is not None
        yield _gauge("cellplane_pushes_frozen", "1 while nothing goes out, by an operator's word.", frozen)
        rejected = CounterMetricFamily(
            "cellplane_push_rejections", "Rejections blamed on a push.", labels=["group"]
        )
        for group, count in ({EDGE: 0} | self._tracker.rejections).items():
            rejected.add_metric([group], count)
        yield rejected

    def _nodes(self) -> Iterator[Metric]:
        published = self._publisher.published
        revision = published.revision if published is not None else 0
        nodes: Counter[str] = Counter()
        behind: Counter[str] = Counter()
        lag: Counter[str] = Counter()
        for node in self._fleet.nodes():
            missing = max(0, revision - node.settled_revision)
            nodes[node.group] += 1
            behind[node.group] += missing > 0
            lag[node.group] = max(lag[node.group], missing)
        for name, text, found in (
            ("cellplane_fleet_nodes", "Nodes that are connected here.", nodes),
            ("cellplane_fleet_nodes_behind", "Nodes that lack something of what is published.", behind),
            ("cellplane_fleet_lag_revisions", "Revisions that the last node is behind.", lag),
        ):
            family = GaugeMetricFamily(name, text, labels=["group"])
            for group, count in found.items():
                family.add_metric([group], count)
            yield family

    def _history(self) -> Iterator[Metric]:
        history, tracker = self._operations.history, self._tracker
        unwritten = len(tracker.unwritten)
        yield _gauge("cellplane_pushes_unwritten", "Pushes not yet in the history.", unwritten)
        yield CounterMetricFamily(
            "cellplane_pushes_forgotten", "Pushes lost to the history: etcd was away.", tracker.forgotten
        )
        connected = history.followed.state.connected
        yield _gauge("cellplane_history_connected", "1 while the history is followed.", connected)
        reported = not self._operations.reporter.problem
        yield _gauge("cellplane_fleet_reported", "1 while other replicas are told of these nodes.", reported)
        yield _gauge("cellplane_feed_listeners", "Readers of /v1/events.", self._operations.feed.listeners)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
