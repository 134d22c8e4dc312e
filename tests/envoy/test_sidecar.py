"""Settings of sidecars: what is wrong with them, each with its fix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from envoy.edge import EdgeTls
from envoy.sidecar import Outbound, SidecarSettings, sidecar_problems
from topology.model import Endpoint

GOOD = SidecarSettings(listen_port=8081, application=Endpoint(host="127.0.0.1", port=8080))


def test_good_ones_have_no_problems() -> None:
    assert sidecar_problems(GOOD) == ()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"listen_port": 0}, "listen"),
        ({"listen_address": "here"}, "listen"),
        ({"tls": EdgeTls(certificate="c", key="k")}, "client_ca"),
        ({"outbound": Outbound(listen_port=9095, endpoints=())}, "topology"),
        ({"outbound": Outbound(listen_port=8081, endpoints=(Endpoint(host="t", port=1),))}, "outbound"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], field: str) -> None:
    assert [problem.field for problem in sidecar_problems(replace(GOOD, **wrong))] == [field]
