"""Programs that the protocol tests run: real clients, with nothing of this machine's own settings."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

LEAST = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
"""No proxy, no home, no configuration of whoever runs the tests."""


async def run_program(*command: str, environment: Mapping[str, str] | None = None, within: float = 30) -> str:
    """Run a program to its end and give what it wrote; fail with its words when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**LEAST, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise AssertionError(
            f"{command[0]} ended with {process.returncode}: {errors.decode(errors='replace')}"
        )
    return output.decode()


def memory_peak_kib(pid: int) -> int:
    """Give the most memory that a process has ever had in RAM."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
