"""Cells for the protocol tests: what they serve, each on a port of its own; and the edge in front of them.

Each stands behind a real Envoy, and real clients ask for it there. A cell says who it is in its answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from cellplane.demo.free_port import free_port
from envoy.edge import EdgeSettings
from envoy.ruleset import Ruleset
from tests.envoy.edge_rig import Edge, cell, running_edge, view_of
from tests.envoy.rule_documents import parsed

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATHS = {"name": "path", "type": "path_prefix", "prefixes": {"/acme": 1, "/globex": 2}}
SESSION = {"name": "session", "type": "session_cookie", "cookie": "_gitlab_session"}
CLASSES = ("git-ssh", "git-http", "websocket", "grpc", "poll", "registry", "other")


@asynccontextmanager
async def web_cell(handler: Handler) -> AsyncIterator[int]:
    """Serve everything with a handler, and give the port."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(
        application, access_log=None, auto_decompress=False, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def rules(*entries: Mapping[str, Any], **fields: Any) -> Ruleset:
    """Make a ruleset of these rules and the default; without any, paths and sessions decide."""
    return parsed(*(entries or (PATHS, SESSION)), **fields)


@asynccontextmanager
async def edge_before(
    folder: Path,
    *ports: int,
    ruleset: Ruleset | None = None,
    settings: EdgeSettings | None = None,
    http2: bool = False,
) -> AsyncIterator[Edge]:
    """Start an edge in front of cells 1, 2, … on these ports, and wait until it serves."""
    counting = settings or EdgeSettings(
        listen_address="127.0.0.1", listen_port=free_port(), health_check_path="", count_decisions=True
    )
    async with running_edge(folder, (), ruleset=ruleset or rules(), settings=counting) as edge:
        cells = (cell(at, ports=(port,), http2=http2) for at, port in enumerate(ports, 1))
        await edge.publish(view_of(*cells))
        await edge.envoy.ready()
        yield edge


@asynccontextmanager
async def edge_of(
    folder: Path, *handlers: Handler, ruleset: Ruleset | None = None, settings: EdgeSettings | None = None
) -> AsyncIterator[tuple[Edge, ClientSession]]:
    """Start cells 1, 2, … with these handlers, the edge before them, and a client that asks there."""
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(web_cell(handler)) for handler in handlers]
        edge = await stack.enter_async_context(
            edge_before(folder, *ports, ruleset=ruleset, settings=settings)
        )
        client = ClientSession(f"http://127.0.0.1:{edge.port}", auto_decompress=False)
        yield edge, await stack.enter_async_context(client)


async def counted(edge: Edge) -> dict[str, int]:
    """Give how many requests Envoy has completed in each class, where there are any."""
    found = await edge.envoy.stats(r"vhost\.edge\.vcluster\..*\.upstream_rq_total")
    by_class = {name.split(".")[3]: count for name, count in found.items()}
    return {name: by_class[name] for name in CLASSES if by_class.get(name)}
