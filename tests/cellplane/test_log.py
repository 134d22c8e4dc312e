"""Log lines go to standard error, from the level that was asked for."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = (
    "import logging; from cellplane.log import set_up_logging; set_up_logging('warning');"
    "logging.getLogger('a.b').info('quiet'); logging.getLogger('a.b').warning('loud x=%d', 1)"
)


def test_one_line_per_event_with_level_and_place() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.endswith("WARNING a.b loud x=1")
