"""Many cells are divided by a tree of hashes: every cell once, at its weight, at a depth that hardly
grows.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from envoy.matchers import OnMatch, leaf
from envoy.shares import HANDFUL, Shares, tree
from pb.envoy.config.route.v3 import route_components_pb2
from pb.envoy.extensions.matching.input_matchers.consistent_hashing.v3 import consistent_hashing_pb2


def end(shares: Shares) -> OnMatch:
    clusters = route_components_pb2.WeightedCluster()
    for cell_id, weight in shares:
        clusters.clusters.add(name=str(cell_id)).weight.value = weight
    route = route_components_pb2.RouteAction(weighted_clusters=clusters)
    return leaf(route_components_pb2.Route(name="default", route=route))


def chances(found: OnMatch, chance: Fraction = Fraction(1)) -> dict[int, Fraction]:
    """Follow every way down, with the chance that a hash takes it."""
    if found.HasField("action"):
        route = route_components_pb2.Route()
        found.action.typed_config.Unpack(route)
        weights = {int(each.name): each.weight.value for each in route.route.weighted_clusters.clusters}
        assert len(weights) <= HANDFUL
        whole = sum(weights.values())
        return {cell_id: chance * Fraction(weight, whole) for cell_id, weight in weights.items()}
    (entry,) = found.matcher.matcher_list.matchers
    way = consistent_hashing_pb2.ConsistentHashing()
    entry.predicate.single_predicate.custom_match.typed_config.Unpack(way)
    below = Fraction(way.threshold, way.modulo)
    return {
        **chances(found.matcher.on_no_match, chance * below),
        **chances(entry.on_match, chance * (1 - below)),
    }


def depth(found: OnMatch) -> int:
    if found.HasField("action"):
        return 0
    return 1 + max(depth(found.matcher.on_no_match), depth(found.matcher.matcher_list.matchers[0].on_match))


@pytest.mark.parametrize("count", [1, 2, HANDFUL, HANDFUL + 1, 100, 1000])
def test_every_cell_has_its_share(count: int) -> None:
    shares = [(cell_id, 1 + cell_id * 7 % 100) for cell_id in range(1, count + 1)]
    whole = sum(weight for _, weight in shares)

    assert chances(tree(shares, end)) == {cell_id: Fraction(weight, whole) for cell_id, weight in shares}


@pytest.mark.parametrize(("count", "expected"), [(HANDFUL, 0), (HANDFUL + 1, 1), (1000, 6), (10_000, 10)])
def test_the_depth_hardly_grows(count: int, expected: int) -> None:
    assert depth(tree([(cell_id, 1) for cell_id in range(count)], end)) == expected
