from __future__ import annotations

from typing import Any

import pytest

from envoy.cluster_parser import parse_clusters
from envoy.problem_list import ProblemList
from envoy.ruleset import FixedCluster
from topology.model import Endpoint

PLACE = {"host": "10.0.0.1", "port": 80}


def test_clusters_are_read() -> None:
    problems = ProblemList()
    body = {"site": {"endpoints": [PLACE, {"host": "www.example", "port": 443}], "http2": True}}
    places = (Endpoint(host="10.0.0.1", port=80), Endpoint(host="www.example", port=443))
    assert parse_clusters(body, problems) == (FixedCluster(name="site", endpoints=places, http2=True),)
    assert parse_clusters(None, problems) == ()
    assert problems.found == []


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ([], "clusters", "must be an object"),
        ({"A": {"endpoints": [PLACE]}}, "clusters.A", "is no name"),
        ({"a": []}, "clusters.a", "must be an object"),
        ({"a": {"endpoints": []}}, "clusters.a.endpoints", "a list of 1 to 100"),
        ({"a": {"endpoints": [PLACE], "tls": {}}}, "clusters.a.tls", "is unknown"),
        ({"a": {"endpoints": [PLACE], "http2": 1}}, "clusters.a.http2", "true or false"),
        ({"a": {"endpoints": [{"host": "a b", "port": 80}]}}, "clusters.a.endpoints[0].host", "DNS name"),
        ({"a": {"endpoints": [{"port": 80}]}}, "clusters.a.endpoints[0].host", "no host"),
        ({"a": {"endpoints": [{"host": "10.0.0.1", "port": 0}]}}, "clusters.a.endpoints[0].port", "no port"),
        ({"a": {"endpoints": [{**PLACE, "zone": "x"}]}}, "clusters.a.endpoints[0].zone", "is unknown"),
    ],
)
def test_what_is_wrong_is_named(body: Any, field: str, words: str) -> None:
    problems = ProblemList()
    parse_clusters(body, problems)
    assert any(each.field == field and words in each.message for each in problems.found), problems.found
