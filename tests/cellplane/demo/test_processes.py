"""Children of the demo: ready or named with their log, and never left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cellplane.demo.processes import ChildFailed, start_child, wait_until

FOREVER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_is_stopped_and_its_output_kept(tmp_path: Path) -> None:
    child = await start_child("forever", FOREVER, tmp_path / "log")
    await wait_until(lambda: "up" in child.log_tail(), child, 10, "its first word")

    await child.stop()

    assert not child.running
    assert not alive(child.process.pid)


async def test_a_child_that_ends_early_is_named_with_its_log(tmp_path: Path) -> None:
    child = await start_child(
        "brief", [sys.executable, "-c", "raise SystemExit('no luck')"], tmp_path / "log"
    )

    with pytest.raises(ChildFailed, match=r"(?s)brief ended with 1 before ready.*no luck"):
        await wait_until(lambda: False, child, 10, "ready")


async def test_a_child_that_is_never_ready_is_named(tmp_path: Path) -> None:
    child = await start_child("slow", FOREVER, tmp_path / "log")
    try:
        with pytest.raises(ChildFailed, match=r"slow: ready not within 0\.2 s"):
            await wait_until(lambda: False, child, 0.2, "ready")
    finally:
        await child.kill()


async def test_a_grandchild_goes_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time;"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print(p.pid, flush=True); time.sleep(600)"
    )
    child = await start_child("parent", [sys.executable, "-c", script], tmp_path / "log")
    await wait_until(lambda: child.log_tail().strip(), child, 10, "its child")
    grandchild = int(child.log_tail())

    await child.kill()

    def gone() -> bool:
        status = Path(f"/proc/{grandchild}/status")
        return not status.exists() or "Z (zombie)" in status.read_text()

    other = await start_child("clock", FOREVER, tmp_path / "clock")
    try:
        await wait_until(gone, other, 10, "the grandchild's end")
    finally:
        await other.kill()
