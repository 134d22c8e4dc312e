"""How many streams may begin: a bucket that fills at a steady rate and empties by one for each.

The server asks it before it reads the first request (`Snapshot -> Response`, before anything is on it), so
that a fleet that comes back at once is served at a pace at which those who are in notice nothing. Pure: the
time is the caller's.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """A token bucket. A rate of zero admits everybody."""

    per_second: float
    burst: int
    _left: float = -1.0
    _at: float = 0.0

    def admits(self, now: float) -> bool:
        """Take one token, if there is one."""
        if self.per_second <= 0.0:
            return True
        grown = self._left + (now - self._at) * self.per_second if self._left >= 0.0 else self.burst
        self._left, self._at = min(grown, float(self.burst)), now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
