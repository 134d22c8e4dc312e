"""Which names a cell refuses: told by departures and announcements, the later one of two with a name."""

from __future__ import annotations

from dataclasses import replace

from tests.topology.departures import KEYS, announce, done, leave, wish
from tests.topology.samples import STAMP
from topology.departing import (
    NAMES_AT_ONCE,
    Barred,
    FenceOf,
    departing,
    departing_of,
    fence,
    left_cells,
    named,
    names_below,
    orphans,
    plan_strike,
)
from topology.store import Compare, Txn
from topology.view import View


def test_who_is_leaving_is_refused_by_its_source_alone() -> None:
    view = announce(View(), wish(), "ROUTES/acme")
    moving = Barred("NAMESPACE/42", 2, 2, moving=True)
    found = fence(view)
    assert found.of_cell(1) == {"ROUTES/acme": moving}
    assert found.of_cell(2) == found.of_cell(3) == {}
    assert departing(view) == {"NAMESPACE/42": wish()}


def test_who_has_left_is_refused_everywhere_else() -> None:
    found = fence(leave(announce(View(), wish(), "ROUTES/acme"), wish()))
    assert found.of_cell(1) == found.of_cell(3) == {"ROUTES/acme": Barred("NAMESPACE/42", 2, 2)}
    assert found.of_cell(2) == {}


def test_the_first_cell_goes_on_refusing_while_the_owner_leaves_the_second_and_after_that() -> None:
    view = leave(announce(View(), wish(), "ROUTES/acme"), wish())
    on = wish(epoch=3, source=2, to=3)
    view = announce(view, on, "ROUTES/acme", "ROUTES/new")
    assert fence(view).of_cell(1) == {"ROUTES/acme": Barred("NAMESPACE/42", 2, 2)}
    assert set(fence(view).of_cell(2)) == {"ROUTES/acme", "ROUTES/new"}
    view = leave(view, on)
    assert fence(view).of_cell(1)["ROUTES/acme"] == Barred("NAMESPACE/42", 3, 3)
    assert fence(view).of_cell(3) == {}


def test_what_was_given_up_is_refused_no_more() -> None:
    view = announce(View(), wish(), "ROUTES/acme")
    view = done(view, Txn(deletes=(KEYS.document("departing", "NAMESPACE/42"),)))
    assert fence(view).of_cell(1) == {}
    (orphan,) = orphans(view, 10)
    assert orphan == "/cellplane/v1/departed-claims/NAMESPACE%2F42%2F2%2F0"
    assert list(orphans(announce(View(), wish(), "ROUTES/acme"), 10)) == []
    assert orphan.startswith(names_below(KEYS, "NAMESPACE/42", 2))


def test_of_two_owners_who_left_with_one_name_the_later_counts() -> None:
    first, second = wish(), wish("NAMESPACE/7", 2, 3, 1)
    view = leave(announce(View(), first, "ROUTES/acme"), first)
    view = leave(announce(view, second, "ROUTES/acme"), second)
    assert fence(view).of_cell(1) == {}
    assert fence(view).of_cell(2) == {"ROUTES/acme": Barred("NAMESPACE/7", 1, 2)}


def test_a_name_that_is_claimed_anew_is_let_in() -> None:
    view = leave(announce(View(), wish(), "ROUTES/acme", "ROUTES/web"), wish())
    assert plan_strike(view, fence(view).gone, 2, ["ROUTES/acme"]) is None, "its owner is there"
    assert plan_strike(view, fence(view).gone, 1, ["ROUTES/other"]) is None
    txn = plan_strike(view, fence(view).gone, 1, ["ROUTES/acme"])
    assert txn is not None
    assert set(fence(done(view, txn)).of_cell(1)) == {"ROUTES/web"}


def test_many_names_take_several_documents() -> None:
    names = [f"ROUTES/{number}" for number in range(NAMES_AT_ONCE + 1)]
    seen = Compare("/departing", 7)
    txns = list(named(KEYS, wish(), names, seen))
    assert [len(txn.puts) for txn in txns] == [1, 1]
    assert all(txn.compares == (seen,) for txn in txns)
    assert set(fence(announce(View(), wish(), *names)).of_cell(1)) == set(names)


def test_the_cells_that_are_left_are_known() -> None:
    view = announce(View(), wish(), "ROUTES/acme")
    assert left_cells(view) == left_cells(leave(view, wish())) == {1: {2}}
    on = wish(epoch=3, source=2, to=4)
    gone_on = leave(announce(leave(view, wish()), on, "ROUTES/acme"), on)
    assert left_cells(gone_on) == {1: {4}, 2: {4}}, "where they are now, not where they went first"
    assert left_cells(View()) == {}


def test_what_is_no_announcement_is_left_out() -> None:
    assert departing_of("NAMESPACE/42", {"transfer": "t"}, STAMP) is None


def test_a_fence_is_made_anew_only_where_it_changed() -> None:
    fence_of = FenceOf()
    view = announce(View(), wish(), "ROUTES/acme")
    first = fence_of(view)
    assert first == fence(view)
    assert fence_of(replace(view, revision=99)) is first
    assert fence_of(leave(view, wish())).of_cell(3)
