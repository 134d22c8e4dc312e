"""An ext_proc server in the test's own process, whose claims a test sets, and an edge that asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc

from cellplane.demo.free_port import free_port
from envoy.edge import EdgeSettings, Lookups
from envoy.ext_proc import ExtProcServer
from envoy.rules import Ruleset
from tests.envoy.edge_rig import Answer, Edge, cell, running_edge, view_of
from tests.envoy.rule_documents import parsed
from tests.processes import eventually
from tests.topology.claims.samples import record
from topology.claims.follower import ClaimFollower
from topology.claims.generations import slot
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Bucket, BucketType
from topology.claims.store import Changes, Gone
from topology.claims.stored import StoredClaims
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Cell, CellState, Endpoint
from topology.service.classify import Lifetimes
from topology.service.sources import Sources
from topology.view import View

PATH = {
    "name": "path",
    "type": "match",
    "match": [{"type": "path", "template": "/:namespace/*"}],
    "action": {
        "classify": [
            {"type": "route", "value": "${namespace}"},
            {"type": "redirect_route", "value": "${namespace}"},
        ]
    },
}
OVERRIDE = {
    "name": "override",
    "type": "override",
    "header": "x-cellplane-override",
    "networks": ["127.0.0.1/32"],
}
SESSION = {"name": "session", "type": "session_cookie", "cookie": "_gitlab_session"}


def owner_rules(otherwise: Mapping[str, Any] | None = None, *more: Any) -> Ruleset:
    """Operator, then the path's owner, then the session."""
    return parsed(OVERRIDE, {**PATH, "otherwise": otherwise or {}}, *more, SESSION, reserved=["users"])


@dataclass
class Owners:
    """A server and its claims."""

    server: ExtProcServer
    follower: ClaimFollower
    view: View
    port: int = 0
    revision: int = 100

    @property
    def asked(self) -> int:
        """How often it was asked."""
        return self.server.streams["taken"]

    def own(self, cell_id: int, *values: str) -> None:
        self.revision += 1
        self.follower.index.apply(Changes(self.revision, tuple(record(value, cell_id) for value in values)))

    def drop(self, value: str) -> None:
        self.revision += 1
        self.follower.index.apply(Changes(self.revision, (Gone(Bucket(BucketType.ROUTES, value)),)))


@asynccontextmanager
async def serving_owners(
    view: View,
    lifetimes: Lifetimes,
    credentials: grpc.ServerCredentials | None = None,
    **options: Any,
) -> AsyncIterator[Owners]:
    """Run a server in this process."""
    follower = ClaimFollower(StoredClaims(MemoryStore(), ClaimKeyspace.beside(Keyspace("/c"))))
    follower.index.load(Changes(100, ()))
    follower.loaded = True
    owners: Owners
    server = ExtProcServer(Sources(lambda: owners.view, follower), lifetimes, lambda: ("path",), **options)
    owners = Owners(server, follower, view)
    owners.port = await server.start("127.0.0.1:0", credentials)
    try:
        yield owners
    finally:
        await server.stop(0)


@dataclass
class AskingEdge:
    """An edge with cells 1 to 4 that asks for owners. 3 is unowned's; 4 is PROVISIONING, 2 takes its own."""

    edge: Edge
    owners: Owners
    view: View = field(default_factory=View)

    async def get(self, path: str, *headers: tuple[str, str], peer: str = "127.0.0.1") -> str:
        """Send a request, and give the rule and the cell that answered, or the rule and the status."""
        answer = await self.edge.send(path, *headers, peer=peer)
        return said(answer)

    async def publish(self, view: View, ruleset: Ruleset | None = None) -> None:
        self.view = self.owners.view = view
        await self.edge.publish(view, ruleset)
        await self.edge.settled(view.revision)

    async def bump(self, *values: str) -> None:
        """Have the edge told that these were dropped or moved, and the server too: else what it tells next
        would be of claims that are behind, and hold for a second only.
        """
        self.owners.revision += 1
        self.owners.follower.index.apply(Changes(self.owners.revision, ()))
        generations = {slot(Bucket(BucketType.ROUTES, value)): self.owners.revision for value in values}
        revision = self.view.revision + 1
        await self.publish(
            replace(self.view, revision=revision, generations={**self.view.generations, **generations})
        )

    async def is_asked_over_a_healthy_connection(self) -> None:
        async def healthy() -> bool:
            return await self.edge.envoy.stat("cluster.ext-proc.membership_healthy") > 0

        await eventually(healthy, "Envoy to find the server healthy")


def said(answer: Answer) -> str:
    rule = answer.get("x-cellplane-rule")
    name = answer.get("x-cellplane-cell").removeprefix("cell-")
    return (
        f"{rule} {name}"
        if answer.status == 200
        else f"{rule} {name} status {answer.status}".replace("  ", " ")
    )


def cells(edge: Edge) -> tuple[Cell, ...]:
    def at(cell_id: int, state: CellState = CellState.ACTIVE, weight: int = 0) -> Cell:
        return cell(
            cell_id, state, ports=edge.ports(cell_id), weight=weight, session_prefix=f"cell-{cell_id}"
        )

    return (at(1, weight=100), at(2), at(3), at(4, CellState.PROVISIONING), at(5, CellState.QUARANTINED))


@asynccontextmanager
async def asking_edge(
    folder: Path,
    ruleset: Ruleset | None = None,
    *,
    lifetimes: Lifetimes = Lifetimes(found=60, not_found=60),  # noqa: B008  frozen
    credentials: grpc.ServerCredentials | None = None,
    edge_settings: Mapping[str, Any] = MappingProxyType({}),
    server: Mapping[str, Any] = MappingProxyType({}),
    **lookups: Any,
) -> AsyncIterator[AskingEdge]:
    """Start cells, a server and an Envoy that asks it, with a view published."""
    async with serving_owners(View(), lifetimes, credentials, **server) as owners:
        # Patient: what is tested here is no race against the clock.
        told: dict[str, Any] = {"timeout_seconds": 0.9, **lookups}
        settings = EdgeSettings(
            listen_address="127.0.0.1",
            listen_port=free_port(),
            health_check_path="",
            lookups=Lookups(endpoints=(Endpoint(host="127.0.0.1", port=owners.port),), **told),
            **edge_settings,
        )
        async with running_edge(folder, (1, 2, 3, 4, 5), ruleset or owner_rules(), settings) as edge:
            asking = AskingEdge(edge, owners)
            await edge.publish(view_of(*cells(edge)))
            asking.view = owners.view = view_of(*cells(edge))
            await edge.envoy.ready()
            await asking.is_asked_over_a_healthy_connection()
            yield asking
