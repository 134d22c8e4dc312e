"""What was sent, counted over nodes and put into words."""

from __future__ import annotations

from collections import Counter

from cellplane.demo.sent import describe, sent_by_type


def test_resources_are_counted_over_all_nodes() -> None:
    fleet = {
        "nodes": [
            {"types": {"cluster": {"resources_sent": 3}, "route": {"resources_sent": 1}}},
            {"types": {"cluster": {"resources_sent": 2}}},
        ]
    }

    assert sent_by_type(fleet) == Counter(cluster=5, route=1)
    assert sent_by_type({"nodes": []}) == Counter()


def test_words() -> None:
    assert describe(Counter(cluster=2, route=1, endpoint=0)) == "2 clusters, 1 route"
    assert describe(Counter()) == "nothing"
