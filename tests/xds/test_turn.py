"""What one type says at one moment."""

from __future__ import annotations

from tests.xds.configuration import cluster, routes
from tests.xds.test_ledger import ledger_of
from xds.copies import ABSENT
from xds.placeholders import empty
from xds.resource import CLUSTER, ENDPOINT, ROUTE, Absence
from xds.turn import Turn


def test_what_the_client_lacks_is_given() -> None:
    ledger = ledger_of(CLUSTER)
    ledger.behind = {"a": ABSENT, "b": cluster("b", 1)}
    turn = Turn(ledger, open=True, lacking=())
    turn.give(cluster("a"), ABSENT)
    turn.give(cluster("b", 2), cluster("b", 1))
    assert turn.upserts == turn.changed == [cluster("a"), cluster("b", 2)]
    assert turn.sent == {"a": cluster("a"), "b": cluster("b", 2)}
    assert turn.blocking


def test_what_the_client_has_is_closed_without_a_word() -> None:
    ledger = ledger_of(CLUSTER)
    ledger.behind = {"a": cluster("a"), "b": cluster("b")}
    turn = Turn(ledger, open=True, lacking=())
    turn.give(cluster("a"), cluster("a"))
    turn.give(cluster("b"), cluster("b"), is_stand_in=True)
    turn.close()
    assert not turn.sent
    # With a stand-in it is still behind.
    assert ledger.behind == {"b": cluster("b")}


def test_what_was_asked_for_again_is_given_but_is_no_change() -> None:
    ledger = ledger_of(ENDPOINT, "a")
    ledger.forced = {"a"}
    turn = Turn(ledger, open=True, lacking=())
    turn.give(cluster("a"), cluster("a"))
    assert (turn.upserts, turn.changed, turn.blocking) == ([cluster("a")], [], True)


def test_who_has_to_wait_is_not_given() -> None:
    ledger = ledger_of(ROUTE, "r")
    for turn in (Turn(ledger, open=False, lacking=()), Turn(ledger, open=True, lacking=[(CLUSTER, "a")])):
        turn.give(routes("r", "a"), ABSENT)
        assert not turn.sent
    turn = Turn(ledger, open=True, lacking=[(CLUSTER, "b")])
    turn.give(routes("r", "a"), ABSENT)
    assert turn.sent


def test_saying_that_nothing_is_there() -> None:
    ledger = ledger_of(ROUTE, "r", "s", "t")
    turn = Turn(ledger, open=True, lacking=())
    assert turn.say_nothing_there("r", Absence.REMOVED)
    assert turn.say_nothing_there("s", Absence.EMPTY)
    assert not turn.say_nothing_there("t", Absence.SILENCE)
    assert (turn.removed, turn.upserts, turn.sent) == (["r"], [empty(ROUTE, "s")], {"r": None, "s": None})


def test_an_empty_body_that_was_rejected_is_not_sent() -> None:
    ledger = ledger_of(ROUTE, "r")
    ledger.holds.reject(empty(ROUTE, "r"), "no", None)
    assert not Turn(ledger, open=True, lacking=()).say_nothing_there("r", Absence.EMPTY)


def test_an_empty_body_that_is_held_for_the_group_is_not_sent_either() -> None:
    ledger = ledger_of(ROUTE, "r")
    ledger.holds.group.joined("other", "v")
    ledger.holds.group.rejected("other", empty(ROUTE, "r"), "no", None)
    turn = Turn(ledger, open=True, lacking=())
    assert not turn.say_nothing_there("r", Absence.EMPTY)
    assert not turn.sent


def test_keeping_silent_leaves_the_client_behind() -> None:
    ledger = ledger_of(ROUTE, "r")
    ledger.behind, ledger.forced = {"r": ABSENT}, {"r"}
    turn = Turn(ledger, open=True, lacking=())
    turn.keep_silent("r")
    turn.close()
    assert (ledger.behind, ledger.forced) == ({"r": ABSENT}, set())
