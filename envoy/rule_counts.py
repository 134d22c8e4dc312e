"""Requests by the rule that decided and what came of them, as counters of Envoy's own.

A logger counts what has ended, so it costs each request a little and is off unless it is asked for. There are
as many series as rules times outcomes. `View -> Snapshot`, a part that no View decides.
"""

from __future__ import annotations

from typing import Final

from google.protobuf import wrappers_pb2

from envoy.leaves import NAMESPACE, OUTCOME
from envoy.matchers import packed
from pb.envoy.config.accesslog.v3 import accesslog_pb2
from pb.envoy.extensions.access_loggers.stats.v3 import stats_pb2

STAT: Final = "decisions"
"""At Envoy's /stats/prometheus: envoy_cellplane_decisions."""


def rule_counts() -> accesslog_pb2.AccessLog:
    """Make the logger that counts. The outcome is empty where a cell answered."""
    tags = {"rule": "%ROUTE_NAME%", "outcome": f"%METADATA(ROUTE:{NAMESPACE}:{OUTCOME})%"}
    counter = stats_pb2.Config.Counter(
        stat=stats_pb2.Config.Stat(
            name=STAT,
            tags=[stats_pb2.Config.Tag(name=name, value_format=value) for name, value in tags.items()],
        ),
        value_fixed=wrappers_pb2.UInt64Value(value=1),
    )
    message = stats_pb2.Config(stat_prefix=NAMESPACE, counters=[counter])
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.stats", typed_config=packed(message))
