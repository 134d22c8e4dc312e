"""Requests through a real Envoy and the evaluator, and every difference between the two.

The integration tests replay the tables with it, and `make prove` the whole corpus.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from envoy.decision import Decision
from envoy.rules import Request, decide
from tests.envoy import match_table, request_table
from tests.envoy.answers import answered, said
from tests.envoy.edge_rig import NOW, Edge, StubCell, running_edge, send
from tests.envoy.match_table import Asked

Requests = Sequence[Asked]
_RULESET = match_table.ruleset()
_VIEW = request_table.view()


def reference(row: Asked) -> Decision:
    """Decide by the evaluator."""
    request = Request(
        method=row.method, path=row.path, authority=row.authority, headers=row.headers, peer=row.peer
    )
    return decide(_RULESET, _VIEW, request, NOW)


@asynccontextmanager
async def matching_edge(folder: Path) -> AsyncIterator[Edge]:
    """Start an Envoy with the ruleset of the table, its cells and the cluster that is no cell."""
    async with AsyncExitStack() as stack:
        site = StubCell("fixed-site")
        listening = await asyncio.start_server(site.serve, "127.0.0.1", 0)
        stack.callback(listening.close)
        port = listening.sockets[0].getsockname()[1]
        edge = await stack.enter_async_context(running_edge(folder, request_table.SERVERS))
        ports = {cell_id: stub.port for cell_id, stub in edge.cells.items()}
        await edge.publish(request_table.view(ports), match_table.ruleset(port))
        await edge.envoy.ready()
        yield edge


async def differences(edge: Edge, rows: Requests) -> list[str]:
    """Send every request, and say where Envoy and the evaluator differ, in decisions and in counters."""
    wrong: list[str] = []
    expected: Counter[str] = Counter()
    before = await _counted(edge)
    for row in rows:
        decision = reference(row)
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
