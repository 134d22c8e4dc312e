from __future__ import annotations

from envoy.access_log import LINE


def test_it_holds_no_query_and_no_credentials() -> None:
    assert LINE["path"] == "%PATH(NQ:PATH)%"
    said = "".join(LINE.values()).lower()
    for secret in ("cookie", "authorization", "token", "req(:path)"):
        assert secret not in said
