"""Snapshots know what is missing in them, and what changed since another."""

from __future__ import annotations

import pytest

from tests.xds.configuration import both, cluster, endpoints, listener, routes, snapshot
from xds.errors import DuplicateResourceError
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Resource
from xds.snapshot import Dangling, Snapshot, TypeChange, diff, digest_of


def test_a_snapshot_holds_resources_by_type_and_name() -> None:
    a = cluster("a")
    one = snapshot(5, a, endpoints("a"))
    assert one.revision == 5
    assert one.get(CLUSTER, "a") is a
    assert one.get(CLUSTER, "b") is None
    assert set(one.of_type(ENDPOINT)) == {"a"}
    assert not one.of_type(SECRET)


def test_the_version_of_a_type_is_shown_by_its_name_or_as_the_revision() -> None:
    one = Snapshot.of(5, [listener("l")], {LISTENER: "blue"})
    assert (one.version_text(LISTENER), one.version_text(CLUSTER)) == ("blue", "5")
    assert snapshot(5, listener("l")).labels == {}


def test_rule_27_two_resources_of_one_name_are_an_error() -> None:
    with pytest.raises(DuplicateResourceError, match="cluster 'a' is there twice"):
        snapshot(1, cluster("a"), cluster("a", seconds=2))


def test_rule_50_what_names_nothing_is_found() -> None:
    one = snapshot(
        1, cluster("lonely"), listener("l", "r1"), listener("m", "r2"), routes("r2", "a", "b"), both("b")
    )
    assert one.problems() == (
        Dangling((CLUSTER, "lonely"), (ENDPOINT, "lonely")),
        Dangling((LISTENER, "l"), (ROUTE, "r1")),
        Dangling((ROUTE, "r2"), (CLUSTER, "a")),
    )
    assert str(one.problems()[2]) == "route 'r2' names cluster 'a', which is not there"
    assert snapshot(1, both("a", "b"), listener("l", "r"), routes("r", "a")).problems() == ()


def test_problems_of_a_change_are_found_without_looking_at_the_rest() -> None:
    good = snapshot(1, both("a", "b"), listener("l", "r"), routes("r", "a", "b"))
    for bad, missing in (
        (snapshot(2, both("a", "b"), listener("l", "r"), routes("r", "a", "z")), (CLUSTER, "z")),
        (snapshot(2, both("a"), listener("l", "r"), routes("r", "a", "b")), (CLUSTER, "b")),
        (snapshot(2, both("a", "b"), listener("l", "r")), (ROUTE, "r")),
    ):
        (problem,) = bad.problems_since(diff(good, bad))
        assert problem.missing == missing
    fine = snapshot(2, both("a", "b", "c"), listener("l", "r"), routes("r", "a", "b", "c"))
    assert fine.problems_since(diff(good, fine)) == ()


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ([], [cluster("a")], {CLUSTER: TypeChange(("a",), ())}),
        ([cluster("a")], [], {CLUSTER: TypeChange((), ("a",))}),
        ([cluster("a")], [cluster("a")], {}),
        ([cluster("a")], [cluster("a", 2)], {CLUSTER: TypeChange(("a",), ())}),
        ([cluster("a")], [cluster("b")], {CLUSTER: TypeChange(("b",), ("a",))}),
        (
            [cluster("a"), cluster("c")],
            [cluster("a", 2), cluster("b")],
            {CLUSTER: TypeChange(("a", "b"), ("c",))},
        ),
        (
            [cluster("a"), endpoints("a")],
            [cluster("a"), endpoints("a", 81)],
            {ENDPOINT: TypeChange(("a",), ())},
        ),
    ],
)
def test_a_difference(old: list[object], new: list[object], change: object) -> None:
    assert diff(snapshot(1, *old), snapshot(2, *new)) == change  # type: ignore[arg-type]


def test_a_type_that_was_taken_over_as_it_is_costs_nothing() -> None:
    one = snapshot(1, both("a"))

    class Untouchable(dict[str, object]):
        def items(self) -> object:  # type: ignore[override]
            raise AssertionError("nobody should look")

    same = Untouchable(one.of_type(CLUSTER))
    old = Snapshot(1, {CLUSTER: same})  # type: ignore[dict-item]
    new = Snapshot(2, {CLUSTER: same})  # type: ignore[dict-item]
    assert diff(old, new) == {}


def test_names_of_a_change() -> None:
    assert TypeChange(("a", "b"), ("c",)).names == ("a", "b", "c")


def test_a_digest_is_that_of_the_set() -> None:
    one, other = snapshot(1, both("a", "b")), snapshot(2, both("b", "a"))
    assert one.digest(CLUSTER) == other.digest(CLUSTER) == digest_of([cluster("a"), cluster("b")])
    assert one.digest(CLUSTER) != snapshot(1, both("a")).digest(CLUSTER)
    assert one.digest(CLUSTER) < 2**64
    assert one.digest(SECRET) == 0


def test_rule_62_a_wildcard_leaves_out_what_is_lazy_and_not_named() -> None:
    lazy = [Resource.of(CLUSTER, name, b"", lazy=True) for name in ("y", "z")]
    now = snapshot(1, cluster("a"), endpoints("a"), *lazy)
    eager = now.for_wildcard(CLUSTER, ())
    assert list(eager) == ["a"]
    assert now.for_wildcard(CLUSTER, {"a", "gone"}) == eager
    # Who named nothing shares one mapping, also where nothing is lazy.
    assert now.for_wildcard(CLUSTER, ()) is eager
    assert now.for_wildcard(ENDPOINT, ()) is now.of_type(ENDPOINT)
    named = now.for_wildcard(CLUSTER, {"a", "z", "gone"})
    assert (list(named), len(named)) == (["a", "z"], 2)
    assert [name in named for name in ("a", "y", "z", "gone")] == [True, False, True, False]
    assert named.get("y") is None
    assert named["z"] is lazy[1]


def test_what_becomes_lazy_has_changed() -> None:
    was, now = (
        snapshot(1, Resource.of(CLUSTER, "a", b"")),
        snapshot(2, Resource.of(CLUSTER, "a", b"", lazy=True)),
    )
    assert diff(was, now) == {CLUSTER: TypeChange(upserted=("a",))}


def test_what_expires_is_known() -> None:
    timed = Resource.of(CLUSTER, "t", b"", ttl_seconds=9.0)
    assert snapshot(1, timed, cluster("a"), endpoints("a")).expiring(CLUSTER) == {"t"}
    assert snapshot(1, cluster("a"), endpoints("a")).expiring(ENDPOINT) == frozenset()
