"""A TCP proxy that a test puts in front of a server: it can cut connections, refuse new ones, and stall."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PIECE = 65536


class Proxy:
    """Carries bytes both ways until told otherwise. `endpoint` is where clients go."""

    def __init__(self, upstream: str, tasks: asyncio.TaskGroup) -> None:
        self.endpoint = ""
        self._upstream = upstream
        self._tasks = tasks
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    @property
    def connections(self) -> int:
        return len(self._writers) // 2

    def cut(self) -> None:
        """Break every connection, as a network does: with a reset, in the middle of whatever it carries."""
        for writer in self._writers:
            _reset(writer)

    def refuse(self) -> None:
        """Break every connection and take no new one."""
        self._refuses = True
        self.cut()

    def stall(self) -> None:
        """Let no byte through, either way; connections stay open and new ones are taken."""
        self._flows.clear()

    def restore(self) -> None:
        """Carry on."""
        self._refuses = False
        self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _reset(writer)
            return
        host, _, port = self._upstream.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, far_writer}
        self._tasks.create_task(self._carry(reader, far_writer, writer))
        self._tasks.create_task(self._carry(far_reader, writer, far_writer))

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_PIECE):
                await self._flows.wait()
                writer.write(piece)
                await writer.drain()
        for each in (writer, other):
            each.transport.abort()
            self._writers.discard(each)


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_not = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()


@asynccontextmanager
async def proxied(upstream: str) -> AsyncIterator[Proxy]:
    """Run a proxy in front of `host:port` while the block runs."""
    async with asyncio.TaskGroup() as tasks:
        proxy = Proxy(upstream, tasks)
        await proxy.start()
        try:
            yield proxy
        finally:
            proxy.restore()
            await proxy.stop()
