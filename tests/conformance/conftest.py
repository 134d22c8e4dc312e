"""The conformance target as a process of its own, for all tests of a module."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "tests.conformance.target")
READY = re.compile(r"ready: xds 127\.0\.0\.1:(\d+), adapter 127\.0\.0\.1:(\d+)\n")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a running target listens."""

    process: subprocess.Popen[str]
    xds: str
    adapter: str


@contextlib.contextmanager
def running_target() -> Iterator[Target]:
    """Run a target on free ports, and end it."""
    command = (*COMMAND, "--xds", "0", "--adapter", "0")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = READY.fullmatch(process.stdout.readline())
            assert ready is not None, "the target did not say that it is ready"
            yield Target(process, f"127.0.0.1:{ready[1]}", f"127.0.0.1:{ready[2]}")
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with running_target() as target:
        yield target
