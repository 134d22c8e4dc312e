"""What a batch must look like, and what stands in its way."""

from __future__ import annotations

import pytest

from tests.topology.claims.samples import LEASE_1, OTHER, OWNER, batch, metadata, owner, record, route
from topology.claims.model import (
    Bucket,
    BucketType,
    ClaimBatch,
    Phase,
    Record,
    Source,
    SourceType,
    Spelling,
    Status,
    UserData,
)
from topology.claims.owners import OwnerElsewhere, OwnerMoving
from topology.claims.rules import (
    Leased,
    NotThere,
    NotYours,
    Taken,
    Unreadable,
    amounts_to,
    batch_problems,
    number_of,
    obstacles,
)


def problems(wanted: ClaimBatch) -> list[str]:
    return [str(problem) for problem in batch_problems(wanted)]


def test_a_good_batch_has_no_problem() -> None:
    assert problems(batch(1, ["a", "b"], ["c"])) == []
    assert problems(batch(1, [str(number) for number in range(1000)])) == []


def test_a_batch_is_not_empty_and_not_too_large() -> None:
    assert problems(batch(1)) == ["create_records: 0 records are in the batch: send 1 to 1000"]
    many = [str(number) for number in range(1000)]
    assert problems(batch(1, many, ["one-more"])) == [
        "create_records: 1001 records are in the batch: send 1 to 1000"
    ]


def test_a_batch_names_its_cell() -> None:
    assert problems(batch(0, ["a"])) == ["cell_id: 0 is no cell id: use 1 to 2147483647"]


def test_a_record_is_in_one_list_and_there_once() -> None:
    (both,) = problems(batch(1, ["a", "b"], ["b"]))
    assert both.startswith('destroy_records: ROUTES "b" is to be created and destroyed in one batch: ')
    assert problems(batch(1, ["a", "a"])) == [
        'create_records: ROUTES "a" is in the list 2 times: name it once'
    ]


def with_(**changes: object) -> ClaimBatch:
    return ClaimBatch(cell_id=1, creates=(metadata("a")._replace(**changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            with_(bucket=Bucket(BucketType.EMAILS, "")),
            "create_records[0].bucket.value: of EMAILS is 0 characters long: use 1 to 1024",
        ),
        (
            with_(bucket=Bucket(BucketType.EMAILS, "x" * 1025)),
            "create_records[0].bucket.value: of EMAILS is 1025 characters long: use 1 to 1024",
        ),
        (
            with_(bucket=Bucket(BucketType.ROUTES, "a\0b")),
            "create_records[0].bucket.value: of ROUTES holds a NUL character: leave it out",
        ),
        (
            with_(bucket=Bucket(BucketType.USER_IDS, "007"), spelling=Spelling.BOTH),
            "create_records[0].bucket.value: of USER_IDS is '007': the claim beside it is a number",
        ),
        (
            with_(source=Source(SourceType.UNSPECIFIED, b"x" * 129)),
            "create_records[0].source.rails_primary_key_id: is 129 bytes long: keep it within 128",
        ),
        (
            with_(user_data=UserData("é", b"x" * 16383)),
            "create_records[0].user_data: is 16385 bytes long: keep it within 16384",
        ),
    ],
)
def test_each_record_is_checked(wanted: ClaimBatch, words: str) -> None:
    assert problems(wanted) == [words]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("7", 7),
        ("-7", -7),
        ("0", 0),
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63)), -(2**63)),
        (str(2**63), None),
        ("07", None),
        ("-0", None),
        ("+7", None),
        ("7 ", None),
        ("\u0667", None),
        ("", None),
        ("-", None),
        ("1" * 5000, None),
    ],
)
def test_numbers_have_one_spelling(value: str, number: int | None) -> None:
    assert number_of(Bucket(BucketType.USER_IDS, value)) == number


def test_nothing_stands_in_the_way_of_what_nobody_owns() -> None:
    assert obstacles(batch(1, ["a"]), {}) == ()


def test_obstacles_come_in_the_order_of_the_batch() -> None:
    found: dict[Bucket, Record | Unreadable] = {
        route("mine"): record("mine", 1),
        route("held"): record("held", 1, Status.LEASE_DESTROYING, LEASE_1),
        route("theirs"): record("theirs", 2),
        route("odd"): Unreadable(route("odd"), "no JSON"),
    }
    assert obstacles(batch(1, ["mine", "theirs", "held", "odd", "free"]), found) == (
        Taken(route("mine"), 1),
        Taken(route("theirs"), 2),
        Leased(route("held"), LEASE_1),
        Unreadable(route("odd"), "no JSON"),
    )
    assert obstacles(batch(1, (), ["mine", "theirs", "held", "odd", "free"]), found) == (
        NotYours(route("theirs"), 2),
        Leased(route("held"), LEASE_1),
        Unreadable(route("odd"), "no JSON"),
        NotThere(route("free")),
    )


def test_another_cells_record_is_not_ours_whatever_holds_it() -> None:
    held = {route("a"): record("a", 2, Status.LEASE_CREATING, LEASE_1)}
    assert obstacles(batch(1, (), ["a"]), held) == (NotYours(route("a"), 2),)


def test_obstacles_say_what_they_are() -> None:
    words = [
        str(each)
        for each in (
            Taken(route("a"), 2),
            Leased(route("a"), LEASE_1),
            NotThere(route("a")),
            NotYours(route("a"), 2),
            Unreadable(route("a"), "no JSON"),
        )
    ]
    assert words == [
        'ROUTES "a" is already claimed by cell 2',
        'ROUTES "a" is held by a lease that is not closed yet: try again later',
        'ROUTES "a" can\'t be destroyed: nobody claims it',
        'ROUTES "a" can\'t be destroyed: cell 2 claims it, and only the owner destroys',
        'ROUTES "a": what is on record can\'t be read (no JSON)',
    ]


@pytest.mark.parametrize(
    ("status", "phase", "counts_as"),
    [
        (Status.LEASE_CREATING, Phase.PREPARING, None),
        (Status.LEASE_CREATING, Phase.OPEN, Status.LEASE_CREATING),
        (Status.LEASE_CREATING, Phase.COMMITTING, Status.ACTIVE),
        (Status.LEASE_CREATING, Phase.ROLLING_BACK, None),
        (Status.LEASE_DESTROYING, Phase.PREPARING, Status.ACTIVE),
        (Status.LEASE_DESTROYING, Phase.OPEN, Status.LEASE_DESTROYING),
        (Status.LEASE_DESTROYING, Phase.COMMITTING, None),
        (Status.LEASE_DESTROYING, Phase.ROLLING_BACK, Status.ACTIVE),
    ],
)
def test_what_a_leased_record_amounts_to(status: Status, phase: Phase, counts_as: Status | None) -> None:
    found = amounts_to(record("a", 1, status, LEASE_1), phase)
    assert (found and found.status) == counts_as
    if found is not None:
        assert found.lease == ("" if counts_as is Status.ACTIVE else LEASE_1)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_record_without_a_lease_is_what_it_is(phase: Phase) -> None:
    assert amounts_to(record("a"), phase) == record("a")


def test_owners_that_went_or_go_get_nothing_and_lose_nothing() -> None:
    found = {route("old"): record("old", 1)}
    away = {OWNER: owner(2, 2)}
    assert obstacles(batch(1, ["a", "b"]), {}, away) == (OwnerElsewhere(OWNER, 2, 2),)
    assert obstacles(batch(1, (), ["old"]), found, away) == (NotYours(route("old"), 2),)
    assert obstacles(batch(2, ["a"], ["old"]), found, away) == ()
    assert obstacles(batch(3, ["old"]), found, away) == (Taken(route("old"), 2),)
    going = {OWNER: owner(1, 1, LEASE_1)}
    assert obstacles(batch(1, ["a"], ["old"]), found, going) == (OwnerMoving(OWNER, LEASE_1),)


def test_a_record_is_where_its_owner_is() -> None:
    assert amounts_to(record("a", 1), Phase.OPEN, {OWNER: owner(2, 2)}) == record("a", 2)
    assert amounts_to(record("a", 1), Phase.OPEN, {OTHER: owner(2, 2)}) == record("a", 1)
    held = record("a", 1, Status.LEASE_CREATING, LEASE_1)
    assert amounts_to(held, Phase.COMMITTING, {OWNER: owner(2, 2)}) == record("a", 2)
