from __future__ import annotations

import pytest

from envoy.leaves import at_cell, at_cluster, divided, rejected
from envoy.matchers import OnMatch
from envoy.standing import Access
from pb.envoy.config.route.v3.route_components_pb2 import Route


def route(end: OnMatch) -> Route:
    found = Route()
    assert end.action.typed_config.Unpack(found)
    return found


def test_an_open_cell_is_its_cluster_without_a_time_limit() -> None:
    found = route(at_cell("session", 3, Access.OPEN, 30))
    assert (found.name, found.route.cluster) == ("session", "cell-3")
    assert found.route.HasField("timeout")
    assert found.route.timeout.ToMilliseconds() == 0


def test_a_leaf_is_small() -> None:
    assert at_cell("session", 3, Access.OPEN, 30).ByteSize() < 110


def test_a_quarantined_cell_answers_in_its_name() -> None:
    found = route(at_cell("path", 3, Access.QUARANTINED, 7))
    assert (found.name, found.direct_response.status) == ("path", 503)
    assert "cell-3 is quarantined" in found.direct_response.body.inline_string
    headers = {option.header.key: option.header.value for option in found.response_headers_to_add}
    assert headers["retry-after"] == "7"
    assert headers["x-cellplane-cell"] == "cell-3"


def test_a_closed_cell_has_no_leaf() -> None:
    with pytest.raises(AssertionError, match="cell 3, which is closed"):
        at_cell("path", 3, Access.CLOSED, 7)


def test_unowned_traffic_is_divided_by_weight() -> None:
    found = route(divided("default", [(1, 100), (2, 0), (3, 5)], 30)).route.weighted_clusters
    assert [(each.name, each.weight.value) for each in found.clusters] == [("cell-1", 100), ("cell-3", 5)]


def test_a_single_share_is_no_division() -> None:
    assert route(divided("default", [(1, 0), (3, 5)], 30)).route.cluster == "cell-3"


def test_nobody_to_take_unowned_traffic_is_said() -> None:
    found = route(divided("default", [(1, 0)], 7))
    assert found.direct_response.status == 503
    assert found.direct_response.body.inline_string.startswith("No cell takes new traffic now")
    headers = {option.header.key: option.header.value for option in found.response_headers_to_add}
    assert headers == {"retry-after": "7", "content-type": "text/plain; charset=utf-8"}


def test_an_answer_and_a_cluster_of_a_rules_own() -> None:
    answer, site = route(rejected("trace", 405, "no\n", 30)), route(at_cluster("site", "fixed-site"))
    assert (answer.direct_response.status, answer.direct_response.body.inline_string) == (405, "no\n")
    assert (site.name, site.route.cluster) == ("site", "fixed-site")


@pytest.mark.parametrize(("status", "told"), [(503, ["30"]), (400, [])])
def test_who_is_turned_away_for_now_learns_when_to_come_again(status: int, told: list[str]) -> None:
    found = route(rejected("path", status, "", 30))
    assert [
        each.header.value for each in found.response_headers_to_add if each.header.key == "retry-after"
    ] == told
