"""Load that is lean enough not to be what is measured, on a core of its own; and what a process has used."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import struct
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Load:
    """What one run came to."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of the processors, all threads, in user and kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return the memory that a process has at hand, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def pin(pid: int, core: int) -> None:
    """Keep a process, all its threads, on one core; the load is on the other."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core % (os.cpu_count() or 1)})


def _on(core: int) -> list[str]:
    return ["taskset", "-c", str(core % (os.cpu_count() or 1))]


async def paced(
    port: int, method: str, request: Message, *, seconds: float, rate: float, core: int = 1
) -> dict[str, float]:
    """Send one gRPC request at an even pace: see `benchmarks.paced`."""
    body = request.SerializeToString().hex()
    arguments = [str(port), method, f"{rate:g}", f"{seconds:g}", body]
    command = [*_on(core), sys.executable, "-m", "benchmarks.paced", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    found: dict[str, float] = json.loads((await process.communicate())[0])
    if found["failed"]:
        raise RuntimeError(f"calls failed: {found}")
    return found


async def h2load(port: int, method: str, request: Message, *, seconds: float, core: int = 1) -> Load:
    """Send one gRPC request over and over, as fast as answers come."""
    program = shutil.which("h2load")
    if program is None:
        raise SystemExit("h2load is missing: install Debian's nghttp2-client (make tools)")
    body = request.SerializeToString()
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder, "body"), Path(folder, "log")
        data.write_bytes(struct.pack(">?I", False, len(body)) + body)  # noqa: ASYNC240  nobody else waits
        command = [*_on(core), program, "-c", str(CLIENTS), "-m", "1", "-d", str(data)]
        command += ["-D", f"{seconds:g}", "--warm-up-time", "1", "--log-file", str(log)]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        process = await asyncio.create_subprocess_exec(
            *command, f"http://127.0.0.1:{port}{method}", stdout=asyncio.subprocess.PIPE
        )
        said = (await process.communicate())[0].decode()
        # A line a request: when it began (microseconds), its HTTP status, how long it took (microseconds).
        lines = [line.split("\t") for line in log.read_text(encoding="ascii").splitlines()]  # noqa: ASYNC240
    if process.returncode or not lines or any(line[1] != "200" for line in lines):
        raise RuntimeError(f"h2load failed: {said}")
    took = sorted(int(line[2]) / 1000 for line in lines)
    cut = statistics.quantiles(took, n=100)
    return Load(len(took), seconds, cut[49], cut[98])
