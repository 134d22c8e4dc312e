"""When to try again what a node rejected for want of something around it, such as a port.

A node's `Holds` asks it (`Snapshot -> Response`). Long, doubling, and spread: the spread follows from who
asks and how often, so it needs no dice and tests can tell it. Pure; knows no clock.
"""

from typing import Final
from zlib import crc32

FIRST_SECONDS: Final = 30.0
LONGEST_SECONDS: Final = 1800.0
SPREAD: Final = 0.5


def pause_seconds(who: str, attempt: int) -> float:
    """Return how long to wait after so many rejections (from 1 on): half as long at the least."""
    longest = min(FIRST_SECONDS * 2.0 ** min(attempt - 1, 20), LONGEST_SECONDS)
    part = crc32(f"{who}\0{attempt}".encode()) / 0xFFFFFFFF
    return float(longest * (1.0 - SPREAD * part))
