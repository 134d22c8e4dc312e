"""When a snapshot goes out: the first after quiet at once, those that follow together, endpoints never late.

A publisher submits snapshots as fast as they come and this hands them to the cache (`View -> Snapshot ->
cache`). A snapshot that waits is replaced by the next one, so nothing queues. The clock is the caller's.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from xds.cache import EMPTY, Cache, Refused
from xds.resource import ENDPOINT
from xds.snapshot import Snapshot, diff

log = logging.getLogger("xds.debounce")

WINDOW_SECONDS: Final = 0.05


@dataclass(slots=True)
class Debounce:
    """Decides, sans I/O, how long a change has to wait. Coalesces on the leading edge: quiet costs
    nothing.
    """

    window_seconds: float = WINDOW_SECONDS
    _busy_until: float = float("-inf")

    def wait_seconds(self, now: float, urgent: bool = False) -> float:
        """Return how long a change that arrives now has to wait: never longer than the window."""
        return 0.0 if urgent else max(self._busy_until - now, 0.0)

    def went(self, now: float) -> None:
        """Note that something went out: what follows within the window waits for its end."""
        self._busy_until = now + self.window_seconds


class DebouncedCache:
    """A cache in front of which snapshots wait for one another. `run` belongs in the caller's TaskGroup."""

    def __init__(
        self,
        cache: Cache,
        *,
        clock: Callable[[], float],
        window_seconds: float = WINDOW_SECONDS,
        refused: Callable[[str, Refused], None] | None = None,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._window_seconds = window_seconds
        self._refused = refused or _log_refused
        self._debounces: dict[str, Debounce] = {}
        self._waiting: dict[str, Snapshot] = {}
        self._awake = asyncio.Event()

    def submit(self, group: str, snapshot: Snapshot) -> None:
        """Publish a snapshot now, or soon together with what comes after it."""
        before = self._waiting.get(group) or self._cache.current(group) or EMPTY
        urgent = diff(before, snapshot).keys() <= {ENDPOINT}
        self._waiting[group] = snapshot
        if self._wait_seconds(group, urgent) == 0.0:
            self._publish(group)
        else:
            self._awake.set()

    async def run(self) -> None:
        """Publish what waits, when it has waited long enough. Runs until cancelled."""
        while True:
            self._awake.clear()
            waits = {group: self._wait_seconds(group) for group in self._waiting}
            for group, seconds in waits.items():
                if seconds == 0.0:
                    self._publish(group)
            left = [seconds for seconds in waits.values() if seconds > 0.0]
            try:
                async with asyncio.timeout(min(left, default=None)):
                    await self._awake.wait()
            except TimeoutError:
                continue

    def _wait_seconds(self, group: str, urgent: bool = False) -> float:
        debounce = self._debounces.setdefault(group, Debounce(self._window_seconds))
        return debounce.wait_seconds(self._clock(), urgent)

    def _publish(self, group: str) -> None:
        outcome = self._cache.publish(group, self._waiting.pop(group))
        if isinstance(outcome, Refused):
            self._refused(group, outcome)
        else:
            self._debounces[group].went(self._clock())


def _log_refused(group: str, refused: Refused) -> None:
    log.error("snapshot_refused group=%s problems=%s", group, "; ".join(map(str, refused.problems[:20])))
