"""The bucket lets so many begin at once, and so many each second."""

from __future__ import annotations

from xds.admission import Bucket


def test_a_quiet_time_lets_many_begin_at_once_and_no_more() -> None:
    bucket = Bucket(per_second=10.0, burst=3)
    assert [bucket.admits(50.0) for _ in range(5)] == [True, True, True, False, False]


def test_it_fills_at_its_rate_and_never_beyond_the_burst() -> None:
    bucket = Bucket(per_second=10.0, burst=2)
    assert [bucket.admits(0.0) for _ in range(3)] == [True, True, False]
    assert not bucket.admits(0.05)
    # What was refused took nothing.
    assert bucket.admits(0.11)
    assert [bucket.admits(100.0) for _ in range(3)] == [True, True, False]


def test_without_a_rate_all_may_begin() -> None:
    bucket = Bucket(per_second=0.0, burst=1)
    assert all(bucket.admits(0.0) for _ in range(100))
