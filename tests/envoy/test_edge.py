from __future__ import annotations

from dataclasses import replace

import pytest

from envoy.edge import INTERNAL_HEADERS, CellTls, EdgeSettings, EdgeTls, Lookups, LookupTls, settings_problems
from topology.model import Endpoint

ONE = (Endpoint(host="10.0.0.5", port=1),)
TLS = EdgeTls(certificate="/c.pem", key="/k.pem")


def test_defaults_hold() -> None:
    assert settings_problems(EdgeSettings()) == ()
    assert settings_problems(EdgeSettings(listen_address="::", health_check_path="")) == ()


@pytest.mark.parametrize(
    ("change", "field", "fix"),
    [
        ({"listen_address": "edge.test"}, "listen_address", "use 0.0.0.0"),
        ({"listen_port": 0}, "listen_port", "use 1 to 65535"),
        ({"listen_port": 65536}, "listen_port", "use 1 to 65535"),
        ({"health_check_path": "health"}, "health_check_path", "start with /"),
        ({"tls": EdgeTls(certificate="a.pem", key="")}, "tls", "name both files"),
        ({"tls": replace(TLS, redirect_port=-1)}, "tls.redirect_port", "1 to 65535"),
        ({"tls": replace(TLS, redirect_port=8080)}, "tls.redirect_port", "another port"),
        ({"tls": replace(TLS, public_port=0)}, "tls.public_port", "1 to 65535"),
        ({"connect_timeout_seconds": 0}, "connect_timeout_seconds", "more than 0"),
        ({"health_check_interval_seconds": -1}, "health_check_interval_seconds", "more than 0"),
        ({"stream_idle_seconds": -1}, "stream_idle_seconds", "0 or more"),
        ({"trusted_hops": -1}, "trusted_hops", "0 or more"),
        ({"retry_after_seconds": 0}, "retry_after_seconds", "1 or more"),
        ({"max_requests_per_cell": 0}, "max_requests_per_cell", "1 or more"),
        ({"cell_tls": CellTls(ca="")}, "cell_tls", "name the CA"),
        ({"cell_tls": CellTls(ca="/ca", key="/k")}, "cell_tls", "go together"),
        ({"cell_tls": CellTls(ca="/ca", name="cells.test")}, "cell_tls.name", "for another"),
        ({"cell_tls": CellTls(ca="/ca", name="cell {id}")}, "cell_tls.name", "for another"),
        ({"lookups": Lookups(endpoints=())}, "lookups.endpoints", "HOST:PORT"),
        ({"lookups": Lookups(endpoints=ONE, timeout_seconds=2)}, "lookups.timeout_seconds", "0.001 to 1"),
        ({"lookups": Lookups(endpoints=ONE, tls=LookupTls(ca=""))}, "lookups.tls", "name the CA"),
        ({"lookups": Lookups(endpoints=ONE, tls=LookupTls(ca="a", key="k"))}, "lookups.tls", "go together"),
        ({"lookups": Lookups(endpoints=ONE, stale_seconds=-1)}, "lookups.stale_seconds", "0 or more"),
        ({"lookups": Lookups(endpoints=ONE, remembered=1)}, "lookups.remembered", "2 to"),
    ],
)
def test_a_bad_setting_is_named_with_its_fix(change: dict[str, object], field: str, fix: str) -> None:
    (problem,) = settings_problems(replace(EdgeSettings(), **change))  # type: ignore[arg-type]
    assert problem.field == field
    assert fix in problem.message


def test_internal_headers_are_lower_case_and_ours() -> None:
    assert set(INTERNAL_HEADERS) == {
        "x-cellplane-cell",
        "x-cellplane-rule",
        "x-cellplane-identity",
        "x-cellplane-operator",
        "x-cellplane-session",
        "x-cellplane-owner",
    }
