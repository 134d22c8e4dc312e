from __future__ import annotations

from envoy.access_log import LINE, access_log
from pb.envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from pb.envoy.extensions.access_loggers.stream.v3.stream_pb2 import StdoutAccessLog


def fields(log: AccessLog) -> set[str]:
    """Name what a line has."""
    found = StdoutAccessLog()
    assert log.typed_config.Unpack(found)
    return set(found.log_format.json_format)


def test_it_holds_no_query_and_no_credentials() -> None:
    assert LINE["path"] == "%PATH(NQ:PATH)%"
    said = "".join(LINE.values()).lower()
    for secret in ("cookie", "authorization", "token", "req(:path)"):
        assert secret not in said


def test_of_operators_it_is_always_told_who_and_where() -> None:
    overrides = access_log(everything=False)
    assert overrides.filter.header_filter.header.present_match
    assert fields(overrides) < set(LINE)
    assert {"time", "peer", "identity", "path", "cell", "operator"} <= fields(overrides)
    assert fields(access_log(everything=True)) == set(LINE)
    assert not access_log(everything=True).HasField("filter")
