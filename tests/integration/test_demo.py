"""`cellplane demo --once` as a newcomer runs it: every claim holds, and nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.processes import eventually

DEMO = [sys.executable, "-m", "cellplane", "demo", "--once"]


def left_behind(folder: Path) -> list[str]:
    """Name processes whose command line mentions the demo's temporary folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.append(path.read_text(errors="replace").replace("\0", " "))
    return [command for command in found if str(folder) in command]


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def start(tmp_path: Path, *more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *DEMO, *more,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


async def test_every_claim_holds_also_where_the_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = await start(tmp_path, "--port", str(port))
        said = (await demo.communicate())[0].decode()

    assert demo.returncode == 0, said
    assert "Every claim held" in said
    assert "FAILED" not in said
    assert f"Port {port} is taken" in said
    assert left_behind(tmp_path) == []
    assert is_empty(tmp_path), "its folder is gone"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_nothing_stays_behind_when_it_is_ended(tmp_path: Path, how: signal.Signals) -> None:
    demo = await start(tmp_path)

    async def running() -> bool:
        # Not while one is still `setpriv`: until then the kernel has not been told to end it with the demo.
        return len([command for command in left_behind(tmp_path) if "--pdeathsig" not in command]) >= 3

    await eventually(running, "etcd, the control plane and Envoy", within=30)
    demo.send_signal(how)
    said = (await demo.communicate())[0].decode()

    async def gone() -> bool:
        return not left_behind(tmp_path)

    await eventually(gone, "the end of every process")
    assert demo.returncode in (130, -signal.SIGKILL)
    assert "Traceback" not in said
