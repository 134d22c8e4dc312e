"""When to try again what a node rejected for want of something around it, such as a port.

A node's `Holds` asks it (`Snapshot -> Response`). Long, doubling, and spread: the spread follows from who
asks and how often, so it needs no dice and tests can tell it. Pure; knows no clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from xds.hold_record import Version
from xds.resource import Reference

FIRST_SECONDS: Final = 30.0
LONGEST_SECONDS: Final = 1800.0
SPREAD: Final = 0.5
MAX_RETRIES: Final = 10_000


def pause_seconds(who: str, attempt: int) -> float:
    """Return how long to wait after so many rejections (from 1 on): half as long at the least."""
    longest = min(FIRST_SECONDS * 2.0 ** min(attempt - 1, 20), LONGEST_SECONDS)
    part = crc32(f"{who}\0{attempt}".encode()) / 0xFFFFFFFF
    return float(longest * (1.0 - SPREAD * part))


@dataclass(slots=True)
class Retry:
    """One version that is to be tried again."""

    attempts: int = 0
    at: float | None = None
    """None until the clock is known, or while it is being tried."""
    waiting: bool = True


@dataclass(slots=True)
class Retries:
    """All versions that one node shall try again. Bounded: the oldest are forgotten, and never tried."""

    _retries: dict[Version, Retry] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._retries)

    def note(self, version: Version) -> None:
        """Note a rejection, be it the first or one more."""
        retry = self._retries.setdefault(version, Retry())
        retry.attempts, retry.at, retry.waiting = retry.attempts + 1, None, True
        if len(self._retries) > MAX_RETRIES:
            del self._retries[next(iter(self._retries))]

    def due_at(self, now: float, node: str) -> Iterator[Version]:
        """Give out what is due, and set the time of what has none yet."""
        for version, retry in self._retries.items():
            if not retry.waiting:
                continue
            if retry.at is None:
                (kind, name), _ = version
                retry.at = now + pause_seconds(f"{node} {kind.name} {name}", retry.attempts)
            elif now >= retry.at:
                retry.waiting = False
                yield version

    @property
    def next_at(self) -> float | None:
        """Tell when the next one is due."""
        times = [one.at for one in self._retries.values() if one.waiting and one.at is not None]
        return min(times, default=None)

    def forget(self, version: Version) -> None:
        """Forget a version that was accepted: its next pause is the first again."""
        self._retries.pop(version, None)

    def forget_all(self, key: Reference) -> None:
        """Forget all versions of a resource."""
        for version in [one for one in self._retries if one[0] == key]:
            del self._retries[version]
