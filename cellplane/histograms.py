"""Times, counted by whoever took them, as a histogram of Prometheus.

The collectors of metrics share it. It changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from prometheus_client.core import HistogramMetricFamily, Metric

from topology.timings import Timings


def histogram(
    name: str, text: str, times: Mapping[tuple[str, ...], Timings], labels: tuple[str, ...] = ()
) -> Metric:
    """Return times as Prometheus wants them, a series per key."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, found in times.items():
        buckets = [("+Inf" if bound == math.inf else str(bound), count) for bound, count in found.buckets()]
        family.add_metric(key, buckets, found.total_seconds)
    return family
