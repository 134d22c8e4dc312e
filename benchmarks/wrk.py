"""Load from wrk: a sequence of requests, as fast as answers come; and what a process used meanwhile."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SCRIPT = """\
local list, at = {}, 0
function init(args)
  for line in io.lines(args[1]) do
    local path, headers = nil, {}
    for part in string.gmatch(line, "[^\\t]+") do
      if not path then path = part else
        local name, value = string.match(part, "^([^:]+): (.*)$")
        headers[name] = value
      end
    end
    list[#list + 1] = wrk.format("GET", path, headers)
  end
end
function request()
  at = at % #list + 1
  return list[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'FOUND {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Request:
    """A GET."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to. `cpu` are microseconds of the watched processes for each request."""

    requests: int
    rate: float
    p50: int
    p99: int
    failed: int
    cpu: float


def cpu_microseconds(pid: int) -> float:
    """Return what a process has used of the processors so far, all threads."""
    used = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        used += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return used / 1000


async def wrk(
    port: int,
    requests: Sequence[Request],
    folder: Path,
    *,
    pids: Sequence[int],
    connections: int,
    seconds: float,
) -> Run:
    """Send the requests one after the other, over and over, and watch what these processes use."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is missing: install Debian's wrk (make tools)")
    script, listed = folder / "wrk.lua", folder / "requests.txt"
    script.write_text(_SCRIPT, encoding="ascii")
    lines = ("\t".join((each.path, *(f"{k}: {v}" for k, v in each.headers.items()))) for each in requests)
    listed.write_text("\n".join(lines) + "\n", encoding="ascii")
    command = [program, "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(script)]
    before = sum(map(cpu_microseconds, pids))
    process = await asyncio.create_subprocess_exec(
        *command, f"http://127.0.0.1:{port}", "--", str(listed), stdout=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[0].decode()
    used = sum(map(cpu_microseconds, pids)) - before
    words = [line.removeprefix("FOUND ") for line in said.splitlines() if line.startswith("FOUND ")]
    if process.returncode or not words:
        raise RuntimeError(f"wrk failed: {said}")
    found = json.loads(words[0])
    count = found["requests"]
    return Run(
        count, count / found["microseconds"] * 1e6, found["p50"], found["p99"], found["failed"], used / count
    )
