"""What a node ought to have against what it has, by its own admin page: missing, extra, other versions,
errors.

The command hands in what a control plane wants of a group and what an Envoy's `/config_dump` says of itself.
Pure: JSON in, differences out (`Snapshot -> Response`, checked at the far end).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

COLUMNS: Final = ("TYPE", "NAME", "DIFFERENCE", "DETAIL")
_DUMPS: Final = {
    "ClustersConfigDump": "cluster",
    "ListenersConfigDump": "listener",
    "RoutesConfigDump": "route",
    "EndpointsConfigDump": "endpoint",
}


@dataclass(frozen=True, slots=True)
class Has:
    """What an Envoy has of one resource. Endpoints have no version of their own in its page."""

    version: str
    is_warming: bool = False
    error: str = ""


def has_of(dump: Mapping[str, Any]) -> dict[str, dict[str, Has]]:
    """Read `/config_dump?include_eds`: what came over xDS, by type and name; types that it does not show are
    not there.
    """
    found: dict[str, dict[str, Has]] = {}
    complete = _complete_clusters(dump)
    for config in dump.get("configs", ()):
        kind = _DUMPS.get(str(config.get("@type", "")).rpartition(".")[2])
        if kind is not None:
            found.setdefault(kind, {}).update(_resources(kind, config))
    endpoints = found.get("endpoint", {})
    for name in complete & endpoints.keys():
        del endpoints[name]
    return found


def _complete_clusters(dump: Mapping[str, Any]) -> set[str]:
    """Name the clusters that bring their endpoints along: the page shows those as if they came over EDS."""
    return {
        one["cluster"]["name"]
        for config in dump.get("configs", ())
        for one in (*config.get("dynamic_active_clusters", ()), *config.get("dynamic_warming_clusters", ()))
        if one["cluster"].get("type") != "EDS"  # STATIC is the default, and left out
    }


def differences(
    wanted: Mapping[str, Mapping[str, str]], has: Mapping[str, Mapping[str, Has]], *, by_version: bool
) -> list[tuple[str, str, str, str]]:
    """Return a row per difference. `by_version`: the node's versions are those of single resources
    (Delta).
    """
    names = (
        (kind, name)
        for kind in sorted(has)
        for name in sorted(wanted.get(kind, {}).keys() | has[kind].keys())
    )
    return [
        (kind, name, *found)
        for kind, name in names
        if (found := _difference(wanted.get(kind, {}).get(name), has[kind].get(name), by_version=by_version))
    ]


def _difference(wanted: str | None, has: Has | None, *, by_version: bool) -> tuple[str, str] | None:
    if has is None:
        return "MISSING", f"wanted in version {wanted}"
    if wanted is None:
        return "EXTRA", f"has version {has.version or 'unknown'}"
    if has.error:
        return "REJECTED", has.error
    if has.is_warming:
        return "WARMING", "it waits for what this needs"
    if by_version and has.version and has.version != wanted:
        return "DIFFERS", f"wanted {wanted}, has {has.version}"
    return None


def _resources(kind: str, config: Mapping[str, Any]) -> Iterator[tuple[str, Has]]:
    match kind:
        case "cluster":
            for list_name in ("dynamic_active_clusters", "dynamic_warming_clusters"):
                for one in config.get(list_name, ()):
                    warming = list_name == "dynamic_warming_clusters"
                    yield str(one["cluster"]["name"]), Has(one.get("version_info", ""), warming, _error(one))
        case "listener":
            for one in config.get("dynamic_listeners", ()):
                active = one.get("active_state") or {}
                version = active.get("version_info", "")
                yield str(one["name"]), Has(version, "warming_state" in one, _error(one))
        case "route":
            for one in config.get("dynamic_route_configs", ()):
                yield str(one["route_config"]["name"]), Has(one.get("version_info", ""), False, _error(one))
        case _:
            for one in config.get("dynamic_endpoint_configs", ()):
                yield str(one["endpoint_config"]["cluster_name"]), Has("")


def _error(one: Mapping[str, Any]) -> str:
    return str((one.get("error_state") or {}).get("details", ""))
