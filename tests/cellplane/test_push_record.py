"""A push as it is kept: one id at every replica, bounded in size, joined with what replicas saw."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cellplane.ack_times import AckTimes
from cellplane.push_change import RecordChange
from cellplane.push_diff import PushDiff, push_diff
from cellplane.push_record import (
    MOST_BYTES,
    Acks,
    Push,
    decode_push,
    digest_of,
    encode_push,
    push_body,
    push_id,
    push_name,
)
from tests.cellplane.pushing import made_of, pushed, view_of
from tests.cellplane.views import STAMP, cell

BEFORE = view_of(10, cell(1), cell(2))
AFTER = view_of(11, cell(1), replace(cell(2), weight=0), before=BEFORE)


def diff() -> PushDiff:
    push = pushed(BEFORE, AFTER)
    return push_diff(push.before, push.after, push.old, push.new, push.change)


def body(found: PushDiff | None = None) -> dict[str, object]:
    return push_body(group="edge", revision=11, digest="d1", at=5.0, replica="a", diff=found or diff())


def times(*milliseconds: float) -> AckTimes:
    made = AckTimes()
    for each in milliseconds:
        made.add(each)
    return made


def test_it_says_who_why_and_what() -> None:
    kept = json.loads(encode_push(body()))
    assert (kept["authors"], kept["reasons"], kept["causes"]) == (["ada"], ["test"], ["cells"])
    assert kept["lines"][0] == "cell 2: weight: 100 → 0"
    assert kept["records"][0]["before"]["weight"] == 100
    assert kept["resources"]["route"]["counts"] == [0, 1, 0]
    assert decode_push(encode_push(body())) == kept


def test_an_id_follows_from_content_alone() -> None:
    assert push_id("edge", 11, "d1") == body()["id"] == push_id("edge", 11, "d1")
    assert len({push_id("edge", 11, "d1"), push_id("edge", 12, "d1"), push_id("edge", 11, "d2")}) == 3
    one, same = made_of(AFTER).snapshot, made_of(AFTER, made_of(BEFORE)).snapshot
    assert digest_of(one) == digest_of(same) != digest_of(made_of(BEFORE).snapshot)


def test_names_stand_in_the_order_of_revisions() -> None:
    assert push_name(9, "ff") < push_name(10, "aa") < push_name(123456, "00")


def test_one_that_is_too_large_loses_records_and_says_so() -> None:
    large = tuple(
        RecordChange(record=f"cell {n}", stamp=STAMP, lines=("x" * 900,), revision=1, before={"y": "z" * 900})
        for n in range(50)
    )
    kept = body(replace(diff(), records=large))
    assert len(encode_push(kept)) <= MOST_BYTES
    assert kept["more_records"] == 50 - len(kept["records"])  # type: ignore[arg-type]
    assert kept["more_records"]


def test_what_replicas_saw_is_one_outcome() -> None:
    rejection = {"node": "n", "type": "route", "names": [], "message": "no", "at": 1.0}
    a = Acks(times=times(5, 10), waiting=1, rejected=1, rejections=(rejection,))
    b = Acks.of_json(json.loads(json.dumps(Acks(times=times(50), left=2).to_json())))
    push = Push(body=body(), acks={"a": a, "b": b})
    outcome = push.outcome
    assert (outcome["nodes"], outcome["waiting"], outcome["left"], outcome["rejected"]) == (3, 1, 2, 1)
    assert (outcome["first_ms"], outcome["last_ms"]) == (5.0, 50.0)
    assert outcome["rejections"] == [rejection]
    assert push.to_json()["outcome"] == outcome
    assert not push.is_minor
    assert Push(body={**body(), "causes": ["claims"]}, acks={}).is_minor
    assert not Push(body={**body(), "causes": ["cells", "claims"]}, acks={}).is_minor


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"schema": 2}', b'{"schema": 1, "id": "a"}'])
def test_what_is_no_push_is_said_to_be_none(value: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_push(value)
