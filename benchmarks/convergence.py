"""From an etcd commit to Envoy's ACK, for one endpoint change: with 10 cells and with 1,000, side by side.

Two complete stages (etcd, control plane, Envoy) run at once; rounds alternate between them, so that whatever
else the machine does hits both. A time runs from before the commit is sent until the control plane has
Envoy's ACK.

    make bench NAME=convergence                     # 5 rounds of 40 changes each: 200 changes a size
    make bench NAME=convergence ARGS='--rounds 2 --changes 10'
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from topology.codec import encode
from topology.model import Cell, CellState, Endpoint, Stamp
from topology.store import Committed, Txn

SIZES = (10, 1000)
BATCH = 60
TARGET_P50_MS = 25.0
TARGET_RATIO = 1.5


def stamp() -> Stamp:
    return Stamp(
        updated_by="benchmark", updated_at=datetime.now(UTC).isoformat(timespec="seconds"), reason=""
    )


def cell(cell_id: int) -> Cell:
    """Make an active cell with two endpoints of its own; nobody listens there, and no request is sent."""
    host = f"127.{1 + cell_id // 60_000}.{cell_id // 250 % 250}.{cell_id % 250 + 1}"
    return Cell(
        id=cell_id,
        name=f"cell-{cell_id}",
        state=CellState.ACTIVE,
        endpoints=(Endpoint(host=host, port=9, zone="a"), Endpoint(host=host, port=10, zone="b")),
        stamp=stamp(),
    )


async def commit(stage: Stage, cells: list[Cell]) -> int:
    """Write cells as one transaction and return its revision."""
    outcome = await stage.store.commit(Txn(puts=tuple((stage.keyspace.cell(c.id), encode(c)) for c in cells)))
    if not isinstance(outcome, Committed):
        raise AssertionError(f"nothing is compared, and yet: {outcome}")  # noqa: TRY004
    return outcome.revision


async def set_up(folder: Path, size: int) -> tuple[Stage, dict[int, Cell]]:
    """Start a stage with so many cells."""
    stage = Stage(folder, Ports())
    await stage.__aenter__()
    await stage.start_etcd()
    cells = {number: cell(number) for number in range(1, size + 1)}
    every = list(cells.values())
    for at in range(0, size, BATCH):
        await commit(stage, every[at : at + BATCH])
    # 2,000 endpoints checked every few seconds would be what is measured, on a machine that runs both sides.
    await stage.start_control_plane("--health-check-path=")
    await stage.start_envoy()
    await stage.fleet(settled=1)
    return stage, cells


async def one_change(stage: Stage, cells: dict[int, Cell]) -> float:
    """Change one endpoint's weight in one cell; return the milliseconds until Envoy has ACKed it."""
    chosen = random.choice(list(cells))
    first, second = cells[chosen].endpoints
    cells[chosen] = replace(cells[chosen], endpoints=(replace(first, weight=first.weight % 100 + 1), second))
    started = time.time()
    revision = await commit(stage, [cells[chosen]])
    (node,) = (await stage.fleet(settled=revision))["nodes"]
    if node["settled_revision"] < revision:
        raise RuntimeError(f"revision {revision} was not ACKed: {node}")
    return float((node["settled_at"] - started) * 1000)


async def measure(rounds: int, changes: int) -> dict[int, list[float]]:
    """Alternate rounds between the sizes; return all times by size."""
    times: dict[int, list[float]] = {size: [] for size in SIZES}
    async with AsyncExitStack() as stack:
        stages = {}
        for size in SIZES:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            stages[size] = await set_up(folder, size)
            stack.push_async_exit(stages[size][0])
        for size in SIZES:
            for _ in range(5):  # warm
                await one_change(*stages[size])
        for number in range(rounds):
            for size in SIZES:
                found = [await one_change(*stages[size]) for _ in range(changes)]
                times[size] += found
                print(
                    f"round {number + 1}, {size:>5} cells: median {statistics.median(found):.1f} ms",
                    flush=True,
                )
    return times


def main() -> None:
    """Measure, print the table and how it stands to the target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changes", type=int, default=40, help="changes a round and size")
    options = parser.parse_args()
    times = uvloop.run(measure(options.rounds, options.changes))
    print("\n| cells | changes | p50 | p95 | max |\n|---|---|---|---|---|")
    quantiles = {}
    for size, found in times.items():
        cut = statistics.quantiles(found, n=100)
        quantiles[size] = (cut[49], cut[94])
        print(f"| {size:,} | {len(found)} | {cut[49]:.1f} ms | {cut[94]:.1f} ms | {max(found):.1f} ms |")
    few, many = (quantiles[size] for size in SIZES)
    ratios = [b / a for a, b in zip(few, many, strict=True)]
    held = max(few[0], many[0]) <= TARGET_P50_MS and all(
        1 / TARGET_RATIO <= each <= TARGET_RATIO for each in ratios
    )
    print(f"\nratio of {SIZES[1]:,} to {SIZES[0]} cells: p50 {ratios[0]:.2f}, p95 {ratios[1]:.2f}")
    print(
        f"target (p50 <= {TARGET_P50_MS:g} ms, ratios within {TARGET_RATIO}): {'held' if held else 'missed'}"
    )


if __name__ == "__main__":
    main()
