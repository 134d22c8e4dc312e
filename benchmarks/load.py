"""Load from h2load, lean enough not to be what is measured; and what a process has used."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import struct
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


async def h2load(
    port: int, method: str, request: Message, *, seconds: float, rate: int | None = None
) -> Load:
    """Send one gRPC request over and over; at a rate, or as fast as answers come."""
    program = shutil.which("h2load")
    if program is None:
        raise SystemExit("h2load is missing: install Debian's nghttp2-client (make tools)")
    body = request.SerializeToString()
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder, "body"), Path(folder, "log")
        data.write_bytes(struct.pack(">?I", False, len(body)) + body)  # noqa: ASYNC240  nobody else waits
        clients = 1 if rate else CLIENTS
        command = [program, "-c", str(clients), "-m", "1" if not rate else "8", "-d", str(data)]
        command += ["-D", f"{seconds:g}", "--warm-up-time", "1", "--log-file", str(log)]
        command += ["--rps", str(rate)] if rate else []
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
