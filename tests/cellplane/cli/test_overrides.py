"""`cellplane overrides`, as a person and as a program uses it."""

from __future__ import annotations

import json

import pytest

from cellplane.cli.outcome import Exit
from tests.cellplane.cli.conftest import Run

WHY = ("--reason", "an incident")
PIN = ("overrides", "pin", "organization/42", "--cell", "1", "--for", "2h")


@pytest.fixture
def with_cell(run: Run) -> Run:
    run("cells", "add", "--id", "1", "--endpoint", "10.0.1.1:80", "--state", "ACTIVE")
    return run


def test_an_override_is_written_listed_and_removed(with_cell: Run) -> None:
    run = with_cell
    assert "would: ORGANIZATION/42: pin to cell 1 until" in run(*PIN, *WHY, "--dry-run").output
    assert "Nothing is overridden." in run("overrides", "list").output
    run(*PIN, *WHY, "--yes")
    passed = run("overrides", "pass", "1", "--for", "10m", *WHY, "--yes").output
    assert "undo: cellplane overrides remove cell/1\n" in passed
    run("overrides", "block", "USER/7", "--for", "1s", *WHY, "--yes")
    found = json.loads(run("overrides", "list", "--all", "--output", "json").stdout)
    assert [(each["name"], each["action"], each["cell"]) for each in found] == [
        ("ORGANIZATION/42", "pin", 1),
        ("USER/7", "block", None),
        ("cell/1", "pass", None),
    ]
    assert {(each["by"], each["reason"]) for each in found} == {("ada", "an incident")}
    assert "pin to cell 1" in run("overrides", "list").output
    assert "no override any more, was pass" in run("overrides", "remove", "CELL/1", "--yes").output
    run("overrides", "remove", "cell/1", "--yes", expect=Exit.REFUSED)


@pytest.mark.parametrize(
    ("arguments", "named", "code"),
    [
        (PIN, "--reason", Exit.USAGE),
        ((*PIN[:-1], "soon", *WHY), "no duration", Exit.USAGE),
        ((*PIN[:-1], "60d", *WHY, "--yes"), "at most 30d", Exit.USAGE),
        ((*PIN[:-1], "99999999d", *WHY, "--yes"), "at most 30d", Exit.USAGE),
        ((*PIN[:-1], "0s", *WHY, "--yes"), "more than 0", Exit.USAGE),
        (("overrides", "block", "nobody", "--for", "1h", *WHY, "--yes"), "name an owner", Exit.REFUSED),
        # It would block nobody, and look as if cell 1 were blocked.
        (("overrides", "block", "cell/1", "--for", "1h", *WHY, "--yes"), "USER/42", Exit.REFUSED),
        (("overrides", "block", "ORG/1", "--for", "1h", *WHY, "--yes"), "ORGANIZATION/42", Exit.REFUSED),
        (("overrides", "pass", "9", "--for", "1h", *WHY, "--yes"), "there is no cell 9", Exit.REFUSED),
    ],
)
def test_a_mistake_is_named(run: Run, arguments: tuple[str, ...], named: str, code: Exit) -> None:
    assert named in run(*arguments, expect=code).output
