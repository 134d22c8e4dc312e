"""A stub cell: an HTTP server that says which cell it is and what the edge told it.

The demo runs one per cell in its own loop, the compose example one per container (`python -m
cellplane.demo.stub_cell`). It answers any path with JSON: the cell's id, the endpoint, and the headers that
arrived.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass

import click
from aiohttp import web


@dataclass(slots=True)
class StubCell:
    """A running stub cell; `requests` counts what it answered, health checks left out."""

    cell_id: int
    host: str
    port: int
    runner: web.AppRunner
    requests: int = 0

    async def stop(self) -> None:
        """Stop listening and drop what is open."""
        await self.runner.cleanup()


async def start_stub_cell(cell_id: int, host: str = "127.0.0.1", port: int = 0) -> StubCell:
    """Start a stub cell; port 0 takes a free one, which `port` then names."""

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def answer(request: web.Request) -> web.Response:
        cell.requests += 1
        headers = {name.lower(): value for name, value in request.headers.items()}
        return web.json_response(
            {
                "cell": cell_id,
                "port": cell.port,
                "method": request.method,
                "path": request.path_qs,
                "headers": headers,
            }
        )

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/-/liveness", health)
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    cell = StubCell(cell_id, host, port, runner)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    cell.port = int(runner.addresses[0][1])
    return cell


@click.command(help="Run one stub cell until it is told to stop.")
@click.option("--id", "cell_id", type=click.IntRange(min=1), required=True, help="The cell's id.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; 0 takes a free one."
)
def main(cell_id: int, host: str, port: int) -> None:
    """Run a stub cell as a process of its own."""

    async def run() -> None:
        cell = await start_stub_cell(cell_id, host, port)
        click.echo(f"cell {cell_id} listens on {cell.host}:{cell.port}")
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()
        await cell.stop()

    asyncio.run(run())


if __name__ == "__main__":
    main()
