"""The id of the request that is being answered."""

from __future__ import annotations

import contextvars

from topology.service.request_id import begin, current_request_id


def test_outside_of_calls_there_is_none() -> None:
    assert contextvars.Context().run(current_request_id) == ""


def test_the_callers_own_is_kept_and_another_is_made_once() -> None:
    def answered(given: str) -> tuple[str, str, str]:
        return begin(given), current_request_id(), current_request_id()

    assert contextvars.Context().run(answered, "r-1") == ("r-1", "r-1", "r-1")
    for odd in ("", "a b", "x" * 129):
        usable, first, second = contextvars.Context().run(answered, odd)
        assert (usable, len(first), first) == ("", 36, second)


def test_calls_on_one_connection_have_one_each() -> None:
    def two() -> tuple[str, str]:
        begin("")
        first = current_request_id()
        begin("")
        return first, current_request_id()

    first, second = contextvars.Context().run(two)
    assert first != second
