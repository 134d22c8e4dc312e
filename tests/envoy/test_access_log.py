from __future__ import annotations

from envoy.access_log import LINE, access_log


def test_it_holds_no_query_and_no_credentials() -> None:
    assert LINE["path"] == "%PATH(NQ:PATH)%"
    said = "".join(LINE.values()).lower()
    for secret in ("cookie", "authorization", "token", "req(:path)"):
        assert secret not in said


def test_of_operators_everything_is_told_always() -> None:
    assert access_log(everything=False).filter.header_filter.header.present_match
    assert not access_log(everything=True).HasField("filter")
