"""What following a refusal costs: the cell that an owner left is asked, tells 421, and the owner's is asked.

An edge and two sidecars on real Envoys, one worker each, before two applications; a client that asks for one
name after the other. Each round has names of its own: remembered and in cell 1 at first, then gone to cell 2,
of which the edge knows nothing until cell 1 refuses. So each name is asked for twice, and what is compared is
the same request a moment before and after its owner left.

    make bench NAME=followed
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.load import cpu_seconds
from tests.envoy.owners_rig import PATH, SESSION
from tests.envoy.two_cells_rig import TwoCells, two_cells
from tests.topology.departures import announce, leave, wish
from topology.service.classify import Lifetimes

HELD = Lifetimes(found=3600, not_found=60)


@dataclass
class Passes:
    """What requests took: microseconds of the client's waiting, of the edge's CPU, of both sidecars'."""

    waited: list[float] = field(default_factory=list)
    edge: list[float] = field(default_factory=list)
    sidecars: list[float] = field(default_factory=list)

    def row(self, title: str) -> str:
        """Give the medians of all rounds."""
        found = (statistics.median(each) for each in (self.waited, self.edge, self.sidecars))
        return f"| {title} | " + " | ".join(f"{each:.0f} µs" for each in found) + " |"


async def run(scene: TwoCells, names: list[str], expected: str, into: Passes | None = None) -> None:
    """Ask for one name after the other, on one connection."""
    sidecars = (scene.one.envoy.pid, scene.two.envoy.pid)
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.asking.edge.port)
    waited = []
    before = cpu_seconds(scene.asking.edge.envoy.pid), sum(map(cpu_seconds, sidecars))
    for name in names:
        started = time.perf_counter()
        writer.write(f"GET /{name}/web HTTP/1.1\r\nhost: edge.test\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        body = (await reader.readexactly(length)).decode()
        waited.append(time.perf_counter() - started)
        if body != expected:
            raise RuntimeError(f"{name} was answered {body!r}, not {expected!r}")
    after = cpu_seconds(scene.asking.edge.envoy.pid), sum(map(cpu_seconds, sidecars))
    writer.close()
    if into is not None:
        into.waited.append(1e6 * statistics.median(waited))
        into.edge.append(1e6 * (after[0] - before[0]) / len(names))
        into.sidecars.append(1e6 * (after[1] - before[1]) / len(names))


async def measure(rounds: int, requests: int) -> None:
    """Measure and print the table."""
    found = {"remembered, in its cell": Passes(), "refused, and followed": Passes(), "learned": Passes()}
    stays, follows, learned = found.values()
    with tempfile.TemporaryDirectory() as folder:
        async with two_cells(Path(folder), (PATH, SESSION), HELD) as scene:
            for number in range(rounds):
                names = [f"name-{number}-{at}" for at in range(requests)]
                scene.asking.owners.own(1, *names)
                await run(scene, names, "application 1")  # asked for, and remembered
                await run(scene, names, "application 1", stays)
                gone = wish(owner=f"NAMESPACE/{number + 1}")
                await scene.tell(
                    leave(announce(scene.view, gone, *(f"ROUTES/{each}" for each in names)), gone)
                )
                await run(scene, names, "application 2", follows)
                await run(scene, names, "application 2", learned)
    print("| request | waited, p50 | CPU of the edge | CPU of the sidecars |\n|---|---|---|---|")
    for title, passes in found.items():
        print(passes.row(title))


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1500)
    options = parser.parse_args()
    uvloop.run(measure(options.rounds, options.requests))


if __name__ == "__main__":
    main()
