"""What a rejection says of the response it is about."""

from __future__ import annotations

from tests.xds.configuration import cluster
from xds.copies import ABSENT, Copy
from xds.in_flight import InFlight
from xds.resource import CLUSTER, Resource
from xds.wire import Composer


def in_flight(*resources: Resource, removed: tuple[str, ...] = ()) -> InFlight:
    response = Composer("").delta(CLUSTER, "1", resources, removed)
    sent: dict[str, Resource | None] = {one.name: one for one in resources}
    return InFlight(response, sent | dict.fromkeys(removed))


def test_what_was_news_what_is_blamed_and_what_was_good() -> None:
    a, b, c = cluster("a", 2), cluster("b", 2), cluster("c")
    behind: dict[str, Copy] = {"a": cluster("a"), "b": ABSENT, "z": cluster("z")}
    no = in_flight(a, b, c, removed=("z",)).refused("Error adding/updating cluster(s) b: no", behind)
    assert no.news == (a, b)
    assert no.blamed == (b,)
    assert no.good == {"a": cluster("a"), "z": cluster("z")}
    assert no.had == {"a": cluster("a"), "b": ABSENT, "c": c, "z": cluster("z")}
    assert not no.removes_only


def test_what_came_alone_is_to_blame_even_if_the_client_had_it() -> None:
    a, b = cluster("a"), cluster("b")
    assert in_flight(a).refused("no", {}).news == (a,)
    assert in_flight(a, b).refused("no", {}).news == ()


def test_a_response_of_removals_alone() -> None:
    no = in_flight(removed=("z",)).refused("no", {"z": cluster("z")})
    assert (no.news, no.blamed, no.removes_only) == ((), (), True)


def test_what_is_only_listed_again_is_no_part_of_it() -> None:
    response = Composer("").sotw(CLUSTER, "1", [cluster("a"), cluster("b")])
    assert InFlight(response, {"b": cluster("b")}).listed == [cluster("b")]
