"""How many calls of one caller may be answered at once, so that one that calls too much hurts nobody else.

The gate holds a place for each call. Begin with LOG, watch what it counts, then ENFORCE. It never waits.
Before `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final

import grpc

from topology.service.failure import Failure
from topology.service.identity import Caller

log = logging.getLogger("topology.service")


class Mode(StrEnum):
    """What becomes of a call beyond the limit: it is counted, or refused too."""

    LOG = "log"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class CallLimit:
    """So many calls of one caller at once; 0: as many as it likes."""

    calls: int = 0
    mode: Mode = Mode.LOG


NO_LIMIT: Final = CallLimit()
_AS_MANY_AS_IT_LIKES: Final = nullcontext()


class Places:
    """Places for calls, of each caller by its name. `beyond` counts the calls for which there was none."""

    def __init__(self, limit: CallLimit = NO_LIMIT) -> None:
        self.limit = limit
        self.beyond: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()

    def held_for(self, caller: Callable[[], Caller]) -> AbstractContextManager[None]:
        """Give what holds a place while its block runs. Who calls is asked only where it matters."""
        if not self.limit.calls:
            return _AS_MANY_AS_IT_LIKES
        who = caller()
        return Place(self, who.name, who.role)

    def take(self, name: str, role: str) -> None:
        """Take a place. Raises Failure where there is none and the limit is enforced."""
        taken = self._taken[name]
        if taken >= self.limit.calls:
            self.beyond[role] += 1
            if taken == self.limit.calls:  # once for each time that it is passed
                log.warning("calls_beyond_limit by=%r limit=%d mode=%s", name, taken, self.limit.mode)
            if self.limit.mode is Mode.ENFORCE:
                words = f"{name}: {taken} calls are being answered, and {self.limit.calls} may be: try again"
                raise Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, words, "TOO_MANY_CALLS", retry_seconds=0.1)
        self._taken[name] += 1

    def free(self, name: str) -> None:
        """Give a place back."""
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]


class Place(AbstractContextManager[None]):
    """A place for one call."""

    __slots__ = ("_name", "_places", "_role")

    def __init__(self, places: Places, name: str, role: str) -> None:
        self._places = places
        self._name = name
        self._role = role

    def __enter__(self) -> None:
        self._places.take(self._name, self._role)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.free(self._name)
