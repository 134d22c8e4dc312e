from __future__ import annotations

from dataclasses import replace

from tests.topology.samples import CELL_4, LATER, cell
from topology.changes import differences
from topology.model import CellState, Drain, Endpoint, SequenceRange


def test_nothing_is_nothing() -> None:
    assert differences(None, None) == ()
    assert differences(CELL_4, CELL_4) == ()


def test_coming_and_going() -> None:
    assert differences(None, CELL_4) == (
        "cell 4: is there now, in ACTIVE",
        "by ada at 2026-03-01T12:00:00Z: first light",
    )
    assert differences(CELL_4, None) == ("cell 4: is gone",)


def test_each_changed_field_is_told_and_then_who_did_it() -> None:
    after = replace(
        CELL_4,
        state=CellState.DRAINING,
        addresses={"web": "https://four.example.com"},
        endpoints=(Endpoint(host="fd00::5", port=443, weight=2),),
        http2=False,
        sequence_ranges=(SequenceRange(minval=1000, maxval=1999), SequenceRange(minval=3000, maxval=3999)),
        weight=50,
        region="",
        drain=Drain(started_at="2026-03-01T13:00:00Z", seconds=60),
        stamp=LATER,
    )
    assert differences(CELL_4, after) == (
        "state: ACTIVE → DRAINING",
        "addresses: web=https://cell-4.example.com, ssh=ssh-4.example.com:22 → web=https://four.example.com",
        "endpoints: 10.0.0.4:8080 in eu-1a weight 3, [fd00::4]:8443 weight 1 → [fd00::5]:443 weight 2",
        "http2: yes → no",
        "sequence_ranges: 1000-1999 → 1000-1999, 3000-3999",
        "weight: 70 → 50",
        "region: eu → none",
        "drain: none → 60 s from 2026-03-01T13:00:00Z",
        "by bob at 2026-03-01T13:00:00Z: second thoughts",
    )


def test_an_author_without_a_reason() -> None:
    quiet = replace(CELL_4, weight=1, stamp=replace(LATER, reason=""))
    assert differences(CELL_4, quiet)[-1] == "by bob at 2026-03-01T13:00:00Z"
    assert differences(cell(1), cell(1, addresses={"web": "a:1"})) == ("addresses: none → web=a:1",)
