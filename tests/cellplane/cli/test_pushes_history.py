"""`cellplane pushes list|show|diff|watch`, and the fleet's commands that lean on them, over HTTP."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from cellplane.cli.root import cellplane
from tests.cellplane.cli.pages_thread import served
from tests.cellplane.cli.test_fleet import pages
from tests.cellplane.test_fleet_report import BAD
from tests.cellplane.test_push_report import PUSH, REJECTED

FROZEN = {"by": "ada", "at": "now", "reason": "holidays"}
PAGE: dict[str, Any] = {
    "pushes": [PUSH], "frozen": None, "held": None, "pending": [], "kept": 1, "problem": None
}  # fmt: skip


def run(laid_out: dict[str, Any], *arguments: str) -> Result:
    with served(laid_out) as url:
        return CliRunner().invoke(cellplane, [*arguments, "--control-plane", url])


def test_what_went_out() -> None:
    listed = run({"/v1/pushes?limit=20": PAGE}, "pushes", "list").output
    assert "3fa9c2d1" in listed
    assert "cell 3: weight: 100 → 0" in listed
    only = run(
        {"/v1/pushes?limit=5&cause=rules": {**PAGE, "pushes": []}},
        "pushes",
        "list",
        "--limit",
        "5",
        "--cause",
        "rules",
    )
    assert "Nothing went out yet." in only.output
    asked = run({"/v1/pushes?limit=20": PAGE}, "pushes", "list", "-o", "json")
    assert json.loads(asked.stdout)["pushes"][0]["id"] == "3fa9c2d1"


def test_a_freeze_and_what_waits_for_it_are_said_first() -> None:
    page = {**PAGE, "frozen": FROZEN, "pending": ["cell 3: weight: 0 → 9"], "problem": "etcd is away"}
    output = run({"/v1/pushes?limit=20": page}, "pushes", "list").output
    assert "FROZEN by ada at now (holidays): nothing goes out to any Envoy" in output
    assert "1 lines of change wait" in output
    assert "INCOMPLETE: etcd is away." in output


def test_one_push_and_one_that_is_not_there() -> None:
    shown = run({"/v1/pushes/last": REJECTED}, "pushes", "show", "last").output
    assert "rejected by edge-1: route edge: no such cluster" in shown
    assert "reason    too slow" in shown
    missing = run({}, "pushes", "show", "nosuch")
    assert (missing.exit_code, "`cellplane pushes list` shows" in missing.output) == (6, True)


def test_a_diff_of_one_and_of_what_waits() -> None:
    assert run({"/v1/pushes/3fa9": PUSH}, "pushes", "diff", "3fa9").output.splitlines() == PUSH["lines"]
    waits = {"/v1/pushes/pending": {"lines": ["cell 3: weight: 0 → 9"]}}
    assert run(waits, "pushes", "diff", "pending").output == "cell 3: weight: 0 → 9\n"
    assert (
        run({"/v1/pushes/pending": {"lines": []}}, "pushes", "diff", "pending").output == "Nothing waits.\n"
    )


EVENTS = (
    b": hello\n\nevent: push\ndata: " + json.dumps(PUSH).encode() + b"\n\n"
    b'event: fleet\ndata: {"changes": 1}\n\nevent: resumed\ndata: {}\n\n'
)


def test_watching_tells_each_event_and_says_when_it_ends() -> None:
    result = run({"/v1/pushes?limit=1": PAGE, "/v1/events": EVENTS}, "pushes", "watch")
    assert "push 3fa9c2d1 by ada: cell 3: weight: 100 → 0\nresumed: what waited goes out" in result.output
    assert (result.exit_code, "tells no more" in result.output) == (5, True)


def test_the_fleet_is_watched_from_the_worst_on() -> None:
    result = run({**pages(BAD), "/v1/events": EVENTS}, "fleet", "watch", "--state", "REJECTED")
    assert "1 node at revision 7: 1 REJECTED" in result.output
    assert (result.exit_code, "tells no more" in result.output) == (5, True)


def test_a_rejecting_node_names_the_push_and_its_author() -> None:
    laid_out = {**pages(BAD), "/v1/pushes?revision=7": PAGE}
    shown = run(laid_out, "fleet", "show", "bad").output
    assert "version 7 came with push 3fa9c2d1 of 2027-01-15 08:00:00Z by ada: cell 3: weight" in shown
