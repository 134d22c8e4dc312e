"""What a node ought to have against what its admin page says that it has."""

from __future__ import annotations

from typing import Any

from cellplane.fleet_diff import Has, differences, has_of

TYPE = "type.googleapis.com/envoy.admin.v3."
DUMP: dict[str, Any] = {
    "configs": [
        {"@type": f"{TYPE}BootstrapConfigDump", "bootstrap": {}},
        {
            "@type": f"{TYPE}ClustersConfigDump",
            "static_clusters": [{"cluster": {"name": "cellplane_xds"}}],
            "dynamic_active_clusters": [
                {"version_info": "v1", "cluster": {"name": "cell-1", "type": "EDS"}},
                {"version_info": "v1", "cluster": {"name": "ext-proc"}},
                {"version_info": "v1", "cluster": {"name": "logs", "type": "STRICT_DNS"}},
                {
                    "version_info": "v1",
                    "cluster": {"name": "cell-2", "type": "EDS"},
                    "error_state": {"details": "no such thing"},
                },
            ],
            "dynamic_warming_clusters": [
                {"version_info": "v3", "cluster": {"name": "cell-3", "type": "EDS"}}
            ],
        },
        {
            "@type": f"{TYPE}ListenersConfigDump",
            "dynamic_listeners": [{"name": "edge", "active_state": {"version_info": "l1"}}],
        },
        {
            "@type": f"{TYPE}RoutesConfigDump",
            "dynamic_route_configs": [{"version_info": "r1", "route_config": {"name": "edge"}}],
        },
        {
            "@type": f"{TYPE}EndpointsConfigDump",
            "dynamic_endpoint_configs": [
                {"endpoint_config": {"cluster_name": each}} for each in ("cell-1", "ext-proc", "logs")
            ],
        },
    ]
}


def test_what_came_over_xds_is_read_and_what_is_static_is_not() -> None:
    assert has_of(DUMP) == {
        "cluster": {
            "cell-1": Has("v1"),
            "ext-proc": Has("v1"),
            "logs": Has("v1"),
            "cell-2": Has("v1", error="no such thing"),
            "cell-3": Has("v3", is_warming=True),
        },
        "listener": {"edge": Has("l1")},
        "route": {"edge": Has("r1")},
        "endpoint": {"cell-1": Has("")},
    }


def test_each_difference_is_a_row() -> None:
    wanted = {
        "cluster": {
            "cell-1": "v1",
            "cell-2": "v2",
            "cell-3": "v3",
            "cell-4": "v4",
            "ext-proc": "v1",
            "logs": "v1",
        },
        "listener": {},
        "route": {"edge": "r2"},
        "endpoint": {"cell-1": "e1"},
    }
    assert differences(wanted, has_of(DUMP), by_version=True) == [
        ("cluster", "cell-2", "REJECTED", "no such thing"),
        ("cluster", "cell-3", "WARMING", "it waits for what this needs"),
        ("cluster", "cell-4", "MISSING", "wanted in version v4"),
        ("listener", "edge", "EXTRA", "has version l1"),
        ("route", "edge", "DIFFERS", "wanted r2, has r1"),
    ]
    assert ("route", "edge", "DIFFERS", "wanted r2, has r1") not in differences(
        wanted, has_of(DUMP), by_version=False
    )


def test_an_envoy_without_anything_from_us_has_nothing_to_compare() -> None:
    assert differences({"cluster": {"a": "v"}}, has_of({"configs": []}), by_version=True) == []
