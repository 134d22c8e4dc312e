from __future__ import annotations

import logging
from contextlib import AbstractContextManager

import grpc
import pytest

from topology.service.failure import Failure
from topology.service.identity import Caller, Role
from topology.service.places import CallLimit, Mode, Places


def held(places: Places, cell_id: int) -> AbstractContextManager[None]:
    return places.held_for(lambda: Caller(Role.CELL, f"CELL-{cell_id}", cell_id))


def test_beyond_the_limit_a_call_is_refused_and_nobody_elses() -> None:
    places = Places(CallLimit(1, Mode.ENFORCE))
    with held(places, 1):
        with pytest.raises(Failure, match="CELL-1: 1 calls are being answered, and 1 may be") as refused:
            places.take("CELL-1", "cell")
        with held(places, 2):
            pass
    with held(places, 1):
        pass
    assert (refused.value.code, refused.value.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY_CALLS",
    )
    assert refused.value.retry_seconds
    assert places.beyond == {"cell": 1}


def test_only_logged_it_is_let_in_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    places = Places(CallLimit(1))
    with caplog.at_level(logging.WARNING), held(places, 1), held(places, 1), held(places, 1):
        pass
    assert places.beyond == {"cell": 2}
    (told,) = caplog.messages
    assert told == "calls_beyond_limit by='CELL-1' limit=1 mode=log"
