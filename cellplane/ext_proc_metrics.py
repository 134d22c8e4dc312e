"""Prometheus metrics of the ext_proc server, read from its state when somebody scrapes.

Labels are bounded: rule (of the ruleset in force, or "other"), outcome. Never a claim or a cell.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cellplane.topology_metrics import watches
from envoy.ext_proc import ExtProcServer
from topology.claims.follower import ClaimFollower
from topology.watcher import WatcherState


class ExtProcCollector(Collector):
    """Everything that an ext_proc server exports."""

    def __init__(self, server: ExtProcServer, follower: ClaimFollower, watcher: WatcherState) -> None:
        self._server = server
        self._follower = follower
        self._watcher = watcher

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        answers = CounterMetricFamily(
            "cellplane_ext_proc_answers",
            "Owners looked up for Envoys, by the rule that asked and the outcome.",
            labels=("rule", "outcome"),
        )
        for key, count in self._server.answers.items():
            answers.add_metric(key, count)
        yield answers
        streams = CounterMetricFamily(
            "cellplane_ext_proc_streams", "Streams from Envoys by how they were taken.", labels=("outcome",)
        )
        for outcome, count in self._server.streams.items():
            streams.add_metric((outcome,), count)
        yield streams
        yield GaugeMetricFamily("cellplane_ext_proc_claims", "Claims in memory.", len(self._follower.index))
        yield from watches("cellplane_ext_proc", self._watcher, self._follower.state)
