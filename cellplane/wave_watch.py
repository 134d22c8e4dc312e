"""What Prometheus says while a wave goes: each query that operators set, asked every few seconds.

The leader asks it before each step. A number above its limit is an alarm; a query that cannot be asked keeps
the wave where it is, for nobody would see the harm. It decides nothing else. `View -> Snapshot`, watched.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Final, Self

import aiohttp

from cellplane.wave_record import Query, WaveSettings

_PAUSE_SECONDS: Final = 5.0
_PATIENCE: Final = aiohttp.ClientTimeout(total=5.0)


class WaveWatch:
    """Ask Prometheus. Use as an async context manager."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._asked: tuple[WaveSettings, float] | None = None
        self._found = ("", "")

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=_PATIENCE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def look(self, settings: WaveSettings) -> tuple[str, str]:
        """Give the alarm, and why it cannot be said whether there is one; both empty where all is well."""
        if not settings.queries:
            return "", ""
        now = self._clock()
        if self._asked is None or self._asked[0] != settings or now - self._asked[1] >= _PAUSE_SECONDS:
            found = await asyncio.gather(*(self._ask(settings.prometheus, each) for each in settings.queries))
            alarms, problems = (
                [alarm for alarm, _ in found if alarm],
                [problem for _, problem in found if problem],
            )
            self._found = ("; ".join(alarms), "; ".join(problems))
            self._asked = settings, now
        return self._found

    async def _ask(self, url: str, query: Query) -> tuple[str, str]:
        assert self._session is not None, "use it as a context manager"
        try:
            async with self._session.get(
                f"{url.rstrip('/')}/api/v1/query", params={"query": query.expression}
            ) as response:
                answer: Any = await response.json(content_type=None)
            if answer["status"] != "success":
                return "", f"query {query.name}: Prometheus says {answer.get('error', answer['status'])}"
            numbers = _numbers(answer["data"])
        except (aiohttp.ClientError, TimeoutError, KeyError, TypeError, ValueError, IndexError) as error:
            why = str(error) or type(error).__name__
            return "", f"query {query.name}: {url} does not answer as Prometheus does: {why}"
        worst = max(numbers, default=0.0)
        if worst > query.limit:
            return f"query {query.name} gives {worst:g}, above its limit {query.limit:g}", ""
        return "", ""


def _numbers(data: Any) -> list[float]:
    """Read an instant vector or a scalar; what is no number counts for nothing."""
    if data["resultType"] == "scalar":
        found = [float(data["result"][1])]
    elif data["resultType"] == "vector":
        found = [float(one["value"][1]) for one in data["result"]]
    else:
        raise ValueError(f"the result is a {data['resultType']}: ask for an instant vector or a scalar")
    return [one for one in found if not math.isnan(one)]
