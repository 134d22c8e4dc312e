from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.topology.samples import LATER, STAMP, cell, record
from topology.codec import encode
from topology.keys import Keyspace
from topology.model import Cell, CellState, Departure, Document, Retired, SequenceRange
from topology.store import Batch, Event, EventKind, Listing, Record
from topology.view import EMPTY, QuarantineKind, View, fold, from_listing

SPACE = Keyspace()
RULES = Document(kind="rules", name="current", body={"rules": []}, stamp=STAMP)


def put(
    revision: int, *written: Cell | Retired | Document | tuple[str, bytes], created: int | None = None
) -> Batch:
    return Batch(revision, tuple(_put(each, revision, created) for each in written))


def _put(written: Cell | Retired | Document | tuple[str, bytes], revision: int, created: int | None) -> Event:
    stored = stored_as(written, revision, created)
    return Event(EventKind.PUT, stored.key, revision, stored)


def stored_as(
    written: Cell | Retired | Document | tuple[str, bytes], revision: int, created: int | None = None
) -> Record:
    match written:
        case Cell():
            return record(f"/cellplane/v1/cells/{written.id}", encode(written), revision, created)
        case Retired():
            return record(f"/cellplane/v1/retired/{written.id}", encode(written), revision, created)
        case Document():
            return record(f"/cellplane/v1/{written.kind}/{written.name}", encode(written), revision, created)
        case (key, value):
            return record(f"/cellplane/v1/{key}", value, revision, created)


def deleted(revision: int, *keys: str) -> Batch:
    return Batch(revision, tuple(Event(EventKind.DELETE, f"/cellplane/v1/{key}", revision) for key in keys))


def after(*batches: Batch) -> View:
    view = EMPTY
    for batch in batches:
        view = fold(view, batch)
    return view


def tombstone(of: Cell) -> Retired:
    return Retired(
        id=of.id,
        name=of.name,
        session_prefix=of.session_prefix,
        sequence_ranges=of.sequence_ranges,
        stamp=LATER,
    )


def ranged(cell_id: int, minval: int, maxval: int, **changes: Any) -> Cell:
    return cell(cell_id, sequence_ranges=(SequenceRange(minval=minval, maxval=maxval),), **changes)


def test_the_empty_view() -> None:
    assert (EMPTY.revision, EMPTY.cells, EMPTY.stale) == (0, {}, False)
    assert EMPTY.cell_revision(1) == EMPTY.document_revision("rules", "current") == 0


def test_a_listing_becomes_a_view() -> None:
    one, two, gone = cell(1), cell(2), cell(3)
    records = (
        stored_as(one, 10),
        stored_as(two, 11),
        stored_as(("registry", b"anything"), 12),
        stored_as(tombstone(gone), 13),
        stored_as(RULES, 14),
    )
    view = from_listing(Listing(20, records), SPACE)
    assert view.revision == 20
    assert view.cells == {1: one, 2: two}
    assert view.retired == {3: tombstone(gone)}
    assert view.documents == {("rules", "current"): RULES}
    assert view.quarantined == {}
    assert view.mod_revisions["/cellplane/v1/registry"] == 12
    assert (view.cell_revision(2), view.cell_revision(9)) == (11, 0)
    assert view.document_revision("rules", "current") == 14
    assert not view.stale


def test_batches_fold_into_it_and_leave_the_old_view_alone() -> None:
    first = after(put(5, cell(2)))
    second = fold(first, put(6, cell(1), RULES))
    third = fold(second, deleted(7, "cells/2", "rules/current"))
    assert list(first.cells) == [2]
    assert list(second.cells) == [1, 2]
    assert list(third.cells) == [1]
    assert third.documents == {}
    assert third.mod_revisions == {"/cellplane/v1/cells/1": 6}
    assert [view.revision for view in (first, second, third)] == [5, 6, 7]


def test_generations_count_by_their_revisions() -> None:
    first = after(put(5, cell(1), ("generations/00042", b"whatever")), put(6, ("generations/00007", b"")))
    assert first.generations == {7: 6, 42: 5}
    second = fold(first, put(8, ("generations/00042", b"again")))
    assert second.generations == {7: 6, 42: 8}
    assert second.cells is first.cells
    assert second.departed is first.departed
    assert fold(second, deleted(9, "generations/00042")).generations == {7: 6}
    assert not second.quarantined


def test_departures_are_kept_by_owner() -> None:
    gone = Departure(owner="ORGANIZATION/42", from_cell=1, to_cell=2, epoch=2, stamp=STAMP)
    back = replace(gone, from_cell=2, to_cell=1, epoch=3)
    view = after(put(5, ("departed/ORGANIZATION/42", encode(gone))))
    assert view.departed == {"ORGANIZATION/42": gone}
    assert gone.at == STAMP.updated_at
    moved = fold(view, put(6, ("departed/ORGANIZATION/42", encode(back))))
    assert moved.departed == {"ORGANIZATION/42": back}
    assert moved.generations is view.generations
    assert fold(moved, deleted(7, "departed/ORGANIZATION/42")).departed == {}
    bad = fold(moved, put(8, ("departed/ORGANIZATION/42", b"{}")))
    assert bad.departed == {"ORGANIZATION/42": back}
    assert list(bad.quarantined) == ["/cellplane/v1/departed/ORGANIZATION/42"]


def test_nobody_edits_a_view() -> None:
    view = after(put(5, cell(1)))
    with pytest.raises(TypeError):
        view.cells[1] = cell(1)  # type: ignore[index]
    with pytest.raises(TypeError):
        view.mod_revisions["x"] = 1  # type: ignore[index]


def test_a_bookmark_moves_the_revision_alone() -> None:
    view = after(put(5, cell(1)))
    moved = fold(view, Batch(9))
    assert moved.revision == 9
    assert moved.cells is view.cells


@pytest.mark.parametrize(
    "batch", [put(5, cell(1, weight=1)), put(4, cell(2)), Batch(3), deleted(5, "cells/1")]
)
def test_what_is_not_newer_changes_nothing(batch: Batch) -> None:
    view = after(put(5, cell(1)))
    assert fold(view, batch) is view


def test_what_did_not_change_keeps_its_identity() -> None:
    view = after(put(5, cell(1), cell(2), RULES))
    folded = fold(view, put(6, cell(2, weight=7), cell(3)))
    assert folded.cells[1] is view.cells[1]
    assert folded.cells[2] is not view.cells[2]
    assert folded.documents[RULES.kind, RULES.name] is view.documents[RULES.kind, RULES.name]
    same_again = fold(folded, put(7, cell(1)))
    assert same_again.cells[1] is view.cells[1]
    assert same_again.cell_revision(1) == 7


def test_a_relist_keeps_identity_and_finds_what_was_missed() -> None:
    view = after(put(5, cell(1), cell(2), cell(3), RULES))
    listing = Listing(
        9,
        (stored_as(cell(1), 5), stored_as(cell(2, weight=7), 8), stored_as(RULES, 5), stored_as(cell(4), 9)),
    )
    again = from_listing(listing, SPACE, view)
    assert again.cells == {1: cell(1), 2: cell(2, weight=7), 4: cell(4)}
    assert again.cells[1] is view.cells[1]
    assert again.documents[RULES.kind, RULES.name] is view.documents[RULES.kind, RULES.name]
    assert "/cellplane/v1/cells/3" not in again.mod_revisions


def test_a_relist_of_a_store_that_went_back_in_time_is_believed() -> None:
    view = after(put(50, cell(1), cell(2)))
    back = from_listing(Listing(9, (stored_as(cell(1, weight=3), 50),)), SPACE, view)
    assert (back.revision, back.cells) == (9, {1: cell(1, weight=3)})


def test_a_listing_of_another_keyspace_starts_from_nothing() -> None:
    other = Keyspace("/other")
    assert from_listing(Listing(9, ()), other, after(put(5, cell(1)))) == View(keyspace=other, revision=9)


def test_a_listing_confirms_a_stale_view() -> None:
    stale = replace(after(put(5, cell(1))), stale=True)
    fresh = from_listing(Listing(6, (stored_as(cell(1), 5),)), SPACE, stale)
    assert not fresh.stale
    assert fresh.cells[1] is stale.cells[1]


# What can't be let in


@pytest.mark.parametrize(
    ("key", "value", "kind", "words"),
    [
        ("cells/7", b"garbage", QuarantineKind.UNDECODABLE, "no JSON"),
        ("cells/7", encode(cell(8)), QuarantineKind.UNDECODABLE, "lies at the key of cell 7"),
        ("retired/7", b"{}", QuarantineKind.UNDECODABLE, "schema: is missing"),
        ("rules/current", b"[]", QuarantineKind.UNDECODABLE, "no JSON object"),
        ("cells/007", encode(cell(7)), QuarantineKind.UNKNOWN_KEY, "no cell id"),
        ("celsl/7", encode(cell(7)), QuarantineKind.UNKNOWN_KEY, "nothing of this version"),
    ],
)
def test_garbage_is_kept_out_and_shown(key: str, value: bytes, kind: QuarantineKind, words: str) -> None:
    view = after(put(5, cell(1)), put(6, (key, value)))
    assert view.cells == {1: cell(1)}
    (kept,) = view.quarantined.values()
    assert (kept.key, kept.kind, kept.mod_revision, kept.create_revision) == (
        f"/cellplane/v1/{key}",
        kind,
        6,
        6,
    )
    assert words in kept.reason
    assert kept.raw == value
    assert view.mod_revisions[f"/cellplane/v1/{key}"] == 6
    assert fold(view, deleted(7, key)).quarantined == {}


def test_a_large_piece_of_garbage_is_kept_in_part() -> None:
    (kept,) = after(put(5, ("cells/7", b"x" * 100_000))).quarantined.values()
    assert kept.raw == b"x" * 4096


def test_garbage_over_a_live_record_leaves_the_last_good_one_in_place() -> None:
    view = after(put(5, cell(1), RULES, tombstone(cell(2))))
    spoilt = fold(view, put(6, ("cells/1", b"?"), ("rules/current", b"?"), ("retired/2", b"?")))
    assert spoilt.cells[1] is view.cells[1]
    assert spoilt.documents == view.documents
    assert spoilt.retired == view.retired
    assert len(spoilt.quarantined) == 3
    assert spoilt.cell_revision(1) == 6
    relisted = from_listing(Listing(7, (stored_as(("cells/1", b"?"), 6, created=5),)), SPACE, spoilt)
    assert relisted.cells[1] is view.cells[1]
    assert list(relisted.quarantined) == ["/cellplane/v1/cells/1"]


def test_a_mended_record_comes_back_and_a_deleted_one_goes() -> None:
    spoilt = after(put(5, cell(1), cell(2)), put(6, ("cells/1", b"?"), ("cells/2", b"?")))
    mended = fold(spoilt, put(7, cell(1, weight=3)))
    assert mended.cells[1].weight == 3
    assert list(mended.quarantined) == ["/cellplane/v1/cells/2"]
    assert list(fold(mended, deleted(8, "cells/2")).cells) == [1]


@pytest.mark.parametrize(
    "intruder",
    [
        cell(2, session_prefix="cell-1"),
        cell(2, session_prefix="cell-1-b"),
        ranged(2, 50, 150, session_prefix="two"),
    ],
)
def test_a_record_that_contradicts_one_that_stands_is_kept_out(intruder: Cell) -> None:
    view = after(put(5, ranged(1, 1, 99)), put(6, intruder))
    assert list(view.cells) == [1]
    (kept,) = view.quarantined.values()
    assert (kept.kind, kept.record) == (QuarantineKind.CONTRADICTION, intruder)
    assert "cell 1" in kept.reason


def test_it_comes_in_once_the_other_makes_way() -> None:
    view = after(put(5, cell(1)), put(6, cell(2, session_prefix="cell-1")))
    assert fold(view, deleted(7, "cells/1")).cells == {2: cell(2, session_prefix="cell-1")}
    assert fold(view, put(7, cell(1, session_prefix="one"))).cells.keys() == {1, 2}
    assert fold(view, put(7, cell(2))).cells == {1: cell(1), 2: cell(2)}


def test_an_elder_that_is_written_over_does_not_push_out_who_stands() -> None:
    view = after(put(5, cell(1)), put(6, cell(2)))
    stolen = fold(view, put(7, cell(1, session_prefix="cell-2"), created=5))
    assert stolen.cells == view.cells
    assert list(stolen.quarantined) == ["/cellplane/v1/cells/1"]
    # Others who come later must not take what the last good record holds.
    assert 3 not in fold(stolen, put(8, cell(3, session_prefix="cell-1"))).cells


def test_in_a_first_listing_the_elder_stands() -> None:
    younger, elder = cell(1, session_prefix="same"), cell(2, session_prefix="same")
    view = from_listing(Listing(20, (stored_as(younger, 15, 8), stored_as(elder, 19, 7))), SPACE)
    assert list(view.cells) == [2]
    assert list(view.quarantined) == ["/cellplane/v1/cells/1"]


def test_two_contradictions_are_settled_in_turn() -> None:
    view = after(
        put(5, cell(1, session_prefix="a")),
        put(6, cell(2, session_prefix="a-x")),
        put(7, cell(3, session_prefix="a-x")),
    )
    assert list(view.cells) == [1]
    freed = fold(view, put(8, cell(1, session_prefix="b")))
    assert list(freed.cells) == [1, 2]
    assert "cell 2" in freed.quarantined["/cellplane/v1/cells/3"].reason


def test_a_removed_cell_makes_way_for_its_tombstone() -> None:
    view = after(put(5, ranged(1, 1, 9)))
    gone = Batch(6, (*put(6, tombstone(ranged(1, 1, 9))).events, *deleted(6, "cells/1").events))
    removed = fold(view, gone)
    assert (dict(removed.cells), removed.quarantined) == ({}, {})
    assert list(removed.retired) == [1]
    back = fold(removed, put(7, cell(1)))
    assert list(back.quarantined) == ["/cellplane/v1/cells/1"]
    assert "ids are never used again" in back.quarantined["/cellplane/v1/cells/1"].reason


def test_a_tombstone_written_over_a_living_cell_is_kept_out() -> None:
    view = after(put(5, cell(1)), put(6, tombstone(cell(1))))
    assert (list(view.cells), list(view.retired)) == ([1], [])
    assert list(view.quarantined) == ["/cellplane/v1/retired/1"]


def test_states_do_not_matter_to_the_view() -> None:
    cells = [cell(number, state) for number, state in enumerate(CellState, start=1)]
    assert list(after(put(5, *cells)).cells.values()) == cells
