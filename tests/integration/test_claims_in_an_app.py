"""The example of an application that claims, run as it is told."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.postgresql_server import NEEDS_POSTGRESQL

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "claims_in_an_app"


@NEEDS_POSTGRESQL
async def test_every_sentence_holds() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE / "run.py"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])},
    )
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert text.count("✓") == 12, text
    assert text.endswith("All of it was so.\n")
    assert "six minutes later reconciliation commits the one with a row, and takes the other back" in text
