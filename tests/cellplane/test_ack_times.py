"""Times of acknowledgements: percentiles to 5 %, added up over replicas, kept small."""

from __future__ import annotations

import json
import random

import pytest

from cellplane.ack_times import AckTimes, added_up


def times(*milliseconds: float) -> AckTimes:
    made = AckTimes()
    for each in milliseconds:
        made.add(each)
    return made


def test_nobody_yet() -> None:
    assert times().summary() == {
        "nodes": 0, "first_ms": None, "p50_ms": None, "p99_ms": None, "last_ms": None
    }  # fmt: skip


def test_one_is_first_and_last_and_all_between() -> None:
    assert times(12.3).summary() == {
        "nodes": 1, "first_ms": 12.3, "p50_ms": 12.3, "p99_ms": 12.3, "last_ms": 12.3
    }  # fmt: skip


def test_percentiles_are_right_to_five_per_cent() -> None:
    chance = random.Random(7)
    taken = sorted(chance.lognormvariate(3, 1.2) for _ in range(2000))
    made = times(*taken)
    assert made.percentile(0.5) == pytest.approx(taken[999], rel=0.06)
    assert made.percentile(0.99) == pytest.approx(taken[1979], rel=0.06)
    assert (made.first_ms, made.last_ms) == (taken[0], taken[-1])
    assert made.percentile(1.0) == taken[-1]


def test_replicas_add_up_to_what_one_would_have_seen() -> None:
    one, other = times(1, 2, 3), times(40, 50)
    assert added_up([one, other, times()]).summary() == times(1, 2, 3, 40, 50).summary()
    assert one.nodes == 3, "what was added up stays as it was"


def test_kept_and_read_again() -> None:
    for made in (times(), times(0.0, 5, 5.01, 900000)):
        body = json.loads(json.dumps(made.to_json()))
        assert AckTimes.of_json(body).summary() == made.summary()


def test_a_thousand_nodes_take_a_few_hundred_bytes() -> None:
    chance = random.Random(1)
    made = times(*(chance.uniform(5, 200) for _ in range(1000)))
    assert len(json.dumps(made.to_json())) < 1500


@pytest.mark.parametrize("body", [{}, {"steps": {"a": 1}, "first_ms": 1, "last_ms": 1}, {"steps": {"1": 1}}])
def test_what_is_none_is_said_to_be_none(body: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        AckTimes.of_json(body)
