"""What the counting logger is told; that a real Envoy counts by it is shown beside its access log."""

from __future__ import annotations

from envoy.connection_manager import connection_manager
from envoy.edge import EdgeSettings
from envoy.rule_counts import rule_counts
from pb.envoy.extensions.access_loggers.stats.v3 import stats_pb2


def test_requests_are_counted_by_rule_and_outcome_and_by_nothing_that_is_unbounded() -> None:
    config = stats_pb2.Config()
    assert rule_counts().typed_config.Unpack(config)
    (counter,) = config.counters
    assert {tag.name: tag.value_format for tag in counter.stat.tags} == {
        "rule": "%ROUTE_NAME%",
        "outcome": "%METADATA(ROUTE:cellplane:outcome)%",
    }
    assert counter.value_fixed.value == 1


def test_it_is_off_unless_it_is_asked_for() -> None:
    names = [[each.name for each in connection_manager(settings).access_log] for settings in (
        EdgeSettings(), EdgeSettings(count_decisions=True)
    )]  # fmt: skip
    assert [("envoy.access_loggers.stats" in each) for each in names] == [False, True]
