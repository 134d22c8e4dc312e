"""A limit on how many calls to the Topology Service are on their way at once, so that a slow one hurts less.

Clients hold a place for each call. Begin with LOG_ONLY, watch what it says, then ENFORCE. It never waits: who
waits inside a local transaction holds that up too. Third road: whether a call is made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from topology.client.errors import TooBusy

log = logging.getLogger("topology.client")


class Mode(Enum):
    """What happens to a call beyond the limit."""

    LOG_ONLY = "it is made, counted and logged"
    ENFORCE = "it is refused with TooBusy"


class Limiter:
    """Places for calls, shared by all clients and threads of a process."""

    def __init__(self, limit: int = 300, mode: Mode = Mode.LOG_ONLY) -> None:
        self.limit = limit
        self.mode = mode
        self.executing = 0
        self.beyond = 0
        """Calls that came when no place was left."""
        self._lock = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while the block runs. Raises TooBusy where there is none and the limit is enforced."""
        with self._lock:
            full = self.executing >= self.limit
            self.beyond += full
            if full and self.mode is Mode.ENFORCE:
                raise TooBusy(f"{self.executing} calls are on their way, and {self.limit} may be")
            self.executing += 1
            executing = self.executing
        if full:
            log.warning("calls_beyond_limit executing=%d limit=%d", executing, self.limit)
        try:
            yield
        finally:
            with self._lock:
                self.executing -= 1


NO_LIMIT: Final = Limiter(limit=2**31)
