"""The order table, applied to the ledgers of one stream."""

from __future__ import annotations

from tests.xds.configuration import both, cluster, endpoints, routes, snapshot
from tests.xds.test_ledger import COMPOSER, ledger_of
from xds.copies import ABSENT, UNKNOWN, Unsure
from xds.in_flight import InFlight
from xds.ledger import Ledger
from xds.relations import Relations
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Reference

HERE = snapshot(1, both("a"))


def relations(*ledgers: Ledger, grace_seconds: float = 1.0) -> Relations:
    return Relations(grace_seconds, ledgers={ledger.type: ledger for ledger in ledgers})


def flight(ledger: Ledger, *, blocking: bool, children: tuple[Reference, ...] = ()) -> None:
    ledger.sent(InFlight(COMPOSER.delta(ledger.type, "1", []), {}, blocking, children))


def test_a_gate_is_open_unless_something_that_blocks_is_under_way() -> None:
    clusters, listeners = ledger_of(CLUSTER), ledger_of(LISTENER)
    both_types = relations(clusters, listeners)
    assert both_types.gate_is_open(listeners, HERE)
    flight(clusters, blocking=False)
    assert both_types.gate_is_open(listeners, HERE)
    flight(clusters, blocking=True)
    assert not both_types.gate_is_open(listeners, HERE)
    assert both_types.gate_is_open(clusters, HERE)
    # Types that nobody asked for gate nothing.
    assert relations(listeners).gate_is_open(listeners, HERE)


def test_a_gate_is_shut_before_clusters_that_will_be_asked_for() -> None:
    clusters, endpoint_sets, listeners = ledger_of(CLUSTER), ledger_of(ENDPOINT, "a"), ledger_of(LISTENER)
    these = relations(endpoint_sets, listeners)
    assert these.gate_is_open(listeners, HERE)
    assert these.finds_warming(endpoint_sets)
    assert not these.gate_is_open(listeners, HERE)
    assert these.gate_is_open(endpoint_sets, HERE)
    # A client can lack no cluster where there is none.
    assert these.gate_is_open(listeners, snapshot(2))
    these.ledgers[CLUSTER] = clusters
    assert these.gate_is_open(listeners, HERE)


def test_a_gate_is_shut_no_longer_than_clusters_warm() -> None:
    endpoint_sets, listeners = ledger_of(ENDPOINT, "a"), ledger_of(LISTENER)
    these = relations(endpoint_sets, listeners)
    these.tick(10.0)
    assert these.due() is None
    these.finds_warming(endpoint_sets)
    these.tick(24.9)
    assert not these.gate_is_open(listeners, HERE)
    assert these.due() == 25.0
    these.tick(25.0)
    assert these.gate_is_open(listeners, HERE)
    assert these.due() is None


def test_a_gate_is_shut_until_who_tells_nothing_has_its_endpoints() -> None:
    endpoint_sets, listeners = ledger_of(ENDPOINT, "a"), ledger_of(LISTENER)
    these = relations(endpoint_sets, listeners)
    endpoint_sets.behind = {"a": ABSENT}
    assert not these.gate_is_open(listeners, HERE)
    endpoint_sets.behind = {}
    assert these.gate_is_open(listeners, HERE)


def test_a_stream_of_one_type_waits_for_no_other() -> None:
    endpoint_sets = ledger_of(ENDPOINT, "a")
    alone = Relations(1.0, aggregated=False, ledgers={ENDPOINT: endpoint_sets})
    assert not alone.finds_warming(endpoint_sets)


def test_what_may_be_lacking() -> None:
    clusters, route_sets = ledger_of(CLUSTER), ledger_of(ROUTE, "r")
    clusters.behind = {"a": ABSENT, "b": cluster("b")}
    assert relations(clusters, route_sets).lacking(route_sets, snapshot(1, both("a", "b"))) == [
        (CLUSTER, "a")
    ]
    assert relations(route_sets).lacking(route_sets, snapshot(1, both("a", "b"))) == []
    # What is on the way out is not lacking, and what may be there or not is.
    clusters.behind = {"a": UNKNOWN, "gone": ABSENT, "b": Unsure((ABSENT, cluster("b")))}
    assert relations(clusters, route_sets).lacking(route_sets, snapshot(1, both("a", "b"))) == [
        (CLUSTER, "a"),
        (CLUSTER, "b"),
    ]


def test_a_stand_in_needs_what_it_names() -> None:
    clusters, route_sets = ledger_of(CLUSTER), ledger_of(ROUTE, "r")
    these = relations(clusters, route_sets)
    assert these.stands(route_sets, routes("r", "a"), snapshot(1, both("a")))
    assert not these.stands(route_sets, routes("r", "a"), snapshot(1, both("b")))
    assert relations(route_sets).stands(route_sets, routes("r", "a"), snapshot(1))


def test_rule_53_a_removal_waits_for_who_names_it_and_then_for_the_grace() -> None:
    clusters, route_sets = ledger_of(CLUSTER), ledger_of(ROUTE, "r")
    these = relations(clusters, route_sets)
    route_sets.behind = {"r": routes("r", "a")}
    assert not these.removable(clusters, "a", 10.0)
    assert these.due() is None
    route_sets.behind = {}
    assert not these.removable(clusters, "a", 11.0)
    assert these.due() == 12.0
    assert not these.removable(clusters, "a", 11.9)
    assert these.removable(clusters, "a", 12.0)
    flight(clusters, blocking=False)
    assert these.due() is None


def test_a_removal_without_grace() -> None:
    endpoint_sets = ledger_of(ENDPOINT, "a")
    assert relations(endpoint_sets).removable(endpoint_sets, "a", 0.0)
    clusters = ledger_of(CLUSTER)
    assert relations(clusters, grace_seconds=0.0).removable(clusters, "a", 0.0)


def test_a_removal_that_waits_for_what_lingers_is_deferred() -> None:
    clusters, endpoint_sets, route_sets = ledger_of(CLUSTER), ledger_of(ENDPOINT, "a"), ledger_of(ROUTE, "r")
    these = relations(clusters, endpoint_sets, route_sets)
    route_sets.linger("r", routes("r", "a"))
    clusters.behind, endpoint_sets.behind = {"a": cluster("a")}, {"a": endpoints("a")}
    assert not these.removable(clusters, "a", 0.0)
    # Its endpoints stay with it.
    assert not these.removable(endpoint_sets, "a", 0.0)
    assert [clusters.settled, endpoint_sets.settled] == [True, True]
    route_sets.forget(["r"])
    assert not these.removable(clusters, "a", 5.0)
    assert [clusters.settled, endpoint_sets.settled] == [False, True]
    assert these.removable(clusters, "a", 6.0)


def test_children_follow_what_left_before_they_were_asked_for() -> None:
    clusters, endpoint_sets = ledger_of(CLUSTER), ledger_of(ENDPOINT, "a", "b")
    these = relations(clusters, endpoint_sets)
    flight(clusters, blocking=True, children=((ENDPOINT, "a"), (ENDPOINT, "b"), (ENDPOINT, "c")))
    endpoint_sets.behind = {"b": ABSENT}
    these.recall(endpoint_sets, snapshot(1, both("a", "b", "c")))
    assert endpoint_sets.forced == {"a"}
    these.follow([(ENDPOINT, "b"), (ROUTE, "r")], snapshot(1, both("a", "b", "c")))
    assert endpoint_sets.forced == {"a", "b"}


def test_what_a_lost_stream_left_unanswered_is_open() -> None:
    clusters = ledger_of(CLUSTER)
    clusters.holds.lost[CLUSTER] = {"a"}
    relations(clusters).recall(clusters, snapshot(1))
    assert clusters.behind == {"a": UNKNOWN}
    assert clusters.holds.lost == {}


def test_rule_6_endpoints_that_are_asked_for_before_clusters_are_waited_for() -> None:
    clusters, endpoint_sets = ledger_of(CLUSTER), ledger_of(ENDPOINT, "a")
    assert relations(endpoint_sets).finds_warming(endpoint_sets)
    assert not relations(clusters, endpoint_sets).finds_warming(endpoint_sets)
    assert not relations(endpoint_sets).finds_warming(ledger_of(ROUTE, "r"))
