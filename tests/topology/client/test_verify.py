"""What differs between a cell's rows and its claims."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.topology.claims.samples import NOON, metadata
from topology.claims.model import Bucket
from topology.client.verify import SETTLED_AFTER, Drift, Stated, drift

OLD, NEW = NOON - SETTLED_AFTER, NOON - SETTLED_AFTER + timedelta(seconds=1)
NONE = Drift((), (), ())


def side(value: str, row: int = 7, at: datetime = OLD) -> dict[Bucket, Stated]:
    claim = metadata(value, row)
    return {claim.bucket: Stated(claim, at)}


def test_equal_sides_have_no_drift() -> None:
    assert drift({}, {}, NOON) == NONE
    assert drift(side("a"), side("a"), NOON) == NONE


def test_missing_different_and_extra() -> None:
    own = side("same") | side("mine") | side("changed", row=8)
    recorded = side("same") | side("theirs") | side("changed", row=9)
    assert drift(own, recorded, NOON) == Drift(
        missing=(metadata("mine"),), different=(metadata("changed", 8),), extra=(metadata("theirs"),)
    )


def test_what_changed_lately_on_either_side_is_left_alone() -> None:
    assert drift(side("a", at=NEW), {}, NOON) == NONE
    assert drift({}, side("a", at=NEW), NOON) == NONE
    for own, recorded in ((NEW, OLD), (OLD, NEW)):
        assert drift(side("a", 8, own), side("a", 9, recorded), NOON) == NONE


def test_the_subject_counts_too() -> None:
    claim = metadata("a")
    other = claim._replace(subject=claim.subject._replace(id=43))
    found = drift({claim.bucket: Stated(other, OLD)}, side("a"), NOON)
    assert found.different == (other,)
