"""What a decision costs Envoy: each way of deciding against a plain static route, in turns, in one run.

Our edges are the whole product with 10 cells and with 1,000, configured by its control plane, asking a real
ext-proc; the rules are those of the example. A way and plain Envoy take turns, two runs of wrk next to each
other; the ratio is of Envoy's CPU per request, plain divided by ours, and the median of the rounds counts.

    make bench NAME=datapath                                  # 5 rounds, some 20 minutes
    make bench NAME=datapath ARGS='--seconds 1'               # some 15
    make bench NAME=datapath ARGS='--rounds 2 --cells 10 --ways session remembered'
    make bench NAME=datapath ARGS='--baselines --workers 1'   # what costs how much

Wants wrk and nginx, the upstream of all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.datapath_baselines import BASELINES
from benchmarks.datapath_edges import Ours, Target, plain_envoy, static_envoy
from benchmarks.datapath_ways import NAMES, WAYS, Mix, Way
from benchmarks.nginx import nginx
from benchmarks.wrk import Request, Run, wrk
from cellplane.demo.free_port import free_port
from tests.processes import eventually

CELLS = (10, 1000)
CONNECTIONS = 16
ADDED_P50_MICROSECONDS = 1000


@dataclass
class Found:
    """All pairs of runs of one way with so many cells: plain and ours."""

    busy: list[tuple[Run, Run]] = field(default_factory=list)
    alone: list[tuple[Run, Run]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return statistics.median(plain.cpu / ours.cpu for plain, ours in self.busy)

    def row(self) -> str:
        """Give what a table says of it: of a baseline no more than its CPU and its rate."""
        plain, ours = ([pair[at] for pair in self.busy] for at in (0, 1))

        def middle(runs: Sequence[Run], name: str) -> float:
            return float(statistics.median(getattr(run, name) for run in runs))

        added = statistics.median(ours.p50 - plain.p50 for plain, ours in self.alone) if self.alone else None
        busy = (
            f"{middle(plain, 'cpu'):.0f} → {middle(ours, 'cpu'):.0f} µs | {self.ratio:.2f} "
            f"({min(p.cpu / o.cpu for p, o in self.busy):.2f} to "
            f"{max(p.cpu / o.cpu for p, o in self.busy):.2f}) | "
            f"{middle(ours, 'rate') / middle(plain, 'rate'):.2f}"
        )
        if not self.asked:
            return busy
        p50 = "" if added is None else f"{added:+.0f} µs"
        return f"{busy} | {p50} | {100 * statistics.median(self.asked):.1f} %"


class Bench:
    """Everything that runs, and how it is measured."""

    def __init__(self, folder: Path, stack: AsyncExitStack, seconds: int) -> None:
        self._folder = folder
        self._stack = stack
        self._seconds = seconds
        self.edges: dict[int, Ours] = {}
        self.mixes: dict[int, Mix] = {}
        self._upstream = 0

    async def start(self, sizes: Sequence[int]) -> None:
        """Start the upstream and our edges, without their Envoys."""
        self._upstream = await nginx(self._stack, self._folder)
        for size in sizes:
            self.edges[size] = Ours(self._folder / f"cells-{size}", size, self._upstream)
            self.mixes[size] = Mix(size)
            await self.edges[size].start(self._stack, NAMES)
            print(f"# {size} cells, {len(NAMES)} claims", flush=True)

    async def measure(
        self, ways: Sequence[Way], rounds: int, workers: int, *, latency: bool, baselines: bool
    ) -> dict[tuple[str, int], Found]:
        """Start Envoys with so many workers and let every way take its turns."""
        found: dict[tuple[str, int], Found] = {}
        plain = await plain_envoy(self._stack, self._folder, self._upstream, workers)
        targets = {size: await edge.start_envoy(workers) for size, edge in self.edges.items()}
        beside = await self._baselines(workers) if baselines else {}
        for size, target in targets.items():
            for _ in range(2):
                await self._run(target, self.mixes[size].hot(), 2 * workers, CONNECTIONS)
            for way in ways:
                await self._check(way, size, target)
        for number in range(rounds):
            for way in ways:
                for size, target in targets.items():
                    into = found.setdefault((way.name, size), Found())
                    requests = way.requests(self.mixes[size])
                    if way.rule == "namespace":  # what was told holds for a minute, and a round takes longer
                        await self._run(target, self.mixes[size].hot(), 2 * workers, CONNECTIONS)
                    else:  # connections to cells are kept for 15 s, and turns are further apart
                        await self._run(target, requests, 1, CONNECTIONS)
                    before = await self.edges[size].asked()
                    pair = await self._pair(plain, target, requests, self._seconds, CONNECTIONS)
                    into.busy.append(pair)
                    into.asked.append((await self.edges[size].asked() - before) / pair[1].requests)
                    if latency:
                        fresh = way.requests(self.mixes[size])
                        into.alone.append(await self._pair(plain, target, fresh, 1, 1))
                    print(
                        f"# {workers}w round {number + 1} {way.name:<10} {size:>5}: {into.row()}", flush=True
                    )
            for (name, size), (target, sent) in beside.items():
                into = found.setdefault((name, size), Found())
                await self._run(target, sent, 1, CONNECTIONS)
                into.busy.append(await self._pair(plain, target, sent, self._seconds, CONNECTIONS))
                print(f"# {workers}w round {number + 1} {name:<10} {size:>5}: {into.row()}", flush=True)
        for edge in self.edges.values():
            await edge.stage.kill("envoy")
        return found

    async def _baselines(self, workers: int) -> dict[tuple[str, int], tuple[Target, Sequence[Request]]]:
        """Start what stands between plain Envoy and ours, by name and size, each with its requests."""
        found: dict[tuple[str, int], tuple[Target, Sequence[Request]]] = {}
        for each in BASELINES:
            for size, mix in self.mixes.items():
                port = free_port()
                config = each.config(port, self._upstream, size)
                place = self._folder / f"{each.way.name}-{size}-{workers}"
                target = await static_envoy(self._stack, place, config, port, workers)
                found[each.way.name, size] = target, each.way.requests(mix)
        return found

    async def _check(self, way: Way, size: int, target: Target) -> None:
        """Look whether the way is the one that is meant. On a busy machine an owner may be told too late."""
        requests = iter(way.requests(self.mixes[size]))

        async def look() -> bool:
            request = next(requests)
            url = f"http://127.0.0.1:{target.port}{request.path}"
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, headers=request.headers) as answer,
            ):
                return answer.status == 200 and answer.headers.get("x-cellplane-rule") == way.rule

        await eventually(look, f"a request of {way.name} to be decided by {way.rule}", every=0.2)

    async def _pair(
        self, plain: Target, ours: Target, requests: Sequence[Request], seconds: float, connections: int
    ) -> tuple[Run, Run]:
        return (
            await self._run(plain, requests, seconds, connections),
            await self._run(ours, requests, seconds, connections),
        )

    async def _run(
        self, target: Target, requests: Sequence[Request], seconds: float, connections: int
    ) -> Run:
        found = await wrk(
            target.port, requests, self._folder, pids=target.pids, connections=connections, seconds=seconds
        )
        if found.failed:
            raise RuntimeError(f"{found.failed} of {found.requests} requests failed")
        return found


async def measure(options: argparse.Namespace) -> None:
    """Measure and print the tables."""
    ways = [way for way in WAYS if not options.ways or way.name in options.ways]
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            bench = Bench(Path(folder), stack, options.seconds)
            await bench.start(options.cells)
            for workers in options.workers:
                found = await bench.measure(
                    ways, options.rounds, workers, latency=workers == 1, baselines=options.baselines
                )
                print(f"\n{workers} worker(s), {options.rounds} rounds\n")
                print("| decided by | cells | CPU | ratio | throughput | added p50 | asked | goal |")
                print("|---|---|---|---|---|---|---|---|")
                for way in ways:
                    for size in options.cells:
                        each = found[way.name, size]
                        print(f"| {way.title} | {size:,} | {each.row()} | {_judged(way, each, workers)} |")
                print(flush=True)
                if options.baselines:
                    _print_baselines(found, ways, options.cells)


def _print_baselines(
    found: Mapping[tuple[str, int], Found], ways: Sequence[Way], sizes: Sequence[int]
) -> None:
    """Print what stands between plain Envoy and ours, and each way against it: both are held against plain
    Envoy next to them, and the ratio is of these two.
    """
    print("| | cells | CPU | against plain | throughput |")
    print("|---|---|---|---|---|")
    for each in BASELINES:
        for size in sizes:
            print(f"| {each.way.title} | {size:,} | {found[each.way.name, size].row()} |")
    print(f"\n| decided by | cells | {' | '.join(f'against {each.way.title}' for each in BASELINES)} |")
    print("|---" * (2 + len(BASELINES)) + "|")
    for way in ways:
        for size in sizes:
            against = (found[way.name, size].ratio / found[each.way.name, size].ratio for each in BASELINES)
            print(f"| {way.title} | {size:,} | {' | '.join(f'{ratio:.2f}' for ratio in against)} |")
    print(flush=True)


def _judged(way: Way, found: Found, workers: int) -> str:
    if workers != 1:
        return ""
    if way.least is None:
        added = statistics.median(ours.p50 - plain.p50 for plain, ours in found.alone)
        return f"p50 + {ADDED_P50_MICROSECONDS} µs, {'held' if added <= ADDED_P50_MICROSECONDS else 'missed'}"
    return f"{way.least:.2f}, {'held' if found.ratio >= way.least else 'missed'}"


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each run of wrk, which takes whole ones")
    parser.add_argument("--cells", type=int, nargs="+", default=list(CELLS))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--ways", nargs="+", choices=[way.name for way in WAYS])
    parser.add_argument("--baselines", action="store_true", help="what stands between plain Envoy and ours")
    uvloop.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
