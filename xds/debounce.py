"""When a snapshot goes out: the first after quiet at once, those that follow together, endpoints never late.

Whoever publishes asks it how long to wait before handing the newest snapshot to the cache (`View -> Snapshot
-> cache`), and publishes only that one, so nothing queues. The clock is the caller's; it never waits itself.
"""

from dataclasses import dataclass
from typing import Final

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
