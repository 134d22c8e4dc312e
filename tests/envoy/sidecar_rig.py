"""Sidecars on real Envoys: each before an application that notes what it was sent, on the edge's own ADS
server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from cellplane.demo.free_port import free_port
from cellplane.sidecar_publisher import SidecarPublisher
from envoy.bootstrap import bootstrap
from envoy.sidecar import SidecarSettings
from tests.envoy.edge_rig import Edge
from tests.envoy_process import EnvoyProcess
from tests.processes import eventually
from tests.protocols.cells import web_cell
from topology.model import Endpoint
from topology.view import View


@dataclass
class Application:
    """Answers 200 with its name, or what a path like /…/status-421 asks for; notes each request's body."""

    name: str
    port: int = 0
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.seen.append((request.method, request.path, body))
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        _, _, status = request.path.partition("status-")
        forged = {"x-cellplane-owner": "cell-9; owner=USER/1; epoch=9; claim=ROUTES/x"}
        return web.Response(status=int(status or 200), text=self.name, headers=forged)


@dataclass
class Sidecar:
    """A sidecar of a cell and the application behind it."""

    cell_id: int
    port: int
    envoy: EnvoyProcess
    application: Application
    publisher: SidecarPublisher
    edge: Edge

    async def publish(self, view: View) -> None:
        """Tell it, and wait until it has acknowledged."""
        self.offer(view)
        await self.settled(view.revision)

    def offer(self, view: View) -> None:
        """Tell it alone: here each sidecar has ports of its own."""
        self.publisher.offer(replace(view, cells={self.cell_id: view.cells[self.cell_id]}))

    async def settled(self, revision: int) -> None:
        async def has_it() -> bool:
            node = self.edge.server.fleet.node(f"sidecar-{self.cell_id}")
            return node is not None and node.settled_revision >= revision

        await eventually(has_it, f"revision {revision} at the sidecar")


@asynccontextmanager
async def sidecar_before(folder: Path, edge: Edge, cell_id: int, **more: Any) -> AsyncIterator[Sidecar]:
    """Start an application and its sidecar, which waits for its first View."""
    application = Application(f"application {cell_id}")
    async with web_cell(application.answer) as application.port:
        settings = SidecarSettings(
            listen_address="127.0.0.1",
            listen_port=free_port(),
            application=Endpoint(host="127.0.0.1", port=application.port),
            **more,
        )
        made = bootstrap(
            role="sidecar",
            cell_id=cell_id,
            node_id=f"sidecar-{cell_id}",
            xds_addresses=[f"127.0.0.1:{edge.xds_port}"],
            admin_port=free_port(),
        )
        envoy = EnvoyProcess(made, folder / f"sidecar-{cell_id}")
        await envoy.start(wait_ready=False)
        try:
            publisher = SidecarPublisher(edge.cache, settings)
            yield Sidecar(cell_id, settings.listen_port, envoy, application, publisher, edge)
        finally:
            await envoy.stop()
