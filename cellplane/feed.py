"""What happens, as it happens: pushes, their outcome, freezes, rejections, the fleet. Many may listen.

The history and the publisher put events in; pages hand them on as server-sent events, later slices read them
the same way. Who is too slow loses the oldest and is told so; nobody who puts events in ever waits.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MOST_WAITING: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """Something that happened: `push`, `outcome`, `wave`, `fleet`, `frozen`, `resumed`, `held`,
    `released` or `lost`.
    """

    kind: str
    body: Mapping[str, Any]

    def as_server_sent(self) -> bytes:
        """Spell it as https://html.spec.whatwg.org/multipage/server-sent-events.html wants it."""
        return f"event: {self.kind}\ndata: {json.dumps(self.body, separators=(',', ':'))}\n\n".encode()


@dataclass(slots=True, eq=False)
class _Listener:
    events: deque[FeedEvent] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    lost: int = 0


class Feed:
    """Hand each event to everybody who listens."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def put(self, kind: str, body: Mapping[str, Any]) -> None:
        """Tell of an event, and return at once."""
        event = FeedEvent(kind=kind, body=body)
        for listener in self._listeners:
            if len(listener.events) >= MOST_WAITING:
                listener.events.popleft()
                listener.lost += 1
            listener.events.append(event)
            listener.arrived.set()

    async def events(self, quiet_seconds: float | None = None) -> AsyncGenerator[FeedEvent | None, None]:
        """Give every event from now on, and None after each time of quiet, where one is given.

        What was lost because it was not taken in time is an event too.
        """
        listener = _Listener()
        self._listeners.add(listener)
        try:
            while True:
                try:
                    async with asyncio.timeout(quiet_seconds):
                        await listener.arrived.wait()
                except TimeoutError:
                    yield None
                    continue
                listener.arrived.clear()
                if listener.lost:
                    lost, listener.lost = listener.lost, 0
                    yield FeedEvent(kind="lost", body={"events": lost})
                while listener.events:
                    yield listener.events.popleft()
        finally:
            self._listeners.discard(listener)
