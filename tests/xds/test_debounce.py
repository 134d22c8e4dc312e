"""The first change goes at once, those that follow wait for one another, endpoints never wait."""

from __future__ import annotations

import pytest

from xds.debounce import Debounce


def test_a_change_after_quiet_does_not_wait() -> None:
    debounce = Debounce(0.05)
    assert debounce.wait_seconds(100.0) == 0.0
    debounce.went(100.0)
    assert debounce.wait_seconds(100.02) == pytest.approx(0.03)
    assert debounce.wait_seconds(100.02, urgent=True) == 0.0
    assert debounce.wait_seconds(100.05) == 0.0


def test_what_follows_waits_for_the_end_of_the_same_window() -> None:
    debounce = Debounce(0.05)
    debounce.went(100.0)
    # Nobody went in between: asking does not put it off.
    assert [round(debounce.wait_seconds(100.0 + 0.01 * step), 2) for step in range(6)] == [
        0.05,
        0.04,
        0.03,
        0.02,
        0.01,
        0.0,
    ]
