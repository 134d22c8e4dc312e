"""One client's stream: a reader and a writer around the state machine that decides.

The server starts it with the first request, the cache offers it snapshots, and it writes what its machine
says (`Snapshot -> Response`). It decides nothing about xDS, and never holds more than the newest state.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from xds.delta import DeltaStream
from xds.snapshot import Change, Snapshot
from xds.sotw import SotwStream
from xds.status import StreamStatus
from xds.wire import DeltaRequest, ProtocolError, SotwRequest, Status, parse_delta, parse_sotw

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
        *,
        clock: Clock,
        write_timeout_seconds: float,
    ) -> None:
        self._stream = stream
        self._status = status
        self._clock = clock
        self._write_timeout_seconds = write_timeout_seconds
        self._parse = parse_delta if isinstance(stream, DeltaStream) else parse_sotw
        self._awake = asyncio.Event()
        self._ending: ProtocolError | None = None

    def offer(self, snapshot: Snapshot, change: Change) -> None:
        """Take over the group's next snapshot."""
        self._stream.offer(snapshot, change)
        # Where nothing in it is for this client it has all of it already, and nobody needs to wake up.
        if not self._settle():
            self._awake.set()

    def end(self, reason: ProtocolError) -> None:
        """End the stream from our side, soon."""
        self._ending = reason
        self._awake.set()

    async def run(self, first: Request, wire: Wire) -> ProtocolError | None:
        """Serve until the client ends the stream (None), or has to be told why we do."""
        problem = self._receive(first)
        if problem is not None:
            return problem
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(wire))
            writer = tasks.create_task(self._write(wire))
            done, _ = await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            reader.cancel()
            writer.cancel()
        return (reader if reader in done else writer).result()

    async def _read(self, wire: Wire) -> ProtocolError | None:
        while (message := await wire.read()) is not None:
            request = self._parse(message)
            problem = request if isinstance(request, ProtocolError) else self._receive(request)
            if problem is not None:
                return problem
            self._awake.set()
        return None

    def _receive(self, request: Request) -> ProtocolError | None:
        if isinstance(self._stream, DeltaStream):
            assert isinstance(request, DeltaRequest), "each variant has requests of its own"
            return self._stream.receive(request)
        assert isinstance(request, SotwRequest), "each variant has requests of its own"
        return self._stream.receive(request)

    async def _write(self, wire: Wire) -> ProtocolError | None:
        while self._ending is None:
            self._awake.clear()
            for response in self._stream.to_send(self._clock()):
                try:
                    async with asyncio.timeout(self._write_timeout_seconds):
                        await wire.write(response.payload)
                except WireClosedError:
                    return None
                except TimeoutError:
                    seconds = self._write_timeout_seconds
                    return ProtocolError(Status.DEADLINE_EXCEEDED, f"nothing was read for {seconds:g} s")
            self._settle()
            await self._sleep()
        return self._ending

    async def _sleep(self) -> None:
        """Wait for news, or until a removal that waits out its grace is due."""
        due = self._stream.due()
        if due is None:
            await self._awake.wait()
            return
        try:
            async with asyncio.timeout(max(due - self._clock(), SHORTEST_PAUSE_SECONDS)):
                await self._awake.wait()
        except TimeoutError:
            pass

    def _settle(self) -> bool:
        """Report the revision if the client has all of it."""
        settled = self._stream.subscribed and self._stream.settled
        if settled:
            self._status.settled(self._stream.snapshot.revision)
        return settled
