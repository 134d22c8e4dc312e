"""Folding batches equals listing at the last revision; no View ever holds a contradiction."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.properties.topology_histories import (
    SPACE,
    Keys,
    Write,
    contested_writes,
    good_writes,
    histories,
)
from topology.keys import CellKey, DocumentKey, RegistryKey, RetiredKey
from topology.uniqueness import Holder, Register
from topology.view import EMPTY, View, fold, from_listing


def in_order(view: View) -> tuple[list[object], ...]:
    return ([*view.cells], [*view.retired], [*view.documents], [*view.quarantined])


@given(histories(good_writes))
def test_folding_batches_equals_listing_at_the_last_revision(history: list[list[Write]]) -> None:
    keys, view = Keys(), from_listing(Keys().listing(), SPACE)
    for writes in history:
        view = fold(view, keys.commit(writes))
        fresh = from_listing(keys.listing(), SPACE)
        assert view == fresh
        assert in_order(view) == in_order(fresh)


@given(histories(contested_writes))
def test_listing_again_changes_nothing(history: list[list[Write]]) -> None:
    keys, view = Keys(), from_listing(Keys().listing(), SPACE)
    for writes in history:
        view = fold(view, keys.commit(writes))
    again = from_listing(keys.listing(), SPACE, view)
    assert again == view
    assert all(again.cells[cell_id] is view.cells[cell_id] for cell_id in view.cells)


@given(histories(contested_writes), st.sets(st.integers(0, 24)))
def test_a_view_never_holds_a_contradiction_nor_loses_a_key(
    history: list[list[Write]], relists: set[int]
) -> None:
    keys, view = Keys(), EMPTY
    for at, writes in enumerate(history):
        before, batch = view, keys.commit(writes)
        view = from_listing(keys.listing(), SPACE, view) if at in relists else fold(view, batch)
        check_no_contradiction(view)
        check_every_key_is_somewhere(view, keys)
        check_a_live_cell_goes_only_with_its_record(before, view, keys)


def check_no_contradiction(view: View) -> None:
    register = Register()
    holders: list[Holder] = [*view.cells.values(), *view.retired.values()]
    for holder in holders:
        assert register.get(holder.id) is None
        assert register.clashes(holder) == ()
        register.add(holder)


def check_every_key_is_somewhere(view: View, keys: Keys) -> None:
    assert view.mod_revisions == {key: record.mod_revision for key, record in keys.records.items()}
    for key in keys.records:
        match SPACE.parse(key):
            case CellKey(cell_id):
                assert cell_id in view.cells or key in view.quarantined
            case RetiredKey(cell_id):
                assert cell_id in view.retired or key in view.quarantined
            case DocumentKey(kind, name):
                assert (kind, name) in view.documents or key in view.quarantined
            case RegistryKey():
                assert key not in view.quarantined
            case _:
                assert key in view.quarantined
    assert set(view.quarantined) <= set(keys.records)


def check_a_live_cell_goes_only_with_its_record(before: View, view: View, keys: Keys) -> None:
    for cell_id in before.cells:
        assert cell_id in view.cells or SPACE.cell(cell_id) not in keys.records
