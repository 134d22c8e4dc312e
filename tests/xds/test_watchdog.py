"""The watchdog ends streams that read nothing, are too old, or may not be served any longer."""

from __future__ import annotations

import asyncio

from xds.options import ServerOptions
from xds.watchdog import TOO_OLD, Watchdog
from xds.wire import ProtocolError, Status

GONE = ProtocolError(Status.PERMISSION_DENIED, "not any more")


class Watched:
    """A session that only remembers."""

    def __init__(self) -> None:
        self.writing_since: float | None = None
        self.ended: list[ProtocolError] = []

    def end(self, reason: ProtocolError) -> None:
        self.ended.append(reason)


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def dog(**options: float) -> tuple[Watchdog, Clock]:
    clock = Clock()
    made = {"write_timeout_seconds": 30.0, "max_age_seconds": 0.0, "identity_seconds": 0.0, **options}
    return Watchdog(ServerOptions(**made), clock), clock  # type: ignore[arg-type]


async def test_who_takes_nothing_of_a_message_for_long_is_let_go() -> None:
    watchdog, clock = dog()
    stuck, idle = Watched(), Watched()
    watchdog.watch(stuck, lambda: None)
    watchdog.watch(idle, lambda: None)
    stuck.writing_since = clock.now
    clock.now += 29.9
    watchdog.look()
    assert stuck.ended == []
    clock.now += 0.1
    watchdog.look()
    assert stuck.ended == [ProtocolError(Status.DEADLINE_EXCEEDED, "nothing was read for 30 s")]
    assert idle.ended == []
    watchdog.forget(stuck)
    watchdog.forget(idle)


async def test_old_streams_end_but_not_all_at_once() -> None:
    watchdog, clock = dog(max_age_seconds=1000.0)
    fleet = [Watched() for _ in range(200)]
    for one in fleet:
        watchdog.watch(one, lambda: None)
    began, ended = clock.now, []
    for at in range(880, 1120, 20):
        clock.now = began + at
        watchdog.look()
        ended.append(sum(bool(one.ended) for one in fleet))
    # Nobody before nine tenths of the age, all by eleven tenths, and in between they spread.
    assert ended[0] == 0
    assert 20 < ended[6] < 180
    assert ended[-1] == 200
    assert fleet[0].ended[0] is TOO_OLD
    assert TOO_OLD.status is Status.UNAVAILABLE
    for one in fleet:
        watchdog.forget(one)


async def test_who_may_be_served_is_asked_again_and_again() -> None:
    watchdog, clock = dog(identity_seconds=100.0)
    one, asked = Watched(), 0
    answer: ProtocolError | None = None

    def recheck() -> ProtocolError | None:
        nonlocal asked
        asked += 1
        return answer

    watchdog.watch(one, recheck)
    for _ in range(1000):
        clock.now += 1.0
        watchdog.look()
    assert 9 <= asked <= 11
    assert not one.ended
    answer = GONE
    clock.now += 111.0
    watchdog.look()
    assert one.ended == [GONE]
    watchdog.forget(one)


async def test_it_looks_by_itself_and_rests_when_nobody_is_there() -> None:
    ended = asyncio.Event()

    class Ends(Watched):
        def end(self, reason: ProtocolError) -> None:
            ended.set()

    loop = asyncio.get_running_loop()
    watchdog = Watchdog(ServerOptions(write_timeout_seconds=0.02), loop.time)
    assert watchdog._timer is None
    one = Ends()
    one.writing_since = loop.time()
    watchdog.watch(one, lambda: None)
    async with asyncio.timeout(5.0):
        await ended.wait()
    watchdog.forget(one)
    assert watchdog._timer is None
