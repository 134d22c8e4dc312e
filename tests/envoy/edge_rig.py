"""An edge for tests: stub cells that echo, an ADS server, a real Envoy, a client that sends bytes as given.

`Edge` joins them and publishes Views as the control plane does. Expected decisions are not made here.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cellplane.demo.free_port import free_port
from cellplane.identities import classify
from envoy.bootstrap import bootstrap
from envoy.edge import EdgeSettings
from envoy.rules import DEFAULT_RULESET, Ruleset
from envoy.translate import Translation, translate
from tests.envoy_process import EnvoyProcess
from tests.processes import eventually
from topology.model import Cell, CellState, Drain, Endpoint, Stamp
from topology.view import View
from xds.cache import Cache, Published
from xds.server import AdsServer

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STAMP = Stamp(updated_by="test", updated_at="2026-03-01T11:00:00Z", reason="")
GROUP = "edge"


def cell(
    cell_id: int,
    state: CellState = CellState.ACTIVE,
    *,
    ports: Sequence[int] = (80,),
    host: str = "127.0.0.1",
    weight: int = 100,
    session_prefix: str = "",
    http2: bool = False,
) -> Cell:
    """Make a cell in any state, with what that state asks for. A draining one is half-way at `NOW`."""
    quarantined = state is CellState.QUARANTINED
    return Cell(
        id=cell_id,
        name=f"cell-{cell_id}",
        state=state,
        endpoints=tuple(Endpoint(host=host, port=port) for port in ports),
        weight=weight,
        session_prefix=session_prefix,
        http2=http2,
        drain=Drain(started_at="2026-03-01T11:59:30Z", seconds=60) if state is CellState.DRAINING else None,
        previous_state=CellState.ACTIVE if quarantined else None,
        stamp=STAMP,
    )


def view_of(*cells: Cell, revision: int = 7) -> View:
    return View(revision=revision, cells={each.id: each for each in cells})


@dataclass(slots=True)
class StubCell:
    """Answers with what it was sent, and claims to be another cell, which the edge overwrites."""

    name: str
    port: int = 0
    requests: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = [tuple(line.split(": ", 1)) for line in head[1:] if line]
                lengths = [int(value) for name, value in headers if name == "content-length"]
                await reader.readexactly(sum(lengths))
                self.requests += 1
                body = json.dumps({"cell": self.name, "line": head[0], "headers": headers}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nx-cellplane-cell: forged\r\nx-cellplane-rule: forged\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `seen` is what the cell was sent, or nothing where no cell answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    def get(self, name: str) -> str:
        (value,) = self.all(name) or [""]
        return value

    @property
    def seen(self) -> dict[str, list[str]]:
        if not self.body.startswith("{"):
            return {}
        found: dict[str, list[str]] = {}
        for key, value in json.loads(self.body)["headers"]:
            found.setdefault(key, []).append(value)
        return found

    @property
    def line(self) -> str:
        return str(json.loads(self.body)["line"])

    @property
    def cell(self) -> str:
        return str(json.loads(self.body)["cell"])


async def send(
    port: int,
    path: str = "/",
    headers: Sequence[tuple[str, str]] = (),
    *,
    method: str = "GET",
    peer: str = "127.0.0.1",
    authority: str = "edge.test",
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Send one HTTP/1.1 request over its own connection, bytes as given, from an address of our choice."""
    name = "edge.test" if tls else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, local_addr=(peer, 0), ssl=tls, server_hostname=name
    )
    try:
        lines = [f"{method} {path} HTTP/1.1", f"host: {authority}", *(f"{k}: {v}" for k, v in headers)]
        writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1"))
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            found = tuple(
                (key, value) for key, _, value in (line.partition(": ") for line in head[1:] if line)
            )
            # By its length, not to the end: Envoy closes a second late after a request that it refused.
            lengths = [int(value) for key, value in found if key.lower() == "content-length"]
            body = await reader.readexactly(sum(lengths))
        return Answer(int(head[0].split(" ")[1]), found, body.decode())
    finally:
        writer.close()


@dataclass(slots=True)
class Edge:
    """A running edge. `publish` hands a View to Envoy and waits until everything of it is acknowledged."""

    envoy: EnvoyProcess
    cache: Cache
    server: AdsServer
    settings: EdgeSettings
    cells: Mapping[int, StubCell]
    ruleset: Ruleset = DEFAULT_RULESET
    translation: Translation | None = None
    node_id: str = "edge-1"
    published: list[int] = field(default_factory=list)
    xds_port: int = 0

    @property
    def port(self) -> int:
        return self.settings.listen_port

    def ports(self, *cell_ids: int) -> tuple[int, ...]:
        return tuple(self.cells[cell_id].port for cell_id in cell_ids)

    async def publish(self, view: View, ruleset: Ruleset | None = None, now: datetime = NOW) -> None:
        self.ruleset = ruleset or self.ruleset
        self.translation = translate(view, self.ruleset, self.settings, now, self.translation)
        outcome = self.cache.publish(GROUP, self.translation.snapshot)
        assert isinstance(outcome, Published), outcome
        self.published.append(view.revision)

    async def settled(self, revision: int) -> None:
        """Wait until Envoy has acknowledged all of a snapshot."""

        async def look() -> bool:
            node = self.server.fleet.node(self.node_id)
            return node is not None and node.settled_revision >= revision

        await eventually(look, f"revision {revision} at Envoy")

    async def send(self, path: str = "/", *headers: tuple[str, str], peer: str = "127.0.0.1") -> Answer:
        return await send(self.port, path, headers, peer=peer)


@asynccontextmanager
async def running_edge(
    folder: Path,
    stub_cells: Sequence[int],
    ruleset: Ruleset = DEFAULT_RULESET,
    settings: EdgeSettings | None = None,
) -> AsyncIterator[Edge]:
    """Start stub cells, the ADS server and an Envoy that waits for its first View."""
    async with AsyncExitStack() as stack:
        cells: dict[int, StubCell] = {}
        for cell_id in stub_cells:
            stub = StubCell(f"cell-{cell_id}")
            listening = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
            stub.port = listening.sockets[0].getsockname()[1]
            stack.callback(listening.close)
            cells[cell_id] = stub
        cache = Cache()
        server = AdsServer(cache, classify, identifier="test")
        xds_port = await server.start("127.0.0.1:0")
        stack.push_async_callback(server.stop)
        chosen = settings or EdgeSettings(
            listen_address="127.0.0.1", listen_port=free_port(), health_check_path=""
        )
        made = bootstrap(
            role="edge", node_id="edge-1", xds_addresses=[f"127.0.0.1:{xds_port}"], admin_port=free_port()
        )
        envoy = EnvoyProcess(made, folder / "envoy")
        stack.push_async_callback(envoy.stop)
        await envoy.start(wait_ready=False)
        stack.push_async_callback(envoy.never_fell_back)
        yield Edge(envoy, cache, server, chosen, cells, ruleset, xds_port=xds_port)
