"""Two cells behind sidecars, and an edge before both that asks for owners: all on real Envoys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cellplane.demo.free_port import free_port
from envoy.edge import EdgeSettings, Lookups
from tests.envoy.edge_rig import cell, running_edge, view_of
from tests.envoy.owners_rig import AskingEdge, serving_owners
from tests.envoy.rule_documents import document, parsed
from tests.envoy.sidecar_rig import Sidecar, sidecar_before
from tests.topology.departures import wish
from topology.model import Document, Endpoint
from topology.service.classify import Lifetimes
from topology.view import View

RESERVED = ("users",)


@dataclass
class TwoCells:
    """The edge, the sidecars, and the View that all of them were told last."""

    asking: AskingEdge
    one: Sidecar
    two: Sidecar
    view: View

    async def tell(self, view: View) -> None:
        """Tell sidecars and edge of a View."""
        self.view = view
        for sidecar in (self.one, self.two):
            await sidecar.publish(view)
        await self.asking.publish(view)

    def forget(self) -> None:
        """Forget what the applications were sent so far."""
        for sidecar in (self.one, self.two):
            sidecar.application.seen.clear()

    @property
    def seen(self) -> tuple[list[tuple[str, str, bytes]], list[tuple[str, str, bytes]]]:
        """What the application of each cell was sent."""
        return self.one.application.seen, self.two.application.seen


@asynccontextmanager
async def two_cells(
    folder: Path, rules: Sequence[dict[str, Any]], lifetimes: Lifetimes
) -> AsyncIterator[TwoCells]:
    """Start all of it, with these rules. Sessions of cell 1 begin with `cell-1`; newcomers go there."""
    body = document(*rules, reserved=[*RESERVED])
    current = Document(kind="rules", name="current", body=body, stamp=wish().stamp)
    async with AsyncExitStack() as stack:
        owners = await stack.enter_async_context(serving_owners(View(), lifetimes))
        asked = Endpoint(host="127.0.0.1", port=owners.port)
        settings = EdgeSettings(
            listen_address="127.0.0.1",
            listen_port=free_port(),
            health_check_path="",
            lookups=Lookups(endpoints=(asked,), timeout_seconds=0.9),
        )
        ruleset = parsed(*rules, reserved=[*RESERVED])
        edge = await stack.enter_async_context(running_edge(folder, (), ruleset, settings))
        one = await stack.enter_async_context(sidecar_before(folder, edge, 1))
        two = await stack.enter_async_context(sidecar_before(folder, edge, 2))
        first = cell(1, ports=(one.port,), session_prefix="cell-1", http2=True)
        cells = first, cell(2, ports=(two.port,), weight=0)
        view = replace(view_of(*cells), documents={("rules", "current"): current})
        found = TwoCells(AskingEdge(edge, owners), one, two, view)
        for sidecar in (one, two):
            sidecar.offer(view)
        await edge.publish(view)
        for envoy in (edge.envoy, one.envoy, two.envoy):
            await envoy.ready()
        await found.tell(view)
        await found.asking.is_asked_over_a_healthy_connection()
        yield found
