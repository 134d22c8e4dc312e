"""Prometheus metrics of waves: where each group's stands, who leads, and how waves ended.

Read from the publisher and the runner when somebody scrapes. Labels are bounded: group and outcome.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cellplane.publisher_state import PublisherState
from cellplane.pushes import EDGE
from cellplane.wave_record import WaveState
from cellplane.wave_runner import WaveRunner
from cellplane.wave_steps import Outcome
from xds.status import Fleet


class WaveCollector(Collector):
    """What waves export; nothing where there are none."""

    def __init__(self, publisher: PublisherState, runner: WaveRunner | None, fleet: Fleet) -> None:
        self._publisher = publisher
        self._runner = runner
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        if self._runner is None:
            return
        standing = self._publisher.standing
        wave = standing.split.wave if standing is not None else None
        going = wave is not None and wave.state is WaveState.GOING
        nodes = [node for node in self._fleet.nodes() if going and wave and node.settled_tag == wave.id]
        for name, text, value in (
            ("engaged", "1 where changes go out in waves.", wave is not None),
            ("going", "1 while a wave is under way.", going),
            (
                "halted",
                "1 while a wave is halted: nothing newer begins.",
                wave is not None and wave.state is WaveState.HALTED,
            ),
            (
                "waiting",
                "1 while a change has not reached everybody.",
                standing is not None and standing.waits,
            ),
            (
                "percent",
                "Per cent of the nodes that the wave has taken in.",
                wave.percent if going and wave else 0.0,
            ),
            ("nodes", "Nodes of this replica that have all of the wave.", len(nodes)),
            (
                "stage_age_seconds",
                "Time since the wave's stage began.",
                time.time() - wave.stage_at if going and wave else 0.0,
            ),
        ):
            family = GaugeMetricFamily(f"cellplane_wave_{name}", text, labels=["group"])
            family.add_metric([EDGE], float(value))
            yield family
        ended = CounterMetricFamily(
            "cellplane_waves", "Waves that ended while this replica led.", labels=["group", "outcome"]
        )
        for outcome in Outcome:
            if outcome is not Outcome.GOING:
                ended.add_metric(
                    [EDGE, outcome.value.lower().replace(" ", "_")], self._runner.outcomes[outcome]
                )
        yield ended
        yield GaugeMetricFamily(
            "cellplane_wave_leader", "1 where this replica leads waves.", value=float(self._runner.leads)
        )
        yield GaugeMetricFamily(
            "cellplane_wave_unwatched",
            "1 while a wave waits because it cannot be watched.",
            value=float(bool(self._runner.problem)),
        )
