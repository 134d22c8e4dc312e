"""Clusters of a ruleset's own, read from its document: where traffic goes that belongs to no cell.

`ruleset_parser` asks for them. `Request -> ClassificationKey -> Decision`: before the first request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from envoy.problem_list import ProblemList
from envoy.ruleset import FixedCluster
from topology.forms import host_problem
from topology.model import Endpoint

MAX_CLUSTERS: Final = 32
MAX_ENDPOINTS: Final = 100
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")


def parse_clusters(value: Any, problems: ProblemList) -> tuple[FixedCluster, ...]:
    """Read the clusters; what does not hold is noted and left out."""
    if value is None:
        return ()
    if not isinstance(value, Mapping) or len(value) > MAX_CLUSTERS:
        message = (
            f"must be an object of at most {MAX_CLUSTERS} clusters, such as {{site: {{endpoints: […]}}}}"
        )
        problems.add("clusters", message)
        return ()
    found = []
    for name, entry in value.items():
        path = f"clusters.{name}"
        if not isinstance(name, str) or not _NAME.match(name):
            problems.add(path, f"{name!r} is no name: use 1 to 32 of a-z, 0-9 and -")
            continue
        if not isinstance(entry, Mapping):
            problems.add(path, "must be an object with endpoints, a list of host and port")
            continue
        problems.unknown_keys(path, entry, ("endpoints", "http2"), "a cluster")
        http2 = entry.get("http2", False)
        if not isinstance(http2, bool):
            problems.add(f"{path}.http2", "must be true or false")
        listed = problems.objects(f"{path}.endpoints", entry.get("endpoints"), MAX_ENDPOINTS, "endpoints")
        places = tuple(_endpoint(at, each, problems) for at, each in listed)
        endpoints = tuple(each for each in places if each is not None)
        if endpoints:
            found.append(FixedCluster(name=name, endpoints=endpoints, http2=bool(http2)))
    return tuple(found)


def _endpoint(path: str, entry: Mapping[str, Any], problems: ProblemList) -> Endpoint | None:
    problems.unknown_keys(path, entry, ("host", "port"), "an endpoint")
    host, port = entry.get("host"), entry.get("port")
    message = host_problem(host) if isinstance(host, str) else f"{host!r} is no host"
    if message:
        problems.add(f"{path}.host", message)
        return None
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        problems.add(f"{path}.port", f"{port!r} is no port: use 1 to 65535")
        return None
    return Endpoint(host=str(host), port=port)
