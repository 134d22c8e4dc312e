"""The book of one type keeps differences only."""

from __future__ import annotations

from tests.xds.configuration import both, cluster, listener, routes, snapshot
from xds.copies import ABSENT, UNKNOWN, Unsure
from xds.holds import WITHHELD, Holds
from xds.in_flight import InFlight
from xds.ledger import Ledger
from xds.order import ORDER
from xds.resource import CLUSTER, LISTENER, ROUTE, Resource, ResourceType
from xds.snapshot import Snapshot
from xds.subscription import Subscription
from xds.wire import Composer

COMPOSER = Composer("")


def ledger_of(kind: ResourceType, *names: str) -> Ledger:
    (step,) = (step for step in ORDER if step.type is kind)
    ledger = Ledger(step, Subscription(kind), Holds())
    ledger.subscription.add_and_drop(names, ())
    return ledger


def send(ledger: Ledger, *resources: Resource, removed: tuple[str, ...] = ()) -> None:
    response = COMPOSER.delta(ledger.type, "1", resources, removed)
    sent: dict[str, Resource | None] = {one.name: one for one in resources}
    ledger.sent(InFlight(response, sent | dict.fromkeys(removed)))


def test_a_client_in_sync_costs_nothing() -> None:
    ledger = ledger_of(CLUSTER)
    assert (ledger.has_news, ledger.settled) == (False, True)
    old, new = snapshot(1, both("a", "b")), snapshot(2, both("a"), both("b", seconds=2))
    ledger.open(["b"], old)
    assert ledger.behind == {"b": cluster("b")}
    send(ledger, cluster("b", 2))
    assert (bool(ledger.behind), ledger.has_news, ledger.settled) == (True, False, False)
    ledger.acknowledged(new)
    assert (ledger.behind, ledger.settled) == ({}, True)


def test_what_changes_meanwhile_stays_open() -> None:
    ledger = ledger_of(CLUSTER)
    ledger.behind = {"a": ABSENT}
    send(ledger, cluster("a", 1))
    ledger.open(["a"], snapshot(1, both("a")))
    ledger.acknowledged(snapshot(2, both("a", seconds=2)))
    assert ledger.behind == {"a": cluster("a", 1)}
    send(ledger, cluster("a", 2))
    ledger.open(["a"], snapshot(2, both("a", seconds=2)))
    ledger.acknowledged(snapshot(3))
    assert ledger.behind == {"a": cluster("a", 2)}


def test_a_removal_that_is_taken_back_meanwhile() -> None:
    ledger = ledger_of(CLUSTER)
    ledger.behind = {"a": cluster("a")}
    send(ledger, removed=("a",))
    ledger.acknowledged(snapshot(3, both("a")))
    assert ledger.behind == {"a": ABSENT}


def test_an_answer_to_a_name_that_was_dropped_is_of_no_interest() -> None:
    ledger = ledger_of(ROUTE, "r")
    ledger.behind = {"r": ABSENT}
    send(ledger, routes("r"))
    asked = ledger.subscription.add_and_drop((), ("r",))
    ledger.note(asked, snapshot(1, routes("r")))
    ledger.acknowledged(snapshot(1, routes("r")))
    assert not ledger.has_news


def test_a_rejection_that_names_the_culprit() -> None:
    ledger = ledger_of(CLUSTER)
    new = snapshot(2, both("a", "b", "c", seconds=2), both("d"))
    ledger.behind = {"a": cluster("a"), "b": cluster("b"), "c": ABSENT}
    send(ledger, cluster("a", 2), cluster("b", 2), cluster("c", 2))
    assert ledger.rejected(new, "b: no") == ("b",)
    assert ledger.behind == {
        "a": Unsure((cluster("a"), cluster("a", 2))),
        "b": cluster("b"),
        "c": Unsure((ABSENT, cluster("c", 2))),
    }
    assert ledger.forced == {"a", "c", "d"}
    assert ledger.effective(new, "b") == cluster("b")
    assert ledger.holds.distrusted == {CLUSTER: {"a", "c"}}
    # Restored in full, its versions are true again.
    send(ledger, cluster("a", 2), cluster("c", 2), cluster("d"))
    ledger.acknowledged(new)
    assert ledger.holds.distrusted == {}
    assert not ledger.settled


def test_a_rejection_that_names_nobody() -> None:
    ledger = ledger_of(CLUSTER)
    new = snapshot(2, both("a", seconds=2))
    ledger.behind = {"a": cluster("a"), "z": cluster("z")}
    send(ledger, cluster("a", 2), removed=("z",))
    assert ledger.rejected(new, "no") == ("a",)
    assert ledger.behind == {
        "a": Unsure((cluster("a"), cluster("a", 2))),
        "z": Unsure((cluster("z"), ABSENT)),
    }
    assert ledger.effective(new, "a") == cluster("a")


def test_a_rejection_that_names_nobody_of_several_starts_a_search() -> None:
    ledger = ledger_of(CLUSTER)
    new = snapshot(2, both("a", "b", seconds=2), both("d"))
    ledger.behind = {"a": cluster("a"), "b": ABSENT}
    send(ledger, cluster("a", 2), cluster("b", 2))
    assert ledger.rejected(new, "no") == ()
    # Nothing else goes out until the culprit is found; then all is restored.
    assert ledger.forced == set()
    assert ledger.search(new) is not None
    assert (ledger.effective(new, "a"), ledger.effective(new, "b")) == (cluster("a", 2), WITHHELD)
    send(ledger, cluster("a", 2))
    ledger.acknowledged(new)
    assert ledger.search(new) is None
    assert ledger.forced == {"a", "d"}
    assert ledger.holds.rejected(cluster("b", 2)) == "no"


def test_a_search_ends_when_what_it_searches_changes() -> None:
    ledger = ledger_of(CLUSTER)
    old, new = snapshot(2, both("a", "b")), snapshot(3, both("a"), both("b", seconds=2))
    ledger.behind = {"a": ABSENT, "b": ABSENT}
    send(ledger, cluster("a"), cluster("b"))
    ledger.rejected(old, "no")
    assert ledger.search(new) is None
    assert ledger.forced == {"a", "b"}
    assert ledger.effective(new, "a") == cluster("a")


def test_a_lost_stream_leaves_its_doubts_to_the_next() -> None:
    ledger = ledger_of(CLUSTER)
    ledger.behind = {"a": UNKNOWN, "b": ABSENT, "c": ABSENT}
    send(ledger, cluster("c"))
    ledger.lost()
    assert ledger.holds.lost == {CLUSTER: {"a", "c"}}
    settled = ledger_of(CLUSTER)
    settled.lost()
    assert settled.holds.lost == {}


def test_what_names_a_cluster() -> None:
    ledger = ledger_of(ROUTE, "r", "s")
    a, b = (CLUSTER, "a"), (CLUSTER, "b")
    assert not ledger.may_name(a)
    ledger.behind = {"r": routes("r", "a")}
    assert (ledger.may_name(a), ledger.may_name(b)) == (True, False)
    send(ledger, routes("r", "b"))
    assert ledger.may_name(b)
    ledger.acknowledged(snapshot(1, both("b"), routes("r", "b")))
    assert not ledger.may_name(a)
    ledger.linger("r", routes("r", "a"))
    assert not ledger.may_name(a)
    assert (ledger.lingers_on(a), ledger.lingers_on(b)) == (True, False)
    ledger.forget(["r"])
    assert not ledger.lingers_on(a)


def test_only_routes_linger() -> None:
    ledger = ledger_of(LISTENER)
    ledger.linger("l", listener("l", "r"))
    assert not ledger.lingers_on((ROUTE, "r"))


def test_following_is_for_what_was_asked_for_and_is_there() -> None:
    ledger = ledger_of(ROUTE, "r", "gone")
    current: Snapshot = snapshot(1, routes("r"), routes("s"))
    for name in ("r", "s", "gone"):
        ledger.follow(name, current)
    assert ledger.forced == {"r"}


def test_what_was_rejected_alone_is_held_though_it_has_changed_since() -> None:
    ledger = ledger_of(CLUSTER)
    ledger.behind = {"a": ABSENT}
    send(ledger, cluster("a", 1))
    assert ledger.rejected(snapshot(2, both("a", seconds=2)), "no") == ("a",)
    assert ledger.holds.rejected(cluster("a", 1)) == "no"
    assert ledger.effective(snapshot(3, both("a", seconds=1)), "a") is WITHHELD
