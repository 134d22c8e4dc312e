"""Requests through a real Envoy and the evaluator, and every difference between the two.

The integration tests replay the tables with it, and `make prove` the whole corpus.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cellplane.demo.free_port import free_port
from envoy.decision import Decision, Lookup
from envoy.edge import EdgeSettings, Lookups
from envoy.rules import Request, decide
from tests.envoy import match_table, request_table
from tests.envoy.answers import answered, said
from tests.envoy.edge_rig import NOW, Edge, StubCell, running_edge, send
from tests.envoy.match_table import Asked
from tests.envoy.owned import OWNED
from tests.owner_servers import claim, owner_server
from topology.model import Endpoint

Requests = Sequence[Asked]
_RULESET = match_table.ruleset()
_VIEW = request_table.view()


def reference(row: Asked, lookup: Lookup | None = None) -> Decision:
    """Decide by the evaluator."""
    request = Request(
        method=row.method, path=row.path, authority=row.authority, headers=row.headers, peer=row.peer
    )
    return decide(_RULESET, _VIEW, request, NOW, lookup=lookup)


@asynccontextmanager
async def matching_edge(folder: Path, lookups: Lookups | None = None) -> AsyncIterator[Edge]:
    """Start an Envoy with the ruleset of the table, its cells and the cluster that is no cell."""
    async with AsyncExitStack() as stack:
        site = StubCell("fixed-site")
        listening = await asyncio.start_server(site.serve, "127.0.0.1", 0)
        stack.callback(listening.close)
        port = listening.sockets[0].getsockname()[1]
        settings = EdgeSettings(
            listen_address="127.0.0.1", listen_port=free_port(), health_check_path="", lookups=lookups
        )
        edge = await stack.enter_async_context(running_edge(folder, request_table.SERVERS, settings=settings))
        ports = {cell_id: stub.port for cell_id, stub in edge.cells.items()}
        await edge.publish(request_table.view(ports), match_table.ruleset(port))
        await edge.envoy.ready()
        if lookups:
            await edge.envoy.until_stat("cluster.ext-proc.membership_healthy", 1)
        yield edge


@asynccontextmanager
async def owning_edge(folder: Path, etcd: str, prefix: str) -> AsyncIterator[Edge]:
    """Start the same edge with an ext_proc server of its own, which knows the fixed set of claims."""
    async with AsyncExitStack() as stack:
        await claim(etcd, prefix, OWNED)
        server = owner_server(stack, folder, etcd, prefix)
        await server.child.ready(server.is_ready)
        # Patient: no decision may depend on how busy the machine is.
        place = Endpoint(host="127.0.0.1", port=server.port)
        lookups = Lookups(endpoints=(place,), timeout_seconds=1.0)
        yield await stack.enter_async_context(matching_edge(folder, lookups))


async def differences(edge: Edge, rows: Requests, lookup: Lookup | None = None) -> list[str]:
    """Send every request, and say where Envoy and the evaluator differ, in decisions and in counters."""
    wrong: list[str] = []
    expected: Counter[str] = Counter()
    before = await _counted(edge)
    for row in rows:
        decision = reference(row, lookup)
        answer = await send(
            edge.port, row.path, row.headers, method=row.method, peer=row.peer, authority=row.authority
        )
        if (real := answered(answer)) != said(decision):
            wrong.append(f"{str(row)[:300]}: Envoy {real}, evaluator {said(decision)}")
        expected.update(f"{name}:{skip}" for name, skip in decision.skips)
    after = await _counted(edge)
    wrong.extend(
        f"{name} counted {after[name] - before[name]} times, expected {expected[name]}"
        for name in sorted(after.keys() | expected.keys())
        if after[name] - before[name] != expected[name]
    )
    return wrong


async def _counted(edge: Edge) -> Counter[str]:
    stats = await edge.envoy.stats("^cellplane.rule")
    parts = ((name.removeprefix("cellplane.rule.").split("."), value) for name, value in stats.items())
    return Counter({f"{rule}:{skip}": value for (rule, skip, *_), value in parts if skip != "peer"})
