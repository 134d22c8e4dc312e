"""What claims cost where they are looked up, in ext-proc's memory: bytes for each, and the time of a lookup.

One process for each count, so that none inherits another's memory. A lookup is what ext-proc does for a
question: the record, what it counts as, its owner's epoch, whether the cell serves.

    make bench NAME=claims_in_memory
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from uuid import UUID

from benchmarks.load import resident_mb
from envoy.owners import answer
from envoy.questions import Question
from topology.claims.index import ClaimIndex
from topology.claims.model import (
    Bucket,
    BucketType,
    Metadata,
    Record,
    Source,
    SourceType,
    Status,
    Subject,
    SubjectType,
)
from topology.claims.store import Changes
from topology.model import Cell, CellState, Endpoint, Stamp
from topology.service.classify import Lifetimes
from topology.view import View

COUNTS = (1, 1_000, 1_000_000)
LOOKUPS = 20_000
ROUNDS = 7
CELLS = 10
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(number: int) -> Record:
    """Make a claim on a path, of an owner of its own."""
    return Record(
        uuid=str(UUID(int=number)),
        metadata=Metadata(
            bucket=Bucket(BucketType.ROUTES, f"group-{number}"),
            subject=Subject(SubjectType.ORGANIZATION, number + 1),
            source=Source(SourceType.RAILS_TABLE_ROUTES, number.to_bytes(8, "big")),
        ),
        cell_id=number % CELLS + 1,
        status=Status.ACTIVE,
        lease="",
        created_at=NOW,
        updated_at=NOW,
        updated_by="benchmark",
    )


def one(count: int) -> None:
    """Measure with so many claims, in this process."""
    stamp = Stamp(updated_by="benchmark", updated_at="2026-01-01T00:00:00Z", reason="")
    cells = {
        number: Cell(
            id=number,
            name=f"cell-{number}",
            state=CellState.ACTIVE,
            endpoints=(Endpoint(host="127.0.0.1", port=80),),
            stamp=stamp,
        )
        for number in range(1, CELLS + 1)
    }
    view, index, lifetimes = View(revision=1, cells=cells), ClaimIndex(), Lifetimes(found=60, not_found=5)
    gc.collect()
    gc.disable()  # as the servers do while they load
    before, started = resident_mb(os.getpid()), time.perf_counter()
    index.load(Changes(1, tuple(record(number) for number in range(count))))
    loaded = time.perf_counter() - started
    gc.collect()
    taken = (resident_mb(os.getpid()) - before) * 1e6
    chosen = random.Random(1)
    there = [
        Question("path", Bucket(BucketType.ROUTES, f"group-{chosen.randrange(count)}"))
        for _ in range(LOOKUPS)
    ]
    absent = [Question("path", Bucket(BucketType.ROUTES, f"nobody-{at}")) for at in range(LOOKUPS)]
    times = []
    for questions in (there, absent):
        rounds = []
        for _ in range(ROUNDS):
            began = time.process_time()
            for question in questions:
                answer(view, index, 1, question, lifetimes)
            rounds.append((time.process_time() - began) / LOOKUPS * 1e6)
        times.append(statistics.median(rounds))
    each = f"{taken / count:,.0f} B" if count > 1 else ""
    cost = f"{taken / 1e6:,.1f} MB | {each} | {times[0]:.2f} µs | {times[1]:.2f} µs"
    print(f"| {count:,} | {cost} | {loaded:.1f} s |")


def main() -> None:
    """Print the table, a process for each line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, help="one line only, in this process")
    options = parser.parse_args()
    if options.count:
        one(options.count)
        return
    print("| claims | memory | each | lookup, found | lookup, nobody's | made and loaded in |")
    print("|---|---|---|---|---|---|", flush=True)
    for count in COUNTS:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.claims_in_memory", "--count", str(count)], check=True
        )


if __name__ == "__main__":
    main()
