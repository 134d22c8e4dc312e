"""Log lines for machines: an event with its fields, from the same call that people read."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cellplane.cli.log_options import log_options
from cellplane.json_lines import JsonLines
from cellplane.log import toggle_debug
from cellplane.settings import LogSettings


def line(template: str, *args: Any, **more: Any) -> dict[str, Any]:
    record = logging.LogRecord("a.b", logging.WARNING, "f.py", 1, template, args, more.pop("exc_info", None))
    record.created = 1_800_000_000.25
    for name, value in more.items():
        setattr(record, name, value)
    found: dict[str, Any] = json.loads(JsonLines().format(record))
    return found


def test_an_event_and_its_fields() -> None:
    assert line("nack node=%s tries=%d lease=%x", "edge-1", 3, 255) == {
        "time": "2027-01-15T08:00:00.250+00:00",
        "level": "warning",
        "logger": "a.b",
        "event": "nack",
        "message": "nack node=edge-1 tries=3 lease=ff",
        "node": "edge-1",
        "tries": 3,
        "lease": "ff",
    }


@pytest.mark.parametrize(
    ("template", "args", "fields"),
    [
        ("started", (), {}),
        ("two values %s a=%s", (1, 2), {}),
        ("clash level=%s", ("x",), {"field_level": "x"}),
        ("shapes a=%s b=%.3s", ([1], "abcdef"), {"a": "[1]", "b": "abc"}),
    ],
)
def test_what_is_no_pair_stays_in_the_message(
    template: str, args: tuple[Any, ...], fields: dict[str, Any]
) -> None:
    found = line(template, *args)
    common = {"time", "level", "logger", "event", "message"}
    assert {name: value for name, value in found.items() if name not in common} == fields
    assert found["message"] == template % args


def test_a_request_and_an_exception_are_fields() -> None:
    assert line("called", request=" request=ab-1")["request"] == "ab-1"
    try:
        int("broken")
    except ValueError:
        assert "ValueError: invalid" in line("failed", exc_info=sys.exc_info())["exception"]


def test_debug_is_turned_on_and_off_again() -> None:
    root = logging.getLogger()
    before = root.level
    try:
        root.setLevel(logging.WARNING)
        levels = []
        for _ in range(2):
            toggle_debug(LogSettings(level="warning"))
            levels.append(root.level)
        assert levels == [logging.DEBUG, logging.WARNING]
    finally:
        root.setLevel(before)


def test_options_and_the_environment_say_how() -> None:
    @click.command()
    @log_options
    def command(log: LogSettings) -> None:
        click.echo(f"{log.level} {log.format}")

    run = CliRunner().invoke
    assert run(command, []).output == "info text\n"
    assert (
        run(command, ["--log-level", "debug"], env={"CELLPLANE_LOG_FORMAT": "json"}).output == "debug json\n"
    )
    assert run(command, ["--log-format", "xml"]).exit_code == 2
