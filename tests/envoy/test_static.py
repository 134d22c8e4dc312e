"""What the golden cases do not show; these let Envoy judge every static bootstrap."""

from __future__ import annotations

from typing import Any

import pytest

from envoy.edge import EdgeSettings
from envoy.rules import DEFAULT_RULESET
from envoy.static import described, static_bootstrap
from envoy.translate import translate
from tests.envoy.edge_rig import NOW, cell, view_of
from xds.resource import CLUSTER, ENDPOINT, ROUTE
from xds.snapshot import Snapshot


def made() -> Snapshot:
    view = view_of(cell(2), cell(1), cell(3, host="app.test"))
    return translate(view, DEFAULT_RULESET, EdgeSettings(), NOW, None).snapshot


def manager(bootstrap: dict[str, Any]) -> dict[str, Any]:
    (listener,) = bootstrap["static_resources"]["listeners"]
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][-1]["typed_config"]
    return found


def test_everything_is_inline() -> None:
    bootstrap = static_bootstrap(made())
    types = {each["name"]: each["type"] for each in bootstrap["static_resources"]["clusters"]}
    assert types == {"cell-1": "STATIC", "cell-2": "STATIC", "cell-3": "STRICT_DNS"}
    assert "rds" not in manager(bootstrap)
    assert manager(bootstrap)["route_config"]["name"] == "edge"
    assert "'ads'" not in str(bootstrap)
    assert "admin" not in bootstrap


def test_an_admin_port_can_be_asked_for() -> None:
    address = static_bootstrap(made(), admin_port=9901)["admin"]["address"]["socket_address"]
    assert address == {"address": "127.0.0.1", "port_value": 9901}


def test_resources_are_described_by_name() -> None:
    names = [each["cluster_name"] for each in described(made(), ENDPOINT)]
    assert names == ["cell-1", "cell-2"]
    assert [each["name"] for each in described(made(), CLUSTER)] == ["cell-1", "cell-2", "cell-3"]


def test_a_snapshot_with_something_missing_is_refused() -> None:
    whole = made()
    without = Snapshot(1, {kind: names for kind, names in whole.resources.items() if kind is not ROUTE})
    with pytest.raises(KeyError, match="edge"):
        static_bootstrap(without)
