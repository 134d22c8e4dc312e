"""A storm on the xDS server: many streams reconnect at once, many more clients stop reading.

Server and clients are the benchmark's, processes of their own; used at full size by a proof, small by a test.
Figures are of one machine: who reads them compares them with one another.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.fanout import Process, pushed, running, until_all

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a storm is."""

    clusters: int
    healthy: int
    streams: int
    stalled: int
    pushes: int
    write_timeout_seconds: float


def storm(size: Size) -> dict[str, Any]:
    """Let it blow; return what the healthy streams and the server's memory felt of it."""
    with ExitStack() as stack:
        arguments = ("--clusters", size.clusters, "--write-timeout", size.write_timeout_seconds)
        server = stack.enter_context(running("benchmarks.fanout_server", *arguments))
        port = server.read()

        def clients(streams: int, prefix: str, *more: str) -> tuple[object, ...]:
            common = ("--port", port, "--streams", streams, "--clusters", size.clusters)
            return ("benchmarks.fanout_client", *common, "--prefix", prefix, *more)

        with running(*clients(size.streams, "storm-")) as fleet:  # type: ignore[arg-type]
            until_all(fleet, "synced")
        until_open(server, 0)
        healthy = stack.enter_context(running(*clients(size.healthy, "healthy-")))  # type: ignore[arg-type]
        until_all(healthy, "synced")
        found: dict[str, Any] = {
            "quiet_p99_ms": slowest(server, healthy, size.pushes),
            "quiet_rss_mb": round(server.ask("usage")["rss_mb"]),
        }
        began = time.monotonic()
        with running(*clients(size.streams, "storm-")) as fleet:  # type: ignore[arg-type]
            # Healthy streams are told of changes while the others come back.
            everybody, delays = size.healthy + size.streams, []
            while server.ask("streams") < everybody or not all(fleet.ask("synced")):
                delays.append(pushed(server, healthy, "eds", "endpoint")[2])
                ended = fleet.ask("broken")
                assert not ended, f"{len(ended)} streams of the storm ended: {ended[:3]}"
                assert time.monotonic() - began < PATIENCE_SECONDS, "not all of the storm are in sync"
            found["storm_pushes"], found["storm_worst_ms"] = len(delays), round(max(delays))
            found["synced_seconds"] = round(max(until_all(fleet, "synced")) - began, 2)
            found["storm_rss_mb"] = round(server.ask("usage")["rss_mb"])
        until_open(server, size.healthy)
        before = server.ask("usage")["rss_mb"]
        stalled = stack.enter_context(running(*clients(size.stalled, "stalled-", "--stalled")))  # type: ignore[arg-type]
        until_open(server, size.healthy + size.stalled)
        found["stalled_p99_ms"] = slowest(server, healthy, size.pushes)
        found["stalled_rss_mb_more"] = round(server.ask("usage")["rss_mb"] - before)
        found["let_go_seconds"] = round(until_open(server, size.healthy), 1)
        found["healthy_broken"] = healthy.ask("broken")
        del stalled
        return found


def slowest(server: Process, healthy: Process, pushes: int) -> float:
    """Push some changes, and return the p99 of the time to the healthy streams: the median of all pushes."""
    return round(statistics.median(pushed(server, healthy, "eds", "endpoint")[1] for _ in range(pushes)), 1)


def until_open(server: Process, streams: int) -> float:
    """Wait until so many streams are open, and return how long that took."""
    began = time.monotonic()
    while server.ask("streams") != streams:
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise AssertionError(f"{server.ask('streams')} streams are open, and {streams} should be")
        time.sleep(0.02)
    return time.monotonic() - began
