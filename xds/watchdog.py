"""Ends streams that have to end: who reads nothing, who is too old, who may no longer be served.

The server hands in each stream's session and how to ask again who it is; one timer looks at all of them
(`Snapshot -> Response`, beside it), so that no write has a timer of its own. It ends streams and does nothing
else.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import uniform
from typing import Final, Protocol

from xds.options import ServerOptions
from xds.wire import ProtocolError, Status

LONGEST_TICK_SECONDS: Final = 1.0
JITTER: Final = 0.1
TOO_OLD: Final = ProtocolError(Status.UNAVAILABLE, "this stream is old; connect again")

Recheck = Callable[[], ProtocolError | None]


class Watched(Protocol):
    """A session, as far as it is watched."""

    @property
    def writing_since(self) -> float | None: ...
    def end(self, reason: ProtocolError) -> None: ...


@dataclass(slots=True)
class _Watch:
    recheck: Recheck
    ends_at: float
    rechecked_at: float


class Watchdog:
    """Looks at all streams of a server, a few times within the shortest patience that there is."""

    def __init__(self, options: ServerOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._watches: dict[Watched, _Watch] = {}
        self._timer: asyncio.TimerHandle | None = None
        patience = (options.write_timeout_seconds, options.max_age_seconds, options.identity_seconds)
        shortest = min((seconds for seconds in patience if seconds > 0.0), default=LONGEST_TICK_SECONDS)
        self._tick_seconds = min(shortest / 4, LONGEST_TICK_SECONDS)

    def watch(self, session: Watched, recheck: Recheck) -> None:
        """Look after this stream from now on."""
        now = self._clock()
        options = self._options
        self._watches[session] = _Watch(
            recheck, now + _jittered(options.max_age_seconds), now + _jittered(options.identity_seconds)
        )
        if self._timer is None:
            self._sleep()

    def forget(self, session: Watched) -> None:
        """Look after it no more."""
        del self._watches[session]
        if not self._watches and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """End what has to end now."""
        now = self._clock()
        for session, watch in tuple(self._watches.items()):
            reason = self._reason(session, watch, now)
            if reason is not None:
                session.end(reason)

    def _reason(self, session: Watched, watch: _Watch, now: float) -> ProtocolError | None:
        seconds = self._options.write_timeout_seconds
        if session.writing_since is not None and now - session.writing_since >= seconds:
            return ProtocolError(Status.DEADLINE_EXCEEDED, f"nothing was read for {seconds:g} s")
        if now >= watch.ends_at:
            return TOO_OLD
        if now >= watch.rechecked_at:
            watch.rechecked_at = now + _jittered(self._options.identity_seconds)
            return watch.recheck()
        return None

    def _sleep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._tick_seconds, self._wake)

    def _wake(self) -> None:
        self._sleep()
        self.look()


def _jittered(seconds: float) -> float:
    """Shorten or lengthen a time a little. None at all is for ever."""
    return seconds * uniform(1.0 - JITTER, 1.0 + JITTER) if seconds > 0.0 else float("inf")
