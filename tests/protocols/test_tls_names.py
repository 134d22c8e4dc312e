"""TLS by the name in its greeting: the edge hands it on unread, and the cell's own certificate answers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cellplane.demo.free_port import free_port
from envoy.edge import EdgeSettings
from envoy.passthrough import Passthrough
from tests.envoy.certificates import Operators
from tests.envoy.edge_rig import cell, running_edge, view_of
from topology.model import Cell, CellState

CUT = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)


@asynccontextmanager
async def tls_cell(authority: Operators, name: str) -> AsyncIterator[int]:
    """Answer by TLS with who it is and what it is sent."""
    names = (f"registry.{name}.test", f"pages.{name}.test", f"*.pages.{name}.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(name, names=names))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(f"{name} ".encode() + line)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, word: str) -> str:
        self._writer.write(f"{word}\n".encode())
        line = await self._reader.readuntil(b"\n")
        return line.decode().strip()

    def close(self) -> None:
        self._writer.close()


async def connected(authority: Operators, port: int, name: str) -> Client:
    async with asyncio.timeout(5):
        return Client(
            *await asyncio.open_connection(
                "127.0.0.1", port, ssl=authority.client(), server_hostname=name, ssl_shutdown_timeout=1
            )
        )


def addressed(made: Cell) -> Cell:
    name = made.name
    return replace(
        made, addresses={"registry": f"registry.{name}.test:5000", "pages": f"https://pages.{name}.test"}
    )


async def test_a_name_leads_to_the_cell_that_has_it(tmp_path: Path) -> None:
    authority = Operators(tmp_path)
    ports = {"exact": free_port(), "below": free_port()}
    settings = EdgeSettings(
        listen_address="127.0.0.1",
        listen_port=free_port(),
        health_check_path="/health",
        health_check_interval_seconds=0.5,
        passthrough=(
            Passthrough(listen_port=ports["exact"], protocols=("registry", "kas")),
            Passthrough(listen_port=ports["below"], protocols=("pages",), below=True),
        ),
    )
    async with AsyncExitStack() as stack:
        edge = await stack.enter_async_context(running_edge(tmp_path, (), settings=settings))
        places = {at: await stack.enter_async_context(tls_cell(authority, f"cell-{at}")) for at in (1, 2, 3)}
        one, two, three = (addressed(cell(at, ports=(place,))) for at, place in places.items())
        await edge.publish(view_of(one, two, revision=10))
        await edge.envoy.ready()
        for kind, name, answer in (
            ("exact", "registry.cell-1.test", "cell-1 hello"),
            ("exact", "Registry.CELL-2.test", "cell-2 hello"),
            ("below", "alice.pages.cell-2.test", "cell-2 hello"),
        ):
            client = await connected(authority, ports[kind], name)
            assert await client.ask("hello") == answer
            client.close()
        strangers = {
            "exact": ("cell-1", "pages.cell-1.test", "registry.cell-3.test", f"tls-{ports['exact']}"),
            "below": ("pages.cell-1.test", "a.b.pages.cell-1.test", "cell-1", "registry.cell-1.test"),
        }
        for kind, names in strangers.items():
            for name in names:
                with pytest.raises(CUT):
                    await connected(authority, ports[kind], name)
            reader, writer = await asyncio.open_connection("127.0.0.1", ports[kind])
            writer.write(b"GET / HTTP/1.1\r\nhost: registry.cell-1.test\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b"", "no TLS, no name"
            writer.close()
            refused = await edge.envoy.stat(f"tcp.tls-{ports[kind]}.downstream_cx_no_route")
            assert refused == len(names) + 1

        open_one = await connected(authority, ports["exact"], "registry.cell-1.test")
        quarantined = replace(two, state=CellState.QUARANTINED, previous_state=CellState.ACTIVE)
        await edge.publish(view_of(one, quarantined, three, revision=11))
        await edge.settled(11)
        assert await open_one.ask("still") == "cell-1 still"
        open_one.close()
        new = await connected(authority, ports["exact"], "registry.cell-3.test")
        assert await new.ask("new") == "cell-3 new"
        new.close()
        with pytest.raises(CUT):
            await connected(authority, ports["exact"], "registry.cell-2.test")
        assert await edge.envoy.stat("listener_manager.listener_modified") == 0
