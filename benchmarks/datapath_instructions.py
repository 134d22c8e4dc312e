"""What a decision costs Envoy in instructions: the ways of `datapath`, counted by callgrind instead of timed.

On a machine that others use CPU differs by a third from one run to the next; instructions by one per cent.
Counted is what the worker's thread does in user space for requests that come one after the other on one
connection, when everything that they need is there: connections to the cells, owners in Lua's memory. The
kernel's part and the processor's caches are not in it.

    make bench NAME=datapath_instructions   # every way with 10 cells
    make bench NAME=datapath_instructions ARGS='--ways default session --cells 10 1000'
    make bench NAME=datapath_instructions ARGS='--ways default --cache 512' # misses of simulated caches, too

Wants valgrind and nginx, the upstream of all. Envoy's program has no symbols: what costs how much is found by
leaving it out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.callgrind import Callgrind, Counts
from benchmarks.datapath_baselines import BASELINES, Baseline
from benchmarks.datapath_edges import Ours, answers, plain_bootstrap
from benchmarks.datapath_ways import HOT, NAMES, WAYS, Mix, Way
from benchmarks.nginx import nginx
from benchmarks.wrk import Request
from cellplane.demo.free_port import free_port
from envoy.bootstrap import bootstrap
from tests.envoy_process import envoy_path
from tests.processes import eventually

STARTS_WITHIN = 300.0
"""An Envoy with 1,000 cells takes its time under callgrind."""


@dataclass(frozen=True, slots=True)
class Edge:
    """An Envoy under callgrind and where it answers; `admin` is empty for the plain one."""

    port: int
    envoy: Callgrind
    admin: str = ""

    async def connections(self) -> int:
        """Count the connections to cells that were made so far."""
        if not self.admin:
            return 0
        url = f"{self.admin}/stats?format=json&filter=^cluster[.]cell-.*[.]upstream_cx_total$"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return sum(each["value"] for each in (await answer.json(content_type=None))["stats"])


class Connection:
    """One connection to an edge that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self._reader, self._writer = reader, writer
        self._host = f"127.0.0.1:{port}"

    async def ask(self, request: Request) -> dict[str, str]:
        """Send it, and give the answer's headers; its status is `status`."""
        headers = {"Host": self._host, **request.headers}
        lines = [f"GET {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        status, *fields = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        found = {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)}
        await self._reader.readexactly(int(found["content-length"]))
        return {**found, "status": status.split()[1]}


async def counted(edge: Edge, way: Way, mix: Mix, number: int, *, ours: bool) -> tuple[Counts, int]:
    """Count so many requests of a way, and the connections to cells that had to be made meanwhile."""
    requests = way.requests(mix)[:number]
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    connection = Connection(reader, writer, edge.port)

    async def warm() -> bool:
        seen = [await connection.ask(each) for each in requests]
        return not ours or all(
            (each["status"], each["x-cellplane-rule"]) == ("200", way.rule) for each in seen
        )

    try:
        await eventually(warm, f"requests of {way.name} to be decided by {way.rule}", within=60)
        for _ in range(3 * mix.cells // number + 1):  # by weight any cell may be next
            await warm()
        await edge.envoy.begin()
        await warm()  # what is done once is done
        before = await edge.connections()
        await edge.envoy.zero()
        await warm()
        counts = await edge.envoy.dump()
        return counts, await edge.connections() - before
    finally:
        await edge.envoy.end()
        writer.close()


class Bench:
    """Everything that runs."""

    def __init__(self, stack: AsyncExitStack, folder: Path, names: Sequence[str], *, cache: int) -> None:
        self._stack = stack
        self._names = names
        self._folder = folder
        self._cache = cache
        self.upstream = 0

    async def start(self) -> None:
        """Start what answers behind all edges."""
        self.upstream = await nginx(self._stack, self._folder)

    async def plain(self) -> Edge:
        """Start an Envoy that sends everything to one place."""
        port = free_port()
        return Edge(port, await self._envoy("plain", plain_bootstrap(port, self.upstream), port))

    async def baseline(self, each: Baseline, cells: int) -> Edge:
        """Start an Envoy that stands between the plain one and ours."""
        port = free_port()
        config = each.config(port, self.upstream, cells)
        return Edge(port, await self._envoy(f"{each.way.name}-{cells}", config, port))

    async def ours(self, cells: int) -> Edge:
        """Start the whole product with so many cells."""
        edge = Ours(self._folder / f"cells-{cells}", cells, self.upstream)
        await edge.start(self._stack, self._names)
        ports = edge.stage.ports
        made = bootstrap(
            role="edge",
            node_id="edge-1",
            xds_addresses=(f"127.0.0.1:{ports.xds}",),
            admin_port=ports.admin,
        )
        envoy = await self._envoy(f"ours-{cells}", made, ports.edge)

        async def healthy() -> bool:
            return await edge.stage.envoy_stat("cluster.ext-proc.membership_healthy") == 1

        await eventually(healthy, "Envoy to find ext-proc healthy", within=STARTS_WITHIN)
        return Edge(ports.edge, envoy, ports.admin_url)

    async def _envoy(self, name: str, config: object, port: int) -> Callgrind:
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        command = [str(envoy_path()), "-c", str(path), "--concurrency", "1", "--log-level", "warning"]
        child = Callgrind([*command, "--disable-hot-restart"], self._folder / name, cache=self._cache)
        self._stack.push_async_callback(child.stop)
        await child.start(lambda: answers(port), STARTS_WITHIN)
        return child


def row(way: Way, cells: int, plain: Counts, ours: Counts, number: int, connections: int) -> str:
    """Give a line of the table, for each request."""
    cost = [
        f"{before / number:,.1f} → {now / number:,.1f}"
        for before, now in zip(plain.misses, ours.misses, strict=True)
    ]
    more = ours.instructions - plain.instructions
    told = [
        f"{plain.instructions / number:,.0f}",
        f"{ours.instructions / number:,.0f}",
        f"{more / number:+,.0f}",
        *cost,
        str(connections),
    ]
    return f"| {way.title} | {cells:,} | {' | '.join(told)} |"


async def measure(options: argparse.Namespace) -> None:
    """Count and print the table."""
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is missing: install Debian's valgrind")
    ways = [way for way in WAYS if (way.name in options.ways if options.ways else way.least is not None)]
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cold = any(way.name in {"zipf98", "zipf90", "asked"} for way in ways)
        bench = Bench(stack, folder, NAMES if cold else NAMES[:HOT], cache=options.cache)
        await bench.start()
        plain = await bench.plain()
        edges = {cells: await bench.ours(cells) for cells in options.cells}
        misses = " L1 misses | L2 misses |" if options.cache else ""
        print(f"\n| decided by | cells | plain | ours | more |{misses} connections made |")
        print("|---" * (8 if options.cache else 6) + "|")
        for way in ways:
            for cells, edge in edges.items():
                before, _ = await counted(plain, way, Mix(cells), options.requests, ours=False)
                now, made = await counted(edge, way, Mix(cells), options.requests, ours=True)
                print(row(way, cells, before, now, options.requests, made), flush=True)
        for each in BASELINES if options.baselines else ():
            for cells in options.cells:
                before, _ = await counted(plain, each.way, Mix(cells), options.requests, ours=False)
                edge = await bench.baseline(each, cells)
                now, made = await counted(edge, each.way, Mix(cells), options.requests, ours=False)
                print(row(each.way, cells, before, now, options.requests, made), flush=True)


def main() -> None:
    """Read the options and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [way.name for way in WAYS]
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--cells", type=int, nargs="+", default=[10])
    parser.add_argument(
        "--ways", nargs="+", choices=names, help="all but the one that always asks, if not said"
    )
    parser.add_argument("--baselines", action="store_true", help="what stands between plain Envoy and ours")
    parser.add_argument(
        "--cache", type=int, default=0, help="kilobytes of the second cache, to count misses too: slower"
    )
    uvloop.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
