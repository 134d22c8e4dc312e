"""Prometheus metrics of the Topology Service, read from its state when somebody scrapes.

Labels are bounded: method, code, role, kind, outcome, age, step. Never a name, a cell or a lease.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cellplane.histograms import histogram
from topology import forms
from topology.claims.follower import ClaimFollower
from topology.claims.model import Phase
from topology.moves.model import ENDS, Step
from topology.moves.runner import MoveRunner
from topology.service.server import TopologyServer
from topology.watcher import WatcherState

_LEASE_AGES: Final = {"0s": 0, "1m": 60, "10m": 600, "1h": 3600, "1d": 86400}


class TopologyCollector(Collector):
    """Everything that a Topology Service exports."""

    def __init__(
        self,
        server: TopologyServer,
        follower: ClaimFollower,
        watcher: WatcherState,
        moves: MoveRunner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._server = server
        self._follower = follower
        self._watcher = watcher
        self._moves = moves
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        yield from self._calls()
        yield from self._claims()
        yield from self._open_moves()
        yield from watches("cellplane_topology", self._watcher, self._follower.state)

    def _calls(self) -> Iterator[Metric]:
        counts = self._server.counts
        for name, text, labels, found in (
            ("calls", "Calls by how they ended.", ("method", "code"), counts.calls),
            ("calls_refused", "Calls that no access rule let in.", ("method", "role"), counts.refused),
            (
                "classify_decisions",
                "Classifications by kind of key and outcome.",
                ("kind", "outcome"),
                self._server.classify.decisions,
            ),
        ):
            family = CounterMetricFamily(f"cellplane_topology_{name}", text, labels=labels)
            for key, count in found.items():
                family.add_metric(key, count)
            yield family
        beyond = CounterMetricFamily(
            "cellplane_topology_calls_beyond_limit",
            "Calls of a caller who had as many as it may already.",
            labels=["role"],
        )
        for role, count in self._server.places.beyond.items():
            beyond.add_metric([role], count)
        yield beyond
        yield histogram(
            "cellplane_topology_call_seconds",
            "Time to answer a call, by method; Classify answers from memory.",
            {(method,): times for method, times in counts.seconds.items()},
            ("method",),
        )
        yield GaugeMetricFamily(
            "cellplane_topology_watches", "Open watches on cells.", len(self._server.cells.watches)
        )

    def _claims(self) -> Iterator[Metric]:
        index = self._follower.index
        oldest = index.oldest_lease()
        age = 0.0 if oldest is None else max(0.0, self._clock() - oldest.created_at.timestamp())
        unfinished = len(index.unfinished())
        yield _gauge("claims", "Claims on record, those in leases too.", len(index))
        yield _gauge("leases", "Leases on record.", len(index.leases))
        yield _gauge("leases_unfinished", "Leases that somebody is at, or died over.", unfinished)
        yield _gauge("oldest_lease_seconds", "Age of the oldest open lease; 0 where there is none.", age)
        ages = GaugeMetricFamily(
            "cellplane_topology_leases_by_age", "Open leases that are at least so old.", labels=["age"]
        )
        now = self._clock()
        opened = [each.created_at.timestamp() for each in index.leases.values() if each.phase is Phase.OPEN]
        for label, seconds in _LEASE_AGES.items():
            ages.add_metric([label], sum(now - at >= seconds for at in opened))
        yield ages
        yield _gauge("claims_unreadable", "Records of claims that can't be read.", len(index.odd))

    def _open_moves(self) -> Iterator[Metric]:
        """Yield what the leader knows; where another replica leads all is 0: sum over replicas."""
        moves, now = self._moves.open, datetime.fromtimestamp(self._clock(), UTC)
        steps = Counter(move.step for move in moves)
        family = GaugeMetricFamily(
            "cellplane_topology_moves", "Moves that have not ended, by step.", labels=["step"]
        )
        for step in Step:
            if step not in ENDS:
                family.add_metric([step], steps[step])
        yield family
        blocked = sum(move.blocked for move in moves)
        ages = [(now - at).total_seconds() for move in moves if (at := forms.parse_utc(move.since))]
        yield _gauge("moves_led", "1 while this replica carries moves on.", self._moves.leads)
        yield _gauge("moves_blocked", "Moves that wait for a person.", blocked)
        text = "How long the move that has not gone on for longest is at its step."
        yield _gauge("move_oldest_step_seconds", text, max(0.0, *ages, 0.0))
        yield CounterMetricFamily(
            "cellplane_topology_move_faults", "Faults of ours over moves.", self._moves.failures
        )


def watches(prefix: str, cells: WatcherState, claims: WatcherState) -> Iterator[Metric]:
    """Yield how the two watches on etcd stand."""
    for name, state in (("cells", cells), ("claims", claims)):
        connected, revision = f"{prefix}_{name}_connected", f"{prefix}_{name}_revision"
        yield GaugeMetricFamily(connected, "1 while the watch on etcd stands.", state.connected)
        yield GaugeMetricFamily(revision, "Newest revision that was read.", state.revision)
        text = "Times that all had to be listed again."
        yield CounterMetricFamily(f"{prefix}_{name}_relists", text, state.relists)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"cellplane_topology_{name}", text, value=value)
