"""What stands in the way of a transfer, and what is wrong with a wish."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.topology.claims.samples import LEASE_1, LEASE_2, OTHER, OWNER, owner, record, route, transfer
from topology.claims.model import Record, Status, Subject, SubjectType
from topology.claims.owners import Owner, OwnerElsewhere, OwnerMoving
from topology.claims.rules import Unreadable
from topology.claims.transfer import TransferWish, hindrances, same_wish, wish_problems
from topology.claims.transfer_obstacles import (
    LeasesOpen,
    OwnerUnknown,
    Scattered,
    TransferObstacle,
    WrongEpoch,
)

WISH = TransferWish(id=LEASE_2, owners=((OWNER, 1),), from_cell=1, to_cell=2)
AGAIN = replace(WISH, owners=((OWNER, 2),))
HELD = record("b", 1, Status.LEASE_CREATING, LEASE_1)
ODD = Unreadable(route("c"), "no JSON")


@pytest.mark.parametrize(
    ("wish", "known", "records", "expected"),
    [
        (WISH, None, [record("a")], None),
        (WISH, None, [], OwnerUnknown(OWNER)),
        (WISH, None, [record("a", 3)], OwnerElsewhere(OWNER, 3, 1)),
        (WISH, None, [record("a", 3), record("b")], Scattered(OWNER, (1, 3))),
        (AGAIN, None, [record("a")], WrongEpoch(OWNER, 2, 1)),
        (WISH, None, [record("a"), HELD], LeasesOpen(OWNER, (LEASE_1,))),
        (WISH, None, [record("a"), ODD], ODD),
        # Held by this very transfer: nothing is known of it but its claims.
        (WISH, owner(1, 1, LEASE_2), [record("a")], None),
        (WISH, owner(1, 1, LEASE_2), [record("a"), record("b", 3)], Scattered(OWNER, (1, 3))),
        (WISH, owner(1, 1, LEASE_2), [], OwnerUnknown(OWNER)),
        (WISH, owner(1, 1, LEASE_1), [record("a")], OwnerMoving(OWNER, LEASE_1)),
        # It has moved before: its record says where it is, whatever its claims say.
        (AGAIN, owner(1, 2), [record("a", 3)], None),
        (AGAIN, owner(1, 2), [], None),
        (WISH, owner(1, 2), [record("a")], WrongEpoch(OWNER, 1, 2)),
        (WISH, owner(3, 2), [record("a")], OwnerElsewhere(OWNER, 3, 2)),
    ],
)
def test_what_stands_in_the_way(
    wish: TransferWish,
    known: Owner | None,
    records: Iterable[Record | Unreadable],
    expected: TransferObstacle | None,
) -> None:
    owners = {OWNER: known} if known else {}
    assert hindrances(wish, owners, records) == ((expected,) if expected else ())


def test_claims_of_others_do_not_matter() -> None:
    of_another = HELD._replace(metadata=HELD.metadata._replace(subject=OTHER))
    assert hindrances(WISH, {}, [record("a"), of_another]) == ()


def test_obstacles_say_what_they_are() -> None:
    leases = tuple(f"{LEASE_1[:-2]}{number:02d}" for number in range(12))
    words = [
        str(WrongEpoch(OWNER, 1, 2)),
        str(Scattered(OWNER, (1, 3))),
        str(OwnerUnknown(OWNER)),
        str(LeasesOpen(OWNER, (LEASE_1,))),
    ]
    assert words == [
        "NAMESPACE/42 is at epoch 2, not 1: look, then try again",
        "NAMESPACE/42 has claims in the cells 1, 3: have all but one destroy theirs",
        "NAMESPACE/42: no cell claims anything for it",
        f"NAMESPACE/42 has open leases, {LEASE_1}: have them closed, then try again",
    ]
    assert "and 2 more:" in str(LeasesOpen(OWNER, leases))


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (replace(WISH, id="7"), "request_id"),
        (replace(WISH, owners=()), "owners"),
        (replace(WISH, owners=tuple((OWNER._replace(id=each), 1) for each in range(1, 42))), "owners"),
        (replace(WISH, owners=((OWNER, 1), (OWNER, 1))), "owners[1].owner"),
        (replace(WISH, owners=((Subject(SubjectType.UNSPECIFIED, 1), 1),)), "owners[0].owner"),
        (replace(WISH, owners=((OWNER, 0),)), "owners[0].expected_epoch"),
        (replace(WISH, from_cell=0), "from_cell"),
        (replace(WISH, to_cell=2**31), "to_cell"),
        (replace(WISH, to_cell=1), "to_cell"),
    ],
)
def test_a_bad_wish_is_told_by_its_field(wish: TransferWish, field: str) -> None:
    assert [problem.field for problem in wish_problems(wish)] == [field]
    assert not list(wish_problems(WISH))


def test_a_wish_is_the_same_whatever_its_reason() -> None:
    assert same_wish(replace(WISH, reason="other words"), transfer())
    assert not same_wish(AGAIN, transfer())
    assert not same_wish(replace(WISH, to_cell=3), transfer())
