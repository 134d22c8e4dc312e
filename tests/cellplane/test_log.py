"""Log lines go to standard error, from the level that was asked for."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = (
    "import logging; from cellplane.log import set_up_logging; from cellplane.settings import LogSettings; "
    "set_up_logging(LogSettings(level='warning'));"
    "logging.getLogger('a.b').info('quiet'); logging.getLogger('a.b').warning('loud x=%d', 1)"
)


def test_one_line_per_event_with_level_and_place() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.endswith("WARNING a.b loud x=1")


def test_what_is_logged_during_a_call_names_its_request() -> None:
    in_a_call = SCRIPT.replace("logging.getLogger('a.b').info", "begin('r-1'); logging.getLogger('a.b').info")
    script = f"from topology.service.request_id import begin; {in_a_call}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    (line,) = done.stderr.splitlines()
    assert line.endswith("WARNING a.b loud x=1 request=r-1")


def test_an_error_ends_with_its_traceback() -> None:
    failing = "\ntry: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('a.b').exception('broken')"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + failing], capture_output=True, text=True, check=True
    )

    _, line, *trace = done.stderr.splitlines()
    assert line.endswith("ERROR   a.b broken")
    assert (trace[0], trace[-1]) == (
        "Traceback (most recent call last):",
        "ZeroDivisionError: division by zero",
    )
