"""What a push costs, side by side: fleets that differ in one thing are each told of one EDS change in turns.

Few clusters and many; our server and one that does nothing but write and read; one process and two that
share a port. Prints JSON, and the rows of docs/benchmarks.md.

    make bench NAME=fanout_turns
    make bench NAME=fanout_turns ARGS='--rounds 5 --streams 100'
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

from benchmarks.fanout import Asked, Process, print_table, pushed, running, until_all

SERVER, BARE, CLIENT = "benchmarks.fanout_server", "benchmarks.fanout_bare", "benchmarks.fanout_client"


class Workers:
    """Several servers on one port, told of each change at once."""

    def __init__(self, servers: Sequence[Process]) -> None:
        self._servers = servers

    def ask(self, line: str) -> Any:
        """Ask all: when the first published, or what they used together."""
        for server in self._servers:
            server.send(line)
        answers = [server.read() for server in self._servers]
        if line != "usage":
            return min(answers)
        return {key: sum(one[key] for one in answers) for key in answers[0]}


def in_turns(pairs: Sequence[tuple[Asked, Process]], rounds: int) -> list[list[float]]:
    """Push one EDS change to each fleet in turns; medians for each."""
    for _, client in pairs:
        until_all(client, "synced")
    time.sleep(1.0)
    taken: list[list[tuple[float, ...]]] = [[] for _ in pairs]
    for _ in range(rounds):
        for rows, (server, client) in zip(taken, pairs, strict=True):
            rows.append(pushed(server, client, "eds", "endpoint"))
    return [[statistics.median(column) for column in zip(*rows, strict=True)] for rows in taken]


def row(streams: int, clusters: int, change: str, medians: Sequence[float]) -> dict[str, Any]:
    """Make a row of the table."""
    p50, p99, _, cpu, _, rss = medians
    return {
        "variant": "delta",
        "streams": streams,
        "clusters": clusters,
        "change": change,
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
        "cpu_seconds": round(cpu, 4),
        "rss_mb": round(rss),
    }


def growth(streams: int, clusters: tuple[int, int], rounds: int) -> Iterator[dict[str, Any]]:
    """Push one EDS change in turns to two fleets that differ in their number of clusters alone."""
    with ExitStack() as stack:
        pairs = []
        for number in clusters:
            server = stack.enter_context(running(SERVER, "--clusters", number))
            arguments = ("--port", server.read(), "--streams", streams, "--clusters", number)
            pairs.append((server, stack.enter_context(running(CLIENT, *arguments))))
        medians = in_turns(pairs, rounds)
    for number, each in zip(clusters, medians, strict=True):
        times = f"{each[3] / medians[0][3]:.2f} times the CPU"
        yield row(streams, number, f"one EDS, {streams} streams ({times})", each)


def workers(streams: int, clusters: int, most: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Push one EDS change in turns to one process, and to several that share a port."""
    with ExitStack() as stack:
        pairs = []
        for number in (1, most):
            first = stack.enter_context(running(SERVER, "--clusters", clusters))
            port = first.read()
            again = (SERVER, "--clusters", clusters, "--port", port)
            others = [stack.enter_context(running(*again)) for _ in range(number - 1)]
            assert all(other.read() == port for other in others)
            arguments = ("--port", port, "--streams", streams, "--clusters", clusters)
            client = stack.enter_context(running(CLIENT, *arguments))
            pairs.append((Workers([first, *others]), client))
        medians = in_turns(pairs, rounds)
    for number, each in zip((1, most), medians, strict=True):
        yield row(streams, clusters, f"one EDS, {number} processes on a port", each)


def bare(streams: int, clusters: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Push one EDS change in turns by our server, and by one that knows nothing of xDS."""
    with ExitStack() as stack:
        pairs = []
        for module in (SERVER, BARE):
            server = stack.enter_context(running(module, "--clusters", clusters))
            arguments = ("--port", server.read(), "--streams", streams, "--clusters", clusters)
            pairs.append((server, stack.enter_context(running(CLIENT, *arguments))))
        medians = in_turns(pairs, rounds)
    for name, each in zip(("ours", "bare grpc.aio"), medians, strict=True):
        yield row(streams, clusters, f"one EDS, {name}", each)


def main() -> None:
    """Compare and print."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--growth", type=int, nargs=2, default=(100, 10_000), metavar="CLUSTERS")
    parser.add_argument("--growth-streams", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    rows = []
    for found in chain(
        growth(options.growth_streams, tuple(options.growth), options.rounds),
        bare(options.streams, options.clusters, options.rounds),
        workers(options.streams, options.clusters, options.workers, options.rounds),
    ):
        print(json.dumps(found), flush=True)
        rows.append(found)
    print_table(rows)


if __name__ == "__main__":
    main()
