"""One client's stream: a reader and a writer around the state machine that decides.

The server starts it with the first request, the cache offers it snapshots, and it writes what its machine
says (`Snapshot -> Response`). It decides nothing about xDS, and never holds more than the newest state. The
reader asks the machine itself and wakes the writer only where there may be something to say.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias

from xds.delta import DeltaStream
from xds.resource import Reference
from xds.siblings import Siblings, children_elsewhere
from xds.snapshot import Change, Snapshot
from xds.sotw import SotwStream
from xds.status import StreamStatus
from xds.wire import DeltaRequest, ProtocolError, SotwRequest

SHORTEST_PAUSE_SECONDS = 0.005

Clock: TypeAlias = Callable[[], float]
Request: TypeAlias = DeltaRequest | SotwRequest


class WireClosedError(Exception):
    """The other end is gone; nobody is left to be told."""


class Wire(Protocol):
    """The transport of one stream, as narrow as it can be: messages are bytes, None is their end."""

    def read(self) -> Awaitable[bytes | None]: ...
    def write(self, message: bytes, /) -> Awaitable[None]: ...


class Session:
    """Moves bytes between a wire and a stream's state machine, until one of both ends it."""

    def __init__(
        self,
        stream: DeltaStream | SotwStream,
        status: StreamStatus,
        parse: Callable[[bytes], Request | ProtocolError],
        *,
        clock: Clock,
        siblings: Siblings | None = None,
    ) -> None:
        self.writing_since: float | None = None
        """Since when the client has taken none of what is being written to it."""
        self._stream = stream
        self._status = status
        self._clock = clock
        self._parse = parse
        self._siblings = siblings or Siblings()
        # Each variant has requests of its own, and its parser makes no others.
        self._take: Callable[[Any], ProtocolError | None] = stream.receive
        self._asleep: asyncio.Future[None] | None = None
        self._roused = False
        self._scope: asyncio.Timeout | None = None
        self._over = False
        self._ending: ProtocolError | None = None

    def offer(self, snapshot: Snapshot, change: Change) -> None:
        """Take over the group's next snapshot."""
        self._stream.offer(snapshot, change)
        self._look()

    def follow(self, children: Sequence[Reference]) -> None:
        """Send children again whose parents went out on another stream of the node."""
        for kind, name in children:
            if (ledger := self._stream.ledgers.get(kind)) is not None:
                ledger.follow(name, self._stream.snapshot)
        self._look()

    def wake(self) -> None:
        """Look again at what there is to send: something that was withheld may go now."""
        self._rouse()

    def end(self, reason: ProtocolError | None) -> None:
        """End the stream from our side, soon, whatever it waits for. The first reason counts."""
        if self._over:
            return
        self._over = True
        self._ending = reason
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def run(self, first: Request, wire: Wire) -> ProtocolError | None:
        """Serve until the client ends the stream (None), or has to be told why we do."""
        try:
            async with asyncio.timeout(None) as self._scope, asyncio.TaskGroup() as tasks:
                if self._over:
                    return self._ending
                self._siblings.join(self)
                writer = tasks.create_task(self._write(wire))
                problem = await self._read(first, wire)
                self._over = True
                writer.cancel()
                return problem
        except TimeoutError:
            return self._ending
        finally:
            self._siblings.leave(self)

    async def _read(self, request: Request | ProtocolError, wire: Wire) -> ProtocolError | None:
        while True:
            if isinstance(request, ProtocolError):
                return request
            problem = self._take(request)
            if problem is not None:
                return problem
            self._look()
            message = await wire.read()
            if message is None:
                return None
            request = self._parse(message)

    def _look(self) -> None:
        """Wake the writer if it may have something to say. If not, the client may have all there is."""
        if self._stream.has_news:
            self._rouse()
        else:
            self._settle()

    def _rouse(self) -> None:
        self._roused = True
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    async def _write(self, wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._roused = False
            responses = self._stream.to_send(self._clock())
            # Looked up now: an answer may come before the write is over, and close the book on it.
            others = self._siblings.has_others
            waiting = children_elsewhere(self._stream.ledgers, responses) if others else ()
            for response in responses:
                self.writing_since = self._clock()
                try:
                    await wire.write(response.payload)
                except WireClosedError:
                    self.end(None)
                    return
            self.writing_since = None
            self._siblings.follow(self, waiting)
            if not responses:
                self._settle()
            if not self._roused:
                self._asleep = loop.create_future()
                if (due := self._stream.due()) is None:
                    await self._asleep
                else:
                    await self._sleep(self._asleep, due)
                self._asleep = None

    async def _sleep(self, asleep: asyncio.Future[None], due: float) -> None:
        """Wait for news, or until a removal that waits out its grace is due."""
        try:
            async with asyncio.timeout(max(due - self._clock(), SHORTEST_PAUSE_SECONDS)):
                await asleep
        except TimeoutError:
            pass

    def _settle(self) -> None:
        """Report the revision if the client has all of it."""
        if self._stream.subscribed and self._stream.settled:
            snapshot = self._stream.snapshot
            self._status.settled(snapshot.revision, snapshot.tag)
