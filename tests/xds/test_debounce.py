"""The first change goes at once, those that follow go together, endpoints never wait."""

from __future__ import annotations

import asyncio

import pytest

from tests.xds.configuration import both, listener, snapshot
from xds.cache import Cache, Refused
from xds.debounce import Debounce, DebouncedCache
from xds.snapshot import Snapshot


def test_a_change_after_quiet_does_not_wait() -> None:
    debounce = Debounce(0.05)
    assert debounce.wait_seconds(100.0) == 0.0
    debounce.went(100.0)
    assert debounce.wait_seconds(100.02) == pytest.approx(0.03)
    assert debounce.wait_seconds(100.02, urgent=True) == 0.0
    assert debounce.wait_seconds(100.05) == 0.0


class Published:
    """A cache behind a debounce, and the revisions that went out."""

    def __init__(self) -> None:
        self.now = 0.0
        self.revisions: list[int] = []
        self.refused: list[str] = []
        self.cache = Cache()
        self.cache.join("group", self)
        self.debounced = DebouncedCache(
            self.cache, clock=lambda: self.now, refused=lambda group, _: self.refused.append(group)
        )

    def offer(self, snapshot: Snapshot, change: object) -> None:
        self.revisions.append(snapshot.revision)


def test_what_follows_waits_and_only_the_latest_goes() -> None:
    published = Published()
    published.debounced.submit("group", snapshot(1, both("a")))
    assert published.revisions == [1]
    published.now = 0.01
    published.debounced.submit("group", snapshot(2, both("a", "b")))
    published.debounced.submit("group", snapshot(3, both("a", "b", "c")))
    assert published.revisions == [1]
    published.now = 0.06
    published.debounced.submit("group", snapshot(4, both("a")))
    assert published.revisions == [1, 4]


def test_endpoints_do_not_wait_and_take_along_what_waits() -> None:
    published = Published()
    published.debounced.submit("group", snapshot(1, both("a")))
    published.debounced.submit("group", snapshot(2, both("a", port=81)))
    assert published.revisions == [1, 2]
    published.debounced.submit("group", snapshot(3, both("a", "b", port=81)))
    assert published.revisions == [1, 2]
    published.debounced.submit("group", snapshot(4, both("a", "b", port=82)))
    assert published.revisions == [1, 2, 4]


def test_a_refused_snapshot_is_told_of() -> None:
    published = Published()
    published.debounced.submit("group", snapshot(1, listener("l", "gone")))
    assert published.refused == ["group"]
    # It went nowhere, so the next one need not wait.
    published.debounced.submit("group", snapshot(2, both("a")))
    assert published.revisions == [2]


async def test_what_waits_goes_when_the_window_ends() -> None:
    loop = asyncio.get_running_loop()
    cache, gone = Cache(), asyncio.Event()

    class Ear:
        def offer(self, snapshot: Snapshot, change: object) -> None:
            if snapshot.revision == 2:
                gone.set()

    cache.join("group", Ear())
    debounced = DebouncedCache(cache, clock=loop.time, window_seconds=0.02)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(debounced.run())
        debounced.submit("group", snapshot(1, both("a")))
        first = loop.time()
        debounced.submit("group", snapshot(2, both("a", "b")))
        assert not gone.is_set()
        async with asyncio.timeout(5.0):
            await gone.wait()
        assert loop.time() - first >= 0.015
        running.cancel()


def test_refusals_are_logged_by_default(caplog: pytest.LogCaptureFixture) -> None:
    debounced = DebouncedCache(Cache(), clock=lambda: 0.0)
    debounced.submit("group", snapshot(1, listener("l", "gone")))
    assert "snapshot_refused group=group problems=listener 'l' names route 'gone'" in caplog.text
    assert isinstance(Cache().publish("group", snapshot(1, listener("l", "gone"))), Refused)
