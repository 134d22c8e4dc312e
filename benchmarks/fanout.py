"""One change to many streams: how long until each has it, and what it costs the server.

Server and clients are processes of their own on one machine; each stream has a connection of its own. Prints
JSON, a line for each kind of change, and at the end the table of docs/benchmarks.md. What is compared rather
than measured is in `fanout_turns.py`.

    make bench NAME=fanout          # 1,000 streams: Delta and SotW, 100 and 1,000 clusters
    make bench NAME=fanout ARGS='--streams 200 --clusters 100'
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Protocol

CHANGES = {"eds": "endpoint", "cds": "cluster", "rds": "route"}
PATIENCE_SECONDS = 120.0


class Asked(Protocol):
    """Answers a line."""

    def ask(self, line: str) -> Any: ...


class Process:
    """A child that answers each line with one line of JSON."""

    def __init__(self, module: str, *arguments: object) -> None:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self) -> Any:
        """Return the next answer."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._child.args!r} ended with {self._child.wait()}")
        return json.loads(line)

    def send(self, line: str) -> None:
        """Send a line, to be answered."""
        assert self._child.stdin is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def ask(self, line: str) -> Any:
        """Send a line and return the answer."""
        self.send(line)
        return self.read()

    def end(self) -> None:
        """Close its input, which ends it."""
        self._child.communicate(timeout=30)


@contextmanager
def running(module: str, *arguments: object) -> Iterator[Process]:
    """Run a child and end it."""
    process = Process(module, *arguments)
    try:
        yield process
    finally:
        process.end()


def until_all(client: Process, question: str) -> list[float]:
    """Ask until every stream has an answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        times = client.ask(question)
        if all(each is not None for each in times):
            return list(times)
        if time.monotonic() > deadline or client.ask("broken"):
            lacking = sum(each is None for each in times)
            raise RuntimeError(f"{lacking} streams lack it; {client.ask('broken')[:3]}")
        time.sleep(0.02)


def measure(streams: int, clusters: int, variant: str, repeats: int) -> Iterator[dict[str, Any]]:
    """Sync all streams, then make each kind of change `repeats` times; yield a row for each."""
    head = {"variant": variant, "streams": streams, "clusters": clusters}
    with running("benchmarks.fanout_server", "--clusters", clusters) as server:
        port = server.read()
        before, began = server.ask("usage"), time.monotonic()
        arguments = ("--port", port, "--streams", streams, "--clusters", clusters, "--variant", variant)
        with running("benchmarks.fanout_client", *arguments) as client:
            synced = until_all(client, "synced")
            after = server.ask("usage")
            yield {
                **head,
                "change": "first sync",
                "all_seconds": round(max(synced) - began, 2),
                "cpu_seconds": round(after["cpu"] - before["cpu"], 2),
                "rss_mb": round(after["rss_mb"]),
                "bytes": client.ask("bytes"),
            }
            time.sleep(1.0)
            for change, kind in CHANGES.items():
                found = repeated(server, client, change, kind, repeats)
                yield {**head, "change": f"one {change.upper()}", **found}


def repeated(server: Asked, client: Process, change: str, kind: str, repeats: int) -> dict[str, Any]:
    """Make one kind of change several times; medians over the changes."""
    rows = [pushed(server, client, change, kind) for _ in range(repeats)]
    p50, p99, most, cpu, size, rss = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(most, 1),
        "cpu_seconds": round(cpu, 3),
        "bytes": int(size),
        "rss_mb": round(rss),
    }


def pushed(server: Asked, client: Process, change: str, kind: str) -> tuple[float, ...]:
    """Make one change: p50, p99 and max in milliseconds, CPU seconds, bytes, resident megabytes."""
    client.ask("mark")
    before, sent = server.ask("usage"), client.ask("bytes")
    published = server.ask(change)
    delays = sorted((at - published) * 1000 for at in until_all(client, f"received {kind}"))
    time.sleep(0.3)  # the ACKs are part of what a push costs
    after = server.ask("usage")
    cut = statistics.quantiles(delays, n=100)
    cpu, size = after["cpu"] - before["cpu"], client.ask("bytes") - sent
    return cut[49], cut[98], delays[-1], cpu, size, after["rss_mb"]


def main() -> None:
    """Measure and print."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--clusters", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--variant", choices=("delta", "sotw"), nargs="+", default=["delta", "sotw"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    parts = [
        measure(options.streams, clusters, variant, options.repeats)
        for variant in options.variant
        for clusters in options.clusters
    ]
    rows = []
    for found in chain.from_iterable(parts):
        print(json.dumps(found), flush=True)
        rows.append(found)
    print_table(rows)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as in docs/benchmarks.md."""
    print("\n| variant | clusters | change | p50 / p99 | server CPU | RSS |\n|---|---|---|---|---|---|")
    for found in rows:
        synced = f"all in {found.get('all_seconds')} s"
        delay = f"{found['p50_ms']} / {found['p99_ms']} ms" if "p50_ms" in found else synced
        cost = (f"{found['cpu_seconds']} s", f"{found['rss_mb']} MB")
        cells = (found["variant"], f"{found['clusters']:,}", found["change"], delay, *cost)
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
