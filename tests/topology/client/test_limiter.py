"""Places for calls."""

from __future__ import annotations

import threading

import pytest

from topology.client.errors import TooBusy
from topology.client.limiter import NO_LIMIT, Limiter, Mode


def test_beyond_the_limit_it_tells_or_refuses(caplog: pytest.LogCaptureFixture) -> None:
    limiter = Limiter(limit=1)
    with limiter.place():
        assert caplog.text == ""
        with limiter.place():
            assert limiter.executing == 2
        assert "calls_beyond_limit executing=2 limit=1" in caplog.text
        limiter.mode = Mode.ENFORCE
        with pytest.raises(TooBusy, match="1 calls are on their way, and 1 may be"), limiter.place():
            pass
    with limiter.place():
        pass
    assert (limiter.executing, limiter.beyond) == (0, 2)


def test_a_call_that_fails_gives_its_place_back() -> None:
    limiter = Limiter(limit=1, mode=Mode.ENFORCE)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), limiter.place():
            raise ZeroDivisionError
    assert limiter.executing == 0


def test_threads_share_it() -> None:
    limiter, inside, go = Limiter(limit=4, mode=Mode.ENFORCE), threading.Barrier(5), threading.Event()

    def call() -> None:
        with limiter.place():
            inside.wait(10)
            go.wait(10)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    inside.wait(10)
    with pytest.raises(TooBusy), limiter.place():
        pass
    go.set()
    for thread in threads:
        thread.join()
    assert limiter.executing == 0
    with NO_LIMIT.place():
        pass
