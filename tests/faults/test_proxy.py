"""The proxy does what the tests of faults rely on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cellplane.demo.free_port import free_port
from tests.faults.proxy import Proxy, proxied


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()


@asynccontextmanager
async def echoing() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with proxied(f"127.0.0.1:{port}") as proxy:
        yield proxy
    server.close()


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = proxy.endpoint.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def test_it_carries_and_stalls_and_carries_on() -> None:
    async with echoing() as proxy:
        reader, writer = await connect(proxy)
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        assert proxy.connections == 1
        proxy.stall()
        writer.write(b"two\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.readline()
        proxy.restore()
        assert await reader.readline() == b"two\n"
        writer.close()


async def test_it_cuts_and_refuses() -> None:
    async with echoing() as proxy:
        reader, writer = await connect(proxy)
        while not proxy.connections:
            await asyncio.sleep(0.001)
        proxy.refuse()
        await expect_reset(reader, writer)
        await expect_reset(*await connect(proxy))
        proxy.restore()
        reader, writer = await connect(proxy)
        writer.write(b"three\n")
        assert await reader.readline() == b"three\n"
        writer.close()


async def test_a_server_that_is_away_is_a_broken_connection() -> None:
    async with proxied(f"127.0.0.1:{free_port()}") as proxy:
        await expect_reset(*await connect(proxy))


async def expect_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
